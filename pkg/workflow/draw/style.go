package draw

import (
	"fmt"
	"strings"
)

// palette has the colours of a picture by name.
type palette map[string]string

// The palettes have a contrast of at least 4.5 between text and what it stands on.
var (
	light = palette{
		"bg": "#ffffff", "ink": "#1b2430", "dim": "#55606e", "line": "#5d6b7c", "card": "#f6f8fb", "rim": "#9aa7b6", "lane": "#ffffff",
		"band": "#eef2f7", "band2": "#e4eaf2", "blue": "#0b5cad", "blueBg": "#e3f0fd", "green": "#14713d", "greenBg": "#e6f5ec", "amber": "#8a5300",
		"amberBg": "#fff3d9", "red": "#b3261e", "redBg": "#fdeceb", "violet": "#6d3fb0", "onStrong": "#ffffff",
	}
	dark = palette{
		"bg": "#12171e", "ink": "#e6ebf2", "dim": "#a3afbd", "line": "#8b98a8", "card": "#1d252f", "rim": "#56636f", "lane": "#171e26",
		"band": "#171d25", "band2": "#1c232d", "blue": "#7cb8f7", "blueBg": "#17304a", "green": "#6fcf97", "greenBg": "#16301f", "amber": "#f0b95b",
		"amberBg": "#3a2c10", "red": "#ff8a80", "redBg": "#431b19", "violet": "#c4a3f5", "onStrong": "#12171e",
	}
)

// rules are the style of a picture; $name is a colour.
const rules = `.bg{fill:$bg}
.t,.n,.s{fill:$ink;font-weight:600}.t{font-size:18px}.n{font-size:15px}.s{font-size:12.5px}
.a,.w{fill:$ink;font-size:12px}.d,.l{font-size:11px}.d{fill:$dim}.dim{fill:$dim}.o{font-size:11px;font-weight:600}
.p{font-size:11px;font-weight:600;fill:$dim;letter-spacing:.06em}.b{font-weight:600}
.al{font-size:12px;font-weight:600;fill:$red}
.band{fill:$band}.band.even{fill:$band2}
.card{fill:$card;stroke:$rim;stroke-width:1.2}.lane{fill:$lane;stroke:$rim;stroke-width:1}
.been{stroke:$blue}.now{fill:$blueBg;stroke:$blue;stroke-width:2.6}.bad{fill:$redBg;stroke:$red;stroke-width:2.6}
.every{fill:none;stroke:$red;stroke-dasharray:5 4}
.end.good{fill:$greenBg;stroke:$green}.end.fair{fill:$amberBg;stroke:$amber}.end.poor{fill:$redBg;stroke:$red}.end.now{stroke-width:3}.rim{fill:none;stroke-width:1}
.chip{fill:none;stroke:$rim}.badge{fill:$blue}.badge.bad{fill:$red}.onbadge{fill:$onStrong}
.lit{fill:$blueBg}.lit.ask{fill:$amberBg}
.open{fill:$blue}.asks{fill:$amber}.done{fill:$green}.skip{fill:$dim}.fail{fill:$red}.undo{fill:$violet}
.i{fill:none;stroke:$dim;stroke-width:1.3;stroke-linejoin:round;stroke-linecap:round}.i.full{fill:$dim}
.m{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.m.open{stroke:$blue}.m.asks{stroke:$amber}.m.done{stroke:$green}.m.skip{stroke:$dim}.m.fail{stroke:$red}.m.undo{stroke:$violet}
rect.lane.open{fill:$lane;stroke:$blue;stroke-width:1.8}rect.lane.done{fill:$lane;stroke:$green}rect.lane.fail{fill:$lane;stroke:$red}rect.lane.skip{fill:$lane;stroke-dasharray:3 3}
.e{fill:none;stroke:$line;stroke-width:1.5}.h{fill:$line}.l{fill:$ink}
.e.error,.e.escalate,.e.compensate{stroke-dasharray:6 4}
.e.error{stroke:$red}.h.error,.l.error{fill:$red}
.e.escalate{stroke:$amber}.h.escalate,.l.escalate{fill:$amber}
.e.compensate{stroke:$violet}.h.compensate,.l.compensate{fill:$violet}
`

// style is the sheet of a picture: light, and dark where the viewer asks for that.
func style() string {
	var b strings.Builder
	b.WriteString("text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif}\n")
	b.WriteString(light.apply(rules))
	fmt.Fprintf(&b, "@media (prefers-color-scheme: dark){\n%s}\n", dark.apply(rules))
	return b.String()
}

func (p palette) apply(rules string) string {
	var b strings.Builder
	for rest := rules; ; {
		at := strings.IndexByte(rest, '$')
		if at < 0 {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(rest[:at])
		end := at + 1
		for end < len(rest) && (rest[end] >= 'a' && rest[end] <= 'z' || rest[end] >= 'A' && rest[end] <= 'Z' || rest[end] >= '0' && rest[end] <= '9') {
			end++
		}
		b.WriteString(p[rest[at+1:end]])
		rest = rest[end:]
	}
}
