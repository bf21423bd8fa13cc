package draw

import (
	"cmp"
	"slices"
)

// The layout is that of Sugiyama and others: edges that close a cycle are turned round, cards get layers so that every edge leads down, long
// edges get a place in each layer between, the places of a layer are put in an order with few crossings, and then they get coordinates.
// Labels have layers of their own between those of the cards, so that nothing lies over them.

// size is how much room something takes.
type size struct{ w, h float64 }

// link is an edge to lay out.
type link struct {
	from, to int
	label    size
}

// spot is a place in a layer: a card, or where an edge passes.
type spot struct {
	card int // -1: an edge passes
	edge int
	rank int
	size
	left, right float64 // room on both sides of x
	x           float64 // where a card's middle is, or the line of an edge
	up, down    []int   // spots of the layers above and below that are joined to it
	labelPlace  bool
}

// graph is cards and edges with their layers.
type graph struct {
	cards   []size
	links   []link
	groups  []int // of each card; no edge leads from a later group to an earlier one, after turning
	turned  []bool
	layerOf []int

	spots  []spot
	ranks  [][]int // spots by layer of cards (even) and of labels (odd), in order
	chains [][]int // spots that each edge passes, from above to below
	top    []float64
	height []float64
}

// layer turns edges round and finds the layer of each card.
func (g *graph) layer() {
	g.turned = make([]bool, len(g.links))
	out := make([][]int, len(g.cards))
	for i, l := range g.links {
		if g.groups[l.to] < g.groups[l.from] {
			g.turned[i] = true
		}
		out[l.from] = append(out[l.from], i)
	}
	g.breakCycles(out)
	in := make([][]int, len(g.cards))
	for i, l := range g.links {
		if from, to := g.ends(i); from != to && l.from != l.to {
			in[to] = append(in[to], from)
		}
	}
	g.layerOf = make([]int, len(g.cards))
	for i := range g.layerOf {
		g.layerOf[i] = -1
	}
	base := 0
	for _, group := range slices.Compact(slices.Sorted(slices.Values(g.groups))) {
		last := base - 1
		for card := range g.cards {
			if g.groups[card] == group {
				last = max(last, g.depth(card, in, base))
			}
		}
		base = last + 1
	}
	g.pullDown()
}

// ends are the cards of an edge from above to below.
func (g *graph) ends(i int) (from, to int) {
	if g.turned[i] {
		return g.links[i].to, g.links[i].from
	}
	return g.links[i].from, g.links[i].to
}

// breakCycles turns round the edges that lead back to a card from which this one was reached.
func (g *graph) breakCycles(out [][]int) {
	const (
		fresh = iota
		entered
		left
	)
	state := make([]int, len(g.cards))
	type visit struct{ card, next int }
	for first := range g.cards {
		if state[first] != fresh {
			continue
		}
		state[first] = entered
		for stack := []visit{{card: first}}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if top.next == len(out[top.card]) {
				state[top.card] = left
				stack = stack[:len(stack)-1]
				continue
			}
			i := out[top.card][top.next]
			top.next++
			switch to := g.links[i].to; {
			case g.turned[i] || to == top.card:
			case state[to] == entered:
				g.turned[i] = true
			case state[to] == fresh:
				state[to] = entered
				stack = append(stack, visit{card: to})
			}
		}
	}
}

// depth is the length of the longest way to a card, no less than base. It keeps a stack of its own: ways can be long.
func (g *graph) depth(card int, in [][]int, base int) int {
	for stack := []int{card}; len(stack) > 0; {
		at := stack[len(stack)-1]
		if g.layerOf[at] >= 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		ready, layer := true, base
		for _, from := range in[at] {
			if g.layerOf[from] < 0 {
				stack, ready = append(stack, from), false
			} else {
				layer = max(layer, g.layerOf[from]+1)
			}
		}
		if ready {
			g.layerOf[at] = layer
			stack = stack[:len(stack)-1]
		}
	}
	return g.layerOf[card]
}

// pullDown brings cards that nothing leads to near what they lead to.
func (g *graph) pullDown() {
	nearest := make([]int, len(g.cards))
	reached := make([]bool, len(g.cards))
	for i, l := range g.links {
		if l.from == l.to {
			continue
		}
		from, to := g.ends(i)
		reached[to] = true
		if nearest[from] == 0 || g.layerOf[to] < nearest[from] {
			nearest[from] = g.layerOf[to]
		}
	}
	for card := 1; card < len(g.cards); card++ {
		if !reached[card] && nearest[card] > 0 {
			g.layerOf[card] = max(g.layerOf[card], nearest[card]-1)
		}
	}
}

// span is how many places an edge takes between its cards.
func (g *graph) span(i int) int {
	from, to := g.ends(i)
	return 2*(g.layerOf[to]-g.layerOf[from]) - 1
}

// place makes the places of cards and edges, in a first order.
func (g *graph) place() {
	last := 0
	for _, l := range g.layerOf {
		last = max(last, l)
	}
	g.ranks = make([][]int, 2*last+1)
	add := func(s spot) int {
		g.spots = append(g.spots, s)
		n := len(g.spots) - 1
		g.ranks[s.rank] = append(g.ranks[s.rank], n)
		return n
	}
	for card, s := range g.cards {
		add(spot{card: card, edge: -1, rank: 2 * g.layerOf[card], size: s, left: s.w / 2, right: s.w / 2})
	}
	g.chains = make([][]int, len(g.links))
	for i, l := range g.links {
		if l.from == l.to {
			continue
		}
		from, to := g.ends(i)
		chain := []int{from}
		labelRank := 2*g.layerOf[from] + 1 // beside the card that it leads from
		if g.turned[i] {
			labelRank = 2*g.layerOf[to] - 1
		}
		for rank := 2*g.layerOf[from] + 1; rank < 2*g.layerOf[to]; rank++ {
			s := spot{card: -1, edge: i, rank: rank, left: laneWidth / 2, right: laneWidth / 2}
			if rank == labelRank && l.label.w > 0 {
				s.size, s.labelPlace, s.right = l.label, true, s.right+l.label.w
			}
			chain = append(chain, add(s))
		}
		g.chains[i] = append(chain, to)
		for k := 1; k < len(g.chains[i]); k++ {
			a, b := g.chains[i][k-1], g.chains[i][k]
			g.spots[a].down = append(g.spots[a].down, b)
			g.spots[b].up = append(g.spots[b].up, a)
		}
	}
}

// sweeps is how often the order is improved.
const sweeps = 16

// order puts the places of each layer in an order with few crossings.
func (g *graph) order() {
	best, fewest := g.snapshot(), g.crossings()
	for i := 0; i < sweeps && fewest > 0; i++ {
		if i%2 == 0 {
			for r := 1; r < len(g.ranks); r++ {
				g.byNeighbours(r, func(s *spot) []int { return s.up })
			}
		} else {
			for r := len(g.ranks) - 2; r >= 0; r-- {
				g.byNeighbours(r, func(s *spot) []int { return s.down })
			}
		}
		if n := g.crossings(); n < fewest {
			best, fewest = g.snapshot(), n
		}
	}
	g.ranks = best
}

func (g *graph) snapshot() [][]int {
	out := make([][]int, len(g.ranks))
	for i, rank := range g.ranks {
		out[i] = slices.Clone(rank)
	}
	return out
}

// byNeighbours sorts a layer by the mean place of what its spots are joined to; those that are joined to nothing stay.
func (g *graph) byNeighbours(rank int, joined func(*spot) []int) {
	at := make(map[int]float64, len(g.ranks[rank]))
	for _, near := range []int{rank - 1, rank + 1} {
		if near >= 0 && near < len(g.ranks) {
			for i, s := range g.ranks[near] {
				at[s] = float64(i)
			}
		}
	}
	weight := make(map[int]float64, len(g.ranks[rank]))
	for i, s := range g.ranks[rank] {
		near := joined(&g.spots[s])
		if len(near) == 0 {
			weight[s] = float64(i)
			continue
		}
		sum := 0.0
		for _, n := range near {
			sum += at[n]
		}
		weight[s] = sum / float64(len(near))
	}
	slices.SortStableFunc(g.ranks[rank], func(a, b int) int { return cmp.Compare(weight[a], weight[b]) })
}

// crossings counts how often edges cross between layers.
func (g *graph) crossings() int {
	total := 0
	for r := 1; r < len(g.ranks); r++ {
		at := make(map[int]int, len(g.ranks[r]))
		for i, s := range g.ranks[r] {
			at[s] = i
		}
		var ends []int
		for _, s := range g.ranks[r-1] {
			var down []int
			for _, d := range g.spots[s].down {
				down = append(down, at[d])
			}
			slices.Sort(down)
			ends = append(ends, down...)
		}
		total += inversions(ends, len(g.ranks[r]))
	}
	return total
}

// inversions counts the pairs that stand in the wrong order, with a tree of sums.
func inversions(list []int, n int) int {
	tree := make([]int, n+1)
	count := 0
	for seen, v := range list {
		notGreater := 0
		for i := v + 1; i > 0; i -= i & -i {
			notGreater += tree[i]
		}
		count += seen - notGreater
		for i := v + 1; i <= n; i += i & -i {
			tree[i]++
		}
	}
	return count
}
