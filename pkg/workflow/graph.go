package workflow

import (
	"iter"
	"slices"
	"strconv"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// edge leads from a state to another.
type edge struct {
	from, to string
	// at is the path of the field that names the state to enter.
	at string
	// handler tells that an error leads there, not a transition.
	handler bool
	// undoes tells that the edge is a handler's compensation, and of which scope ("": the whole run).
	undoes bool
	scope  string
}

// graph has an edge for each transition and for each handler's transition, escalate.to and compensate.then. A handler of the outermost scope
// leads there from every state that is not terminal.
type graph struct {
	states []string
	out    map[string][]edge
	known  map[edge]bool
}

func (c *compiler) graph() *graph {
	g := &graph{states: sortedKeys(c.def.GetStates()), out: map[string][]edge{}, known: map[edge]bool{}}
	for _, name := range g.states {
		state, at := c.def.GetStates()[name], fieldPath("states", name)
		for i, t := range state.GetTransitions() {
			g.add(edge{from: name, to: t.GetTo(), at: fieldPath(indexPath(fieldPath(at, "transitions"), i), "to")})
		}
		if state.GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			continue
		}
		g.addHandlers(name, state.GetOnError(), at)
		g.addHandlers(name, c.def.GetOnError(), "")
	}
	for _, ref := range c.steps {
		if ref.state != "" {
			g.addHandlers(ref.state, ref.proto.GetOnError(), ref.at)
			continue
		}
		for _, name := range g.states { // a fallback of the outermost scope stands in for any step
			if c.def.GetStates()[name].GetTerminal() == workflowv1.Outcome_OUTCOME_UNSPECIFIED {
				g.addHandlers(name, ref.proto.GetOnError(), ref.at)
			}
		}
	}
	return g
}

// add keeps an edge between states that exist.
func (g *graph) add(e edge) {
	if _, ok := slices.BinarySearch(g.states, e.to); ok && !g.known[e] {
		g.known[e] = true
		g.out[e.from] = append(g.out[e.from], e)
	}
}

func (g *graph) addHandlers(from string, policy *workflowv1.ErrorPolicy, at string) {
	for i, h := range policy.GetHandlers() {
		path := handlerPath(at, i)
		if to := h.GetTransition(); to != "" {
			g.add(edge{from: from, to: to, at: fieldPath(path, "transition"), handler: true})
		}
		if to := h.GetEscalate().GetTo(); to != "" {
			g.add(edge{from: from, to: to, at: fieldPath(path, "escalate", "to"), handler: true})
		}
		if undo := h.GetCompensate(); undo.GetThen() != "" {
			g.add(edge{from: from, to: undo.GetThen(), at: fieldPath(path, "compensate", "then"), handler: true, undoes: true, scope: undo.GetScope()})
		}
	}
}

// reachable returns the states that can be reached from one, itself included, by edges that are followed.
func (g *graph) reachable(from string, follow func(edge) bool) map[string]bool {
	seen := map[string]bool{from: true}
	g.spread(seen, []string{from}, follow)
	return seen
}

// spread adds what can be reached from the states of a queue to those seen.
func (g *graph) spread(seen map[string]bool, queue []string, follow func(edge) bool) {
	for ; len(queue) > 0; queue = queue[1:] {
		for _, e := range g.out[queue[0]] {
			if !seen[e.to] && follow(e) {
				seen[e.to] = true
				queue = append(queue, e.to)
			}
		}
	}
}

// onCycle reports whether a state can be entered again by edges that are followed.
func (g *graph) onCycle(state string, follow func(edge) bool) bool {
	seen := map[string]bool{}
	g.spread(seen, []string{state}, follow)
	return seen[state]
}

// route is a shortest way from a state to another by edges that are followed, both included; nil: there is none.
func (g *graph) route(from, to string, follow func(edge) bool) []string {
	return shortestWay(from, to, func(state string) iter.Seq[string] {
		return func(yield func(string) bool) {
			for _, e := range g.out[state] {
				if follow(e) && !yield(e.to) {
					return
				}
			}
		}
	})
}

// shortestWay is a shortest way between two nodes, both included; nil: there is none.
func shortestWay(from, to string, next func(string) iter.Seq[string]) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var out []string
			for at := to; at != ""; at = before[at] {
				out = append(out, at)
			}
			slices.Reverse(out)
			return out
		}
		for n := range next(queue[0]) {
			if _, seen := before[n]; !seen {
				before[n] = queue[0]
				queue = append(queue, n)
			}
		}
	}
	return nil
}

func anyEdge(edge) bool { return true }
