package core

import "time"

// Budget is how many retries a server's calls leave room for.
type Budget struct {
	Calls   int
	Retries int
	// Allowed is how many retries the window allows in all.
	Allowed int
}

const slots = 10

// budget counts a server's calls and retries over a window that slides by a tenth of itself.
type budget struct {
	cfg    Config
	ring   [slots]tally
	newest int64 // number of the newest slot since 1970
}

type tally struct{ calls, retries int }

// slide empties the slots that have come round.
func (g *budget) slide(now time.Time) *tally {
	current := now.UnixNano() / int64(g.cfg.BudgetWindow/slots)
	for n := min(current-g.newest, slots); n > 0; n-- {
		g.ring[(current-n+1)%slots] = tally{}
	}
	g.newest = max(g.newest, current)
	return &g.ring[g.newest%slots]
}

func (g *budget) calls(now time.Time, n int) { g.slide(now).calls += n }

// take takes one retry if there is one left.
func (g *budget) take(now time.Time) bool {
	slot := g.slide(now)
	if view := g.view(now); view.Retries >= view.Allowed {
		return false
	}
	slot.retries++
	return true
}

func (g *budget) view(now time.Time) Budget {
	g.slide(now)
	var out Budget
	for _, slot := range g.ring {
		out.Calls += slot.calls
		out.Retries += slot.retries
	}
	out.Allowed = max(g.cfg.BudgetFloor, int(g.cfg.BudgetRatio*float64(out.Calls)))
	return out
}

func (g *budget) idle(now time.Time) bool {
	view := g.view(now)
	return view.Calls == 0 && view.Retries == 0
}

func (r *Recovery) budget(server string) *budget {
	g, ok := r.budgets[server]
	if !ok {
		g = &budget{cfg: r.cfg}
		r.budgets[server] = g
	}
	return g
}
