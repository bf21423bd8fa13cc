package draw

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Mermaid draws a definition, and where a run of it is, unless that is nil, as a Mermaid flowchart.
func Mermaid(def *workflowv1.WorkflowDefinition, run *workflowv1.Run) []byte {
	p := newPicture(def, run)
	ids := p.ids()
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\ntitle: %s\nconfig:\n  flowchart:\n    wrappingWidth: 600\n---\nflowchart TB\n", yamlText(strings.Join(p.headline(), " · ")))
	fmt.Fprintf(&b, "  accTitle: %s\n", mermaidPlain("Workflow "+p.title))
	for _, s := range p.states {
		if s.initial {
			fmt.Fprintf(&b, "  start((\" \")) --> %s\n", ids[s.index])
		}
	}
	for n, r := range p.regions() {
		margin := "  "
		if r.phase != "" {
			fmt.Fprintf(&b, "  subgraph p%d[\"%s\"]\n", n, mermaidText(r.phase))
			margin = "    "
		}
		for _, s := range r.states {
			opening, closing := `["`, `"]`
			if s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
				opening, closing = `(["`, `"])`
			}
			fmt.Fprintf(&b, "%s%s%s%s%s%s\n", margin, ids[s.index], opening, mermaidLines(p.lines(s)), closing, mermaidClass(s))
		}
		if r.phase != "" {
			b.WriteString("  end\n")
		}
	}
	for _, e := range p.edges {
		arrow := "-->"
		if e.kind != transition {
			arrow = "-.->"
		}
		if len(e.labels) > 0 {
			arrow += `|"` + mermaidLines(e.shorts()) + `"|`
		}
		fmt.Fprintf(&b, "  %s %s %s\n", ids[e.from], arrow, ids[e.to])
	}
	b.WriteString(mermaidClasses)
	return b.Bytes()
}

// mermaidClasses set borders alone, so that text keeps the colour of the viewer's theme.
const mermaidClasses = `  classDef been stroke:#0b5cad,stroke-width:2px
  classDef now stroke:#0b5cad,stroke-width:4px
  classDef bad stroke:#b3261e,stroke-width:4px
  classDef good stroke:#14713d,stroke-width:2px
  classDef fair stroke:#b87700,stroke-width:2px
  classDef poor stroke:#b3261e,stroke-width:2px
  classDef every stroke:#b3261e,stroke-dasharray:5 4
`

func mermaidClass(s *state) string {
	class := s.class()
	if class == "" && s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		class = tone(s.terminal)
	}
	if class == "" {
		return ""
	}
	return ":::" + class
}

func mermaidLines(lines []string) string {
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, mermaidText(line))
	}
	return strings.Join(out, "<br/>")
}

// mermaidText is text inside of quotes: characters that mean something there to Mermaid, to Markdown or to HTML are named by their number. An
// underscore between letters is one of a name.
func mermaidText(text string) string {
	var b strings.Builder
	runes := []rune(clean(text))
	for i, r := range runes {
		inWord := r == '_' && i > 0 && i < len(runes)-1 && letter(runes[i-1]) && letter(runes[i+1])
		if !inWord && strings.ContainsRune("\"#;&<>`%\\*_~$", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// mermaidPlain is text of a line that knows no escapes: what could end it or begin something else is left out.
func mermaidPlain(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\"#;&<>`%\\{}[]()|:", r) {
			return ' '
		}
		return r
	}, clean(text))
}

// yamlText is a text of the front matter, quoted.
func yamlText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%%", "% %").Replace(clean(text)) + `"`
}
