package draw

import "math"

// The measures of a picture, in pixels.
const (
	laneWidth  = 14.0 // room of an edge that passes
	cardGap    = 34.0 // between cards of a layer
	labelGap   = 10.0 // between labels of a layer
	rankGap    = 16.0 // between a layer of cards and one of labels, at least
	mostGap    = 44.0
	settlings  = 60  // how often coordinates are improved
	heavyLane  = 8.0 // pull between two places of one edge, which keeps it straight
	lightLane  = 2.0 // pull between a place of an edge and its card
	directPull = 1.0
)

// coordinates gives every place its x and every layer its y.
func (g *graph) coordinates() {
	for _, rank := range g.ranks {
		x := 0.0
		for i, s := range rank {
			if i > 0 {
				x += g.apart(rank[i-1], s)
			}
			g.spots[s].x = x
		}
	}
	for i := range settlings {
		for k := range g.ranks {
			r := k
			if i%2 == 1 {
				r = len(g.ranks) - 1 - k
			}
			g.settle(r, i)
		}
	}
	for range 3 {
		g.straighten()
	}
	g.top, g.height = make([]float64, len(g.ranks)), make([]float64, len(g.ranks))
	y := 0.0
	for r, rank := range g.ranks {
		for _, s := range rank {
			g.height[r] = max(g.height[r], g.spots[s].h)
		}
		g.top[r] = y
		y += g.height[r] + g.gap(r)
	}
}

// gap is the room below a layer: more where edges have far to go sideways.
func (g *graph) gap(r int) float64 {
	far := 0.0
	for _, s := range g.ranks[r] {
		for _, d := range g.spots[s].down {
			far = max(far, math.Abs(g.spots[s].x-g.spots[d].x))
		}
	}
	return min(rankGap+far/12, mostGap)
}

// apart is how far the centres of two neighbours must be.
func (g *graph) apart(a, b int) float64 {
	gap := labelGap
	if g.spots[a].card >= 0 && g.spots[b].card >= 0 {
		gap = cardGap
	}
	return g.spots[a].right + gap + g.spots[b].left
}

// settle moves the places of a layer towards what they are joined to, as far as their order and sizes allow: the least squares solution, by
// pooling neighbours that would overlap.
func (g *graph) settle(r, round int) {
	rank := g.ranks[r]
	type pool struct {
		want, weight float64
		n            int
	}
	offsets := make([]float64, len(rank))
	var pools []pool
	for i, s := range rank {
		if i > 0 {
			offsets[i] = offsets[i-1] + g.apart(rank[i-1], s)
		}
		want, weight := g.pull(s, round)
		p := pool{want: want - offsets[i], weight: weight, n: 1}
		for len(pools) > 0 && pools[len(pools)-1].want >= p.want {
			last := pools[len(pools)-1]
			pools = pools[:len(pools)-1]
			p = pool{
				want: (last.want*last.weight + p.want*p.weight) / (last.weight + p.weight), weight: last.weight + p.weight, n: last.n + p.n,
			}
		}
		pools = append(pools, p)
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			g.spots[rank[i]].x = p.want + offsets[i]
			i++
		}
	}
}

// pull is where a place is drawn to and how strongly: by what is above in rounds down, by what is below in those up, and in the last rounds
// by both.
func (g *graph) pull(s, round int) (want, weight float64) {
	spot := &g.spots[s]
	sum, total := 0.0, 0.0
	add := func(near []int) {
		for _, n := range near {
			w := directPull
			switch other := &g.spots[n]; {
			case other.card < 0 && spot.card < 0:
				w = heavyLane
			case other.card < 0 || spot.card < 0:
				w = lightLane
			}
			sum, total = sum+w*g.spots[n].x, total+w
		}
	}
	both := round >= settlings/2
	if round%2 == 0 || both {
		add(spot.up)
	}
	if round%2 == 1 || both {
		add(spot.down)
	}
	if total == 0 {
		return spot.x, 0.1
	}
	return sum / total, total
}

// straighten gives the places of each edge one x, over as many layers as its neighbours leave room for.
func (g *graph) straighten() {
	at := make([]int, len(g.spots)) // place in its layer
	for _, rank := range g.ranks {
		for i, s := range rank {
			at[s] = i
		}
	}
	for _, chain := range g.chains {
		if len(chain) < 3 {
			continue
		}
		var run []int
		low, high := math.Inf(-1), math.Inf(1)
		for _, s := range chain[1 : len(chain)-1] {
			l, h := g.room(s, at[s])
			if max(low, l) > min(high, h) {
				g.align(run, low, high)
				run, low, high = nil, math.Inf(-1), math.Inf(1)
			}
			run, low, high = append(run, s), max(low, l), min(high, h)
		}
		g.align(run, low, high)
	}
}

// room is where a place may be without touching its neighbours.
func (g *graph) room(s, i int) (low, high float64) {
	rank := g.ranks[g.spots[s].rank]
	low, high = math.Inf(-1), math.Inf(1)
	if i > 0 {
		low = g.spots[rank[i-1]].x + g.apart(rank[i-1], s)
	}
	if i < len(rank)-1 {
		high = g.spots[rank[i+1]].x - g.apart(s, rank[i+1])
	}
	return low, high
}

// align gives places the x nearest to their mean that is allowed to all.
func (g *graph) align(run []int, low, high float64) {
	mean := 0.0
	for _, s := range run {
		mean += g.spots[s].x / float64(len(run))
	}
	for _, s := range run {
		g.spots[s].x = min(max(mean, low), high)
	}
}
