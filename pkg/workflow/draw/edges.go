package draw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// point is a place on the page.
type point struct{ x, y float64 }

// edge draws the line and the head of an edge.
func (s *sheet) edge(c *canvas, i int, e *edge) {
	class := edgeClass[e.kind]
	whole := make([]string, 0, len(e.labels))
	for _, l := range e.labels {
		whole = append(whole, l.whole)
	}
	fmt.Fprintf(c, "<g><title>%s</title>\n", xml(s.picture.states[e.from].name+" → "+s.picture.states[e.to].name+": "+strings.Join(whole, "; ")))
	if e.from == e.to {
		s.loop(c, i, class)
	} else {
		s.line(c, i, class)
	}
	c.WriteString("</g>\n")
}

// line draws an edge between two cards: straight through the layers that it passes, bent between them.
func (s *sheet) line(c *canvas, i int, class string) {
	points := s.points(i)
	if s.graph.turned[i] {
		slices.Reverse(points)
	}
	way := 1.0
	if s.graph.turned[i] {
		way = -1
	}
	last := len(points) - 1
	tip := points[last]
	points[last].y -= way * (arrow - 1)
	var d strings.Builder
	fmt.Fprintf(&d, "M%s %s", num(points[0].x), num(points[0].y))
	for k := 1; k < len(points); k++ {
		a, b := points[k-1], points[k]
		if a.x == b.x {
			fmt.Fprintf(&d, "V%s", num(b.y))
			continue
		}
		middle := (a.y + b.y) / 2
		fmt.Fprintf(&d, "C%s %s %s %s %s %s", num(a.x), num(middle), num(b.x), num(middle), num(b.x), num(b.y))
	}
	c.path("e"+classes(class), d.String())
	c.path("h"+classes(class), head(tip.x, tip.y, way))
}

// head is the head of an arrow with its tip at a place; way is 1 for down and -1 for up.
func head(x, y, way float64) string {
	back := y - way*arrow
	return fmt.Sprintf("M%s %sL%s %sL%s %sZ", num(x), num(y), num(x-4.2), num(back), num(x+4.2), num(back))
}

// points are those of an edge from above to below.
func (s *sheet) points(i int) []point {
	g := s.graph
	chain := g.chains[i]
	from, to := chain[0], chain[len(chain)-1]
	_, top := s.corner(from)
	out := []point{{s.port(from, i, true), top + s.cards[from].h}}
	if r := 2 * g.layerOf[from]; g.height[r] > s.cards[from].h {
		out = append(out, point{out[0].x, s.above + g.top[r] + g.height[r]})
	}
	for _, n := range chain[1 : len(chain)-1] {
		sp := g.spots[n]
		x := s.left + sp.x
		out = append(out, point{x, s.above + g.top[sp.rank]}, point{x, s.above + g.top[sp.rank] + g.height[sp.rank]})
	}
	x := s.port(to, i, false)
	_, end := s.corner(to)
	if r := 2 * g.layerOf[to]; s.above+g.top[r] < end {
		out = append(out, point{x, s.above + g.top[r]})
	}
	return append(out, point{x, end})
}

// port is where an edge meets a card: the edges of a side are spread over it in the order in which they come.
func (s *sheet) port(card, edge int, below bool) float64 {
	g := s.graph
	type end struct {
		edge int
		x    float64
	}
	var ends []end
	for i, chain := range g.chains {
		if len(chain) == 0 {
			continue
		}
		if below && chain[0] == card {
			ends = append(ends, end{i, g.spots[chain[1]].x})
		}
		if !below && chain[len(chain)-1] == card {
			ends = append(ends, end{i, g.spots[chain[len(chain)-2]].x})
		}
	}
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.x, b.x) })
	at := slices.IndexFunc(ends, func(e end) bool { return e.edge == edge })
	between := min(44, (s.cards[card].w-36)/float64(max(1, len(ends))))
	return s.left + g.spots[card].x + (float64(at)-float64(len(ends)-1)/2)*between
}

// loop draws an edge from a card to itself, on its right.
func (s *sheet) loop(c *canvas, i int, class string) {
	x, y, _ := s.loopAt(i)
	c.path("e"+classes(class), fmt.Sprintf("M%s %sC%s %s %s %s %s %s", num(x), num(y-8), num(x+loopRoom), num(y-14), num(x+loopRoom), num(y+14), num(x+arrow-1), num(y+8)))
	c.path("h"+classes(class), fmt.Sprintf("M%s %sL%s %sL%s %sZ", num(x), num(y+8), num(x+arrow), num(y+3.8), num(x+arrow), num(y+12.2)))
}

// loopAt is where an edge from a card to itself is: on the right side, each below the one before.
func (s *sheet) loopAt(i int) (x, y float64, card int) {
	card = s.picture.edges[i].from
	left, top := s.corner(card)
	y = top + max(0, s.cards[card].h-s.loopHeight(card))/2
	for _, other := range s.loops[card] {
		h := max(30, s.labels[other].h+8)
		if other == i {
			y += h / 2
			break
		}
		y += h
	}
	return left + s.cards[card].w, y, card
}

// drawLabel draws what stands at an edge: right of its line.
func (s *sheet) drawLabel(c *canvas, i int, e *edge) {
	b := s.labels[i]
	if b.w == 0 {
		return
	}
	if e.from == e.to {
		x, y, _ := s.loopAt(i)
		b.draw(c, x+loopRoom-3, y-b.h/2, b.w)
		return
	}
	g := s.graph
	for _, n := range g.chains[i] {
		if sp := g.spots[n]; sp.labelPlace {
			b.draw(c, s.left+sp.x+4, s.above+g.top[sp.rank]+(g.height[sp.rank]-b.h)/2, b.w)
		}
	}
}
