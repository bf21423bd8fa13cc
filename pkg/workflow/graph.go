package workflow

import (
	"slices"
	"strconv"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// edge leads from a state to another.
type edge struct {
	from, to string
	// undoes tells that the edge is a handler's compensation, and of which scope ("": the whole run).
	undoes bool
	scope  string
}

// graph has an edge for each transition and for each handler's transition, escalate.to and compensate.then. A handler of the outermost scope
// leads there from every state that is not terminal.
type graph struct {
	states []string
	edges  []edge
	out    map[string][]edge
}

func (c *compiler) graph() *graph {
	g := &graph{states: sortedKeys(c.def.GetStates()), out: map[string][]edge{}}
	for _, name := range g.states {
		state := c.def.GetStates()[name]
		for _, t := range state.GetTransitions() {
			g.add(edge{from: name, to: t.GetTo()})
		}
		if state.GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			continue
		}
		g.addHandlers(name, state.GetOnError())
		g.addHandlers(name, c.def.GetOnError())
	}
	for _, ref := range c.steps {
		if ref.state != "" {
			g.addHandlers(ref.state, ref.proto.GetOnError())
			continue
		}
		for _, name := range g.states { // a fallback of the outermost scope stands in for any step
			if c.def.GetStates()[name].GetTerminal() == workflowv1.Outcome_OUTCOME_UNSPECIFIED {
				g.addHandlers(name, ref.proto.GetOnError())
			}
		}
	}
	for _, e := range g.edges {
		g.out[e.from] = append(g.out[e.from], e)
	}
	return g
}

// add keeps an edge between states that exist.
func (g *graph) add(e edge) {
	if _, ok := slices.BinarySearch(g.states, e.to); ok && !slices.Contains(g.edges, e) {
		g.edges = append(g.edges, e)
	}
}

func (g *graph) addHandlers(from string, policy *workflowv1.ErrorPolicy) {
	for _, h := range policy.GetHandlers() {
		if to := h.GetTransition(); to != "" {
			g.add(edge{from: from, to: to})
		}
		if to := h.GetEscalate().GetTo(); to != "" {
			g.add(edge{from: from, to: to})
		}
		if undo := h.GetCompensate(); undo.GetThen() != "" {
			g.add(edge{from: from, to: undo.GetThen(), undoes: true, scope: undo.GetScope()})
		}
	}
}

// reachable returns the states that can be reached from one, itself included, by edges that are followed.
func (g *graph) reachable(from string, follow func(edge) bool) map[string]bool {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, e := range g.out[queue[0]] {
			if !seen[e.to] && follow(e) {
				seen[e.to] = true
				queue = append(queue, e.to)
			}
		}
	}
	return seen
}

// onCycle reports whether a state can be entered again by edges that are followed.
func (g *graph) onCycle(state string, follow func(edge) bool) bool {
	return slices.ContainsFunc(g.out[state], func(e edge) bool { return follow(e) && g.reachable(e.to, follow)[state] })
}

func anyEdge(edge) bool { return true }
