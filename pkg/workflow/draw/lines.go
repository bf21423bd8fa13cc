package draw

import (
	"fmt"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// textWidth is how long a line of a card may be where text is all there is.
const textWidth = 80

// lines are a card as lines of text, for pictures whose cards hold nothing else.
func (p *picture) lines(s *state) []string {
	head := s.name
	switch {
	case s.current && s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED:
		head = "● " + head + " (ended here)"
	case s.current:
		head = "● " + head + " (here)"
	}
	if s.visits > 1 {
		head += fmt.Sprintf(" ×%d", s.visits)
	}
	out := []string{head}
	if s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		out = append(out, "ends: "+spaced(wording.Enum(s.terminal)))
	}
	var notes []string
	for _, n := range s.notes {
		notes = append(notes, n.text)
	}
	if len(notes) > 0 {
		out = append(out, strings.Join(notes, ", "))
	}
	for _, step := range s.steps {
		out = append(out, stepLines(step, "")...)
	}
	out = append(out, s.handlers...)
	for i, line := range out {
		out[i] = cut(clean(line), textWidth)
	}
	return out
}

// markSign is how a step stands, in a character.
func markSign(m mark) string {
	return [...]string{"", "▶ ", "? ", "✓ ", "– ", "✗ ", "↺ "}[m]
}

// inside begins the lines of what is inside of a step. It is no blank: those are lost at the beginning of a line.
const inside = "┊ "

func stepLines(s *step, margin string) []string {
	out := []string{margin + markSign(s.mark) + s.id + ": " + s.words}
	if s.stand != "" {
		out = append(out, margin+inside+s.stand)
	}
	for _, n := range s.details {
		out = append(out, margin+inside+n.text)
	}
	for _, h := range s.handlers {
		out = append(out, margin+inside+h)
	}
	for _, b := range s.branches {
		deeper := margin + inside
		if b.name != "" {
			line := deeper + "branch " + b.name
			if b.stand != "" {
				line += " — " + b.stand
			}
			out = append(out, line)
			deeper += inside
		}
		for _, inner := range b.steps {
			out = append(out, stepLines(inner, deeper)...)
		}
	}
	return out
}

// ids are names for cards in a picture's language: those of the states where they are plain.
func (p *picture) ids() []string {
	out := make([]string, len(p.states))
	for i, s := range p.states {
		if out[i] = "s_" + s.name; s.everywhere || !plain(s.name) {
			out[i] = fmt.Sprintf("x%d", i)
		}
	}
	return out
}

func plain(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return name != ""
}

// regions are the cards by phase, in order; one without a phase when the picture has none.
func (p *picture) regions() []region {
	if len(p.phases) == 0 {
		return []region{{states: p.states}}
	}
	var out []region
	for _, phase := range p.phases {
		r := region{phase: phaseName(phase)}
		for _, s := range p.states {
			if s.phase == phase {
				r.states = append(r.states, s)
			}
		}
		out = append(out, r)
	}
	return out
}

// region is the cards of a phase.
type region struct {
	phase  string
	states []*state
}

// headline is the title with all that is said about the whole.
func (p *picture) headline() []string {
	out := append([]string{p.title}, p.about...)
	if p.alarm != "" {
		out = append(out, p.alarm)
	}
	for i, line := range out {
		out[i] = cut(clean(line), 2*textWidth)
	}
	return out
}

// shorts are the lines of an edge.
func (e *edge) shorts() []string {
	out := make([]string, 0, len(e.labels))
	for _, l := range e.labels {
		out = append(out, clean(l.short))
	}
	return out
}
