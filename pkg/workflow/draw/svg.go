package draw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// Measures of the whole picture.
const (
	pageRoom   = 20.0
	bandRoom   = 11.0
	labelText  = 190.0 // longest line of a label
	labelLines = 3
	loopRoom   = 26.0
	arrow      = 8.0
	mostPlaces = 4000 // so many places edges may take; the longest beyond that are words in their card
)

// SVG draws a definition, and where a run of it is, unless that is nil.
func SVG(def *workflowv1.WorkflowDefinition, run *workflowv1.Run) []byte {
	p := newPicture(def, run)
	s := &sheet{picture: p}
	s.arrange()
	return s.render()
}

// sheet is a picture with the place of everything.
type sheet struct {
	picture *picture
	cards   []block
	labels  []block
	loops   map[int][]int // edges from a card to itself
	graph   *graph
	left    float64 // of the graph
	above   float64
	width   float64
	height  float64
	heading block
}

// arrange finds the place of everything.
func (s *sheet) arrange() {
	p := s.picture
	g := &graph{groups: s.groups()}
	s.graph, s.loops = g, map[int][]int{}
	g.cards = make([]size, len(p.states))
	for _, e := range p.edges {
		g.links = append(g.links, link{from: e.from, to: e.to})
	}
	g.layer()
	s.limit()
	for i, e := range p.edges {
		b := s.label(e)
		s.labels = append(s.labels, b)
		g.links[i].label = b.size
		if e.from == e.to {
			s.loops[e.from] = append(s.loops[e.from], i)
		}
	}
	for i, st := range p.states {
		card := p.card(st)
		s.cards = append(s.cards, card)
		g.cards[i] = size{w: card.w + 2*s.loopWidth(i), h: max(card.h, s.loopHeight(i))}
	}
	g.place()
	g.order()
	g.coordinates()
	s.measure()
}

// groups are the phases of the cards, where the picture has regions.
func (s *sheet) groups() []int {
	out := make([]int, len(s.picture.states))
	for i, st := range s.picture.states {
		out[i] = max(0, slices.Index(s.picture.phases, st.phase))
	}
	return out
}

// limit turns the longest edges into words of their cards when there are more than a picture can hold.
func (s *sheet) limit() {
	g, p := s.graph, s.picture
	places, order := 0, make([]int, 0, len(g.links))
	for i, l := range g.links {
		if l.from != l.to {
			places += g.span(i)
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.span(b), g.span(a)) })
	gone := map[int]bool{}
	for _, i := range order {
		if places <= mostPlaces {
			break
		}
		places -= g.span(i)
		gone[i] = true
		e := p.edges[i]
		words := "to " + p.states[e.to].name
		if len(e.labels) > 0 {
			words += ": " + e.labels[0].short
		}
		p.states[e.from].handlers = append(p.states[e.from].handlers, words)
	}
	var edges []*edge
	var links []link
	var turned []bool
	for i := range p.edges {
		if !gone[i] {
			edges, links, turned = append(edges, p.edges[i]), append(links, g.links[i]), append(turned, g.turned[i])
		}
	}
	p.edges, g.links, g.turned = edges, links, turned
}

var edgeClass = map[kind]string{transition: "", onError: "error", escalation: "escalate", compensation: "compensate"}

// label is what stands at an edge.
func (s *sheet) label(e *edge) block {
	var lines []block
	for _, l := range e.labels {
		for _, text := range fontLabel.wrap(clean(l.short), labelText, labelLines) {
			lines = append(lines, line(fontLabel, edgeClass[e.kind], text))
		}
	}
	if len(lines) == 0 {
		return block{draw: func(*canvas, float64, float64, float64) {}}
	}
	inner := stack(-2, lines...)
	return block{size: size{w: inner.w + 6, h: inner.h + 4}, draw: func(c *canvas, x, y, width float64) {
		inner.draw(c, x+3, y+1, width)
	}}
}

// loopWidth is the room for edges from a card to itself, on its right.
func (s *sheet) loopWidth(card int) float64 {
	width := 0.0
	for _, i := range s.loops[card] {
		width = max(width, loopRoom+s.labels[i].w)
	}
	return width
}

func (s *sheet) loopHeight(card int) float64 {
	height := 0.0
	for _, i := range s.loops[card] {
		height += max(30, s.labels[i].h+8)
	}
	return height
}

// measure finds the edges of the page.
func (s *sheet) measure() {
	p, g := s.picture, s.graph
	parts := []block{line(fontTitle, "", cmp.Or(p.title, "workflow"))}
	for _, text := range p.about {
		for _, l := range fontAbout.wrap(clean(text), 640, 3) {
			parts = append(parts, line(fontAbout, "", l))
		}
	}
	if p.alarm != "" {
		for _, l := range fontAlarm.wrap(clean(p.alarm), 640, 3) {
			parts = append(parts, line(fontAlarm, "", l))
		}
	}
	s.heading = stack(1, parts...)
	low, high := 0.0, 0.0
	for i, sp := range g.spots {
		if l := sp.x - sp.left; i == 0 || l < low {
			low = l
		}
		if r := sp.x + sp.right; i == 0 || r > high {
			high = r
		}
	}
	s.left = pageRoom - low
	if len(p.phases) > 0 {
		s.left += s.gutter()
	}
	s.width = max(s.left+high+pageRoom, s.heading.w+2*pageRoom)
	s.above = pageRoom + s.heading.h + 40
	bottom := 0.0
	if n := len(g.ranks); n > 0 {
		bottom = g.top[n-1] + g.height[n-1]
	}
	s.height = s.above + bottom + pageRoom + 12
}

// render writes the document.
func (s *sheet) render() []byte {
	c := &canvas{}
	title, about := s.words()
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s">`+"\n",
		num(s.width), num(s.height))
	fmt.Fprintf(c, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n<style>\n%s</style>\n", xml(title), xml(about), style())
	c.rect("bg", 0, 0, s.width, s.height, 0)
	s.heading.draw(c, pageRoom, pageRoom-4, s.width)
	s.bands(c)
	for i, e := range s.picture.edges {
		s.edge(c, i, e)
	}
	for i, st := range s.picture.states {
		fmt.Fprintf(c, "<g><title>%s</title>\n", xml(st.name))
		x, y := s.corner(i)
		s.cards[i].draw(c, x, y, s.cards[i].w)
		if st.initial {
			c.path("e", fmt.Sprintf("M%s %sV%s", num(x+24), num(y-22), num(y-arrow)))
			c.path("h", head(x+24, y, 1))
			c.rect("h", x+19, y-32, 10, 10, 5)
		}
		c.WriteString("</g>\n")
	}
	for i, e := range s.picture.edges {
		s.drawLabel(c, i, e)
	}
	c.WriteString("</svg>\n")
	return c.Bytes()
}

// words are the title and the description for those who do not see the picture.
func (s *sheet) words() (title, about string) {
	p := s.picture
	var b strings.Builder
	for _, line := range p.about {
		fmt.Fprintf(&b, "%s. ", line)
	}
	if p.alarm != "" {
		fmt.Fprintf(&b, "%s. ", p.alarm)
	}
	fmt.Fprintf(&b, "%s: ", plural(len(p.states), "state"))
	for i, st := range p.states {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(st.name)
		if st.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			b.WriteString(" (ends " + spaced(wording.Enum(st.terminal)) + ")")
		}
		var to []string
		for _, e := range p.edges {
			if e.from == i && !slices.Contains(to, p.states[e.to].name) {
				to = append(to, p.states[e.to].name)
			}
		}
		if len(to) > 0 {
			b.WriteString(" leads to " + strings.Join(to, ", "))
		}
	}
	return "Workflow " + cmp.Or(p.title, "without a name"), b.String() + "."
}

// bands are the regions of the phases.
func (s *sheet) bands(c *canvas) {
	g := s.graph
	for n, phase := range s.picture.phases {
		first, last := -1, -1
		for i, st := range s.picture.states {
			if st.phase == phase && st.index == i {
				if r := 2 * g.layerOf[i]; first < 0 || r < first {
					first = r
				}
				last = max(last, 2*g.layerOf[i])
			}
		}
		if first < 0 {
			continue
		}
		y := s.above + g.top[first] - bandRoom
		h := g.top[last] + g.height[last] - g.top[first] + 2*bandRoom
		class := "band"
		if n%2 == 1 {
			class += " even"
		}
		c.rect(class, 6, y, s.width-12, h, 8)
		c.text(fontPhase, "", 16, y+20, phaseName(phase))
	}
}

func phaseName(p workflowv1.Phase) string { return strings.ToUpper(spaced(wording.Enum(p))) }

// gutter is the room for the names of phases.
func (s *sheet) gutter() float64 {
	width := 0.0
	for _, p := range s.picture.phases {
		width = max(width, fontPhase.width(phaseName(p)))
	}
	return width * 1.1
}

// corner is the upper left corner of a card.
func (s *sheet) corner(card int) (x, y float64) {
	g := s.graph
	r := 2 * g.layerOf[card]
	return s.left + g.spots[card].x - s.cards[card].w/2, s.above + g.top[r] + (g.height[r]-s.cards[card].h)/2
}
