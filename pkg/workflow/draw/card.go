package draw

import (
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// Measures of a card.
const (
	cardRoom  = 12.0
	cardText  = 340.0 // longest line of a card
	laneText  = 230.0 // longest line of a branch beside others
	minCard   = 130.0
	signRoom  = 17.0
	pillRoom  = 18.0
	besides   = 3 // so many branches are drawn beside each other
	markWidth = 16.0
	flowGap   = 10.0
)

// card lays a state out.
func (p *picture) card(s *state) block {
	if s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED && len(s.steps) == 0 {
		return p.pill(s)
	}
	l := cardLayout{marked: p.marked, regions: len(p.phases) > 0}
	parts := []block{l.heading(s)}
	parts = append(parts, l.flow(s.notes, cardText)...)
	for _, step := range s.steps {
		parts = append(parts, l.step(step, cardText))
	}
	for _, h := range s.handlers {
		parts = append(parts, l.noteLines(note{sign: signError, text: h}, cardText, "d", 2))
	}
	inner := stack(5, parts...)
	out := block{size: size{w: max(minCard, inner.w+2*cardRoom), h: inner.h + 2*cardRoom - 2}}
	class := "card " + s.class()
	out.draw = func(c *canvas, x, y, width float64) {
		c.rect(class, x, y, width, out.h, 8)
		inner.draw(c, x+cardRoom, y+cardRoom-4, width-2*cardRoom)
	}
	return out
}

// class is how a card looks.
func (s *state) class() string {
	class := ""
	switch {
	case s.everywhere:
		class = "every"
	case s.failed:
		class = "bad"
	case s.current:
		class = "now"
	case s.visits > 0:
		class = "been"
	}
	return class
}

// pill is a terminal state.
func (p *picture) pill(s *state) block {
	name, outcome := line(fontName, "", s.name), line(fontDetail, "", "ends: "+spaced(wording.Enum(s.terminal)))
	width := max(minCard, name.w+2*pillRoom, outcome.w+2*pillRoom)
	h := name.h + outcome.h + 16
	class := "card end " + tone(s.terminal) + " " + s.class()
	return block{size: size{w: width, h: h}, draw: func(c *canvas, x, y, width float64) {
		c.rect(class, x, y, width, h, h/2)
		c.rect(class+" rim", x+3.5, y+3.5, width-7, h-7, h/2-3.5)
		name.draw(c, x+(width-name.w)/2, y+7, 0)
		outcome.draw(c, x+(width-outcome.w)/2, y+7+name.h, 0)
		if s.current {
			c.badge("now", x+width-10, y-9, "ended here")
		}
	}}
}

// tone says how an outcome sounds.
func tone(o workflowv1.Outcome) string {
	switch o {
	case workflowv1.Outcome_OUTCOME_SUCCEEDED, workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION:
		return "good"
	case workflowv1.Outcome_OUTCOME_REJECTED, workflowv1.Outcome_OUTCOME_ESCALATED:
		return "fair"
	default:
		return "poor"
	}
}

// cardLayout makes the parts of a card.
type cardLayout struct {
	marked  bool // there is a run, so that steps have room for a mark
	regions bool // phases are regions of the picture, so that a card need not name its own
}

// heading is a state's name with its phase and visits.
func (l cardLayout) heading(s *state) block {
	name := line(fontName, "", s.name)
	badges := []string{}
	if s.phase != workflowv1.Phase_PHASE_UNSPECIFIED && !s.everywhere && !l.regions {
		badges = append(badges, spaced(wording.Enum(s.phase)))
	}
	if s.visits > 1 {
		badges = append(badges, fmt.Sprintf("visited %d times", s.visits))
	} else if s.visits == 1 && !s.current {
		badges = append(badges, "visited")
	}
	width := name.w
	for _, b := range badges {
		width += fontDetail.width(b) + 20
	}
	return block{size: size{w: width, h: name.h}, draw: func(c *canvas, x, y, width float64) {
		name.draw(c, x, y, width)
		at := x + width
		for _, b := range badges {
			at -= fontDetail.width(clean(b)) + 12
			c.chip(at, y+2, b)
			at -= 6
		}
		if s.current {
			c.badge(map[bool]string{true: "bad", false: "now"}[s.failed], x+width, y-18, "here")
		}
	}}
}

// flow puts notes beside each other, in as many lines as they need.
func (l cardLayout) flow(notes []note, width float64) []block {
	var lines []block
	var beside []block
	used := 0.0
	for _, n := range notes {
		b := l.note(n, width)
		if used += b.w + flowGap; used > width && len(beside) > 0 {
			lines, beside, used = append(lines, row(flowGap, false, beside...)), nil, b.w+flowGap
		}
		beside = append(beside, b)
	}
	if len(beside) > 0 {
		lines = append(lines, row(flowGap, false, beside...))
	}
	return lines
}

// note is a sign and a line.
func (l cardLayout) note(n note, width float64) block { return l.noteLines(n, width, "d", 1) }

func (l cardLayout) noteLines(n note, width float64, class string, most int) block {
	var lines []block
	class += " " + n.mark.class()
	for _, text := range fontDetail.wrap(clean(n.text), width-signRoom, most) {
		lines = append(lines, line(fontDetail, class, text))
	}
	if len(lines) == 0 {
		return block{draw: func(*canvas, float64, float64, float64) {}}
	}
	inner := indent(signRoom, stack(-2, lines...))
	return block{size: inner.size, draw: func(c *canvas, x, y, width float64) {
		c.sign(n.sign, "dim", x, y+2.5)
		inner.draw(c, x, y, width)
	}}
}

// step is a step with its details and what is inside of it.
func (l cardLayout) step(s *step, width float64) block {
	before := 0.0
	if l.marked {
		before = markWidth
	}
	parts := l.title(s, width-before)
	if s.stand != "" {
		for _, text := range fontStand.wrap(clean(s.stand), width-before-signRoom, 3) {
			parts = append(parts, indent(signRoom, line(fontStand, s.mark.class(), text)))
		}
	}
	for _, n := range s.details {
		parts = append(parts, indent(signRoom, l.note(n, width-before-signRoom)))
	}
	for _, h := range s.handlers {
		parts = append(parts, indent(signRoom, l.noteLines(note{sign: signError, text: h}, width-before-signRoom, "d", 2)))
	}
	if len(s.branches) > 0 {
		parts = append(parts, indent(signRoom, l.branches(s, width-before-signRoom)))
	}
	inner := indent(before, stack(0, parts...))
	return block{size: inner.size, draw: func(c *canvas, x, y, width float64) {
		if s.mark == open || s.mark == asking {
			c.rect(map[bool]string{true: "lit ask", false: "lit"}[s.mark == asking], x-5, y-2, width+10, inner.h+4, 5)
		}
		if before > 0 {
			c.mark(s.mark, x, y+3)
		}
		inner.draw(c, x, y, width)
	}}
}

// title is a step's id and what it does, on one line where that fits.
func (l cardLayout) title(s *step, width float64) []block {
	id := line(fontStep, s.mark.class(), s.id)
	words := fontWords.wrap(clean(s.words), width-signRoom, 2)
	withSign := func(b block) block {
		return block{size: size{w: b.w + signRoom, h: b.h}, draw: func(c *canvas, x, y, width float64) {
			c.sign(s.sign, s.mark.class(), x, y+4)
			b.draw(c, x+signRoom, y, width-signRoom)
		}}
	}
	if len(words) == 1 && id.w+9+fontWords.width(words[0]) <= width-signRoom {
		return []block{withSign(row(9, false, id, line(fontWords, "", words[0])))}
	}
	parts := []block{withSign(id)}
	for _, text := range words {
		parts = append(parts, indent(signRoom, line(fontWords, "", text)))
	}
	return parts
}

// branches are drawn beside each other where there are few, else below each other; the body of a map as a pile.
func (l cardLayout) branches(s *step, width float64) block {
	if s.items {
		return l.pile(s, width)
	}
	beside := len(s.branches) <= besides && width > laneText
	if beside {
		width = laneText
	}
	var lanes []block
	height := 0.0
	for _, b := range s.branches {
		parts := []block{line(fontDetail, "b "+b.mark.class(), b.name)}
		if b.stand != "" {
			parts = append(parts, line(fontStand, b.mark.class(), fontStand.fit(clean(b.stand), width-16)))
		}
		for _, inner := range b.steps {
			parts = append(parts, l.step(inner, width-16))
		}
		lane := frame("lane "+b.mark.class(), 8, stack(4, parts...), &height)
		lanes = append(lanes, lane)
	}
	if !beside {
		return indentTop(3, stack(6, lanes...))
	}
	for _, lane := range lanes {
		height = max(height, lane.h)
	}
	return indentTop(3, row(8, true, lanes...))
}

// pile is the body of a map: a lane with others behind it.
func (l cardLayout) pile(s *step, width float64) block {
	var parts []block
	for _, inner := range s.branches[0].steps {
		parts = append(parts, l.step(inner, width-24))
	}
	lane := frame("lane "+s.branches[0].mark.class(), 8, stack(4, parts...), nil)
	return indentTop(3, block{size: size{w: lane.w + 8, h: lane.h + 8}, draw: func(c *canvas, x, y, width float64) {
		for _, off := range []float64{8, 4} {
			c.rect("lane", x+off, y+off, width-8, lane.h, 5)
		}
		lane.draw(c, x, y, width-8)
	}})
}

func indentTop(by float64, b block) block {
	return block{size: size{w: b.w, h: b.h + by}, draw: func(c *canvas, x, y, width float64) { b.draw(c, x, y+by, width) }}
}

// class is how a mark looks.
func (m mark) class() string {
	return [...]string{"", "open", "asks", "done", "skip", "fail", "undo"}[m]
}
