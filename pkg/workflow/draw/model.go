package draw

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// picture is what there is to draw.
type picture struct {
	title string
	// about are lines under the title: the deadline, triggers and signals, where the run is.
	about []string
	// alarm tells what is wrong with the run; empty: nothing.
	alarm  string
	states []*state
	edges  []*edge
	// phases that states belong to, in order.
	phases []workflowv1.Phase
	marked bool
}

// state is a card of the picture.
type state struct {
	name     string
	index    int
	initial  bool
	phase    workflowv1.Phase
	terminal workflowv1.Outcome
	// notes are what holds for the whole state: locks, scope, deadline, visits.
	notes []note
	steps []*step
	// handlers are those that lead to no other state, in words.
	handlers []string
	// everywhere tells that it is no state, but stands for what the outermost handlers do in every state.
	everywhere bool

	visits  uint32
	current bool
	failed  bool
}

// note is a short text with a sign of what it is about.
type note struct {
	sign sign
	text string
	mark mark
}

// step is a line of a card, with its branches inside.
type step struct {
	id       string
	sign     sign
	words    string
	details  []note
	handlers []string
	branches []branch
	items    bool

	mark  mark
	stand string // where it is, in words
}

// branch is a list of steps inside of a step.
type branch struct {
	name  string
	steps []*step
	mark  mark
	stand string
}

// mark is how something stands in a run.
type mark int

const (
	unmarked mark = iota
	open
	asking
	done
	skipped
	failed
	undone
)

// kind is what an edge is.
type kind int

const (
	transition kind = iota
	onError
	escalation
	compensation
)

// edge leads from a card to another.
type edge struct {
	from, to int
	kind     kind
	labels   []label
}

// key tells edges apart.
func (e edge) key() [3]int { return [3]int{e.from, e.to, int(e.kind)} }

// label is a line of an edge: short to be read, whole to be looked up.
type label struct{ short, whole string }

// newPicture takes a definition apart.
func newPicture(def *workflowv1.WorkflowDefinition, run *workflowv1.Run) *picture {
	def = expanded(def)
	p := &picture{title: strings.Trim(def.GetMetadata().GetName()+" "+def.GetMetadata().GetVersion(), " "), marked: run != nil}
	b := &builder{def: def, run: run, picture: p, index: map[string]int{}, edges: map[[3]int]*edge{}}
	b.about()
	for i, name := range stateOrder(def) {
		b.index[name] = i
		p.states = append(p.states, b.state(i, name))
	}
	b.phases()
	for _, s := range slices.Clone(p.states) {
		b.edgesOf(s)
	}
	b.everywhere()
	b.marks()
	return p
}

// expanded writes the shorthand out.
func expanded(def *workflowv1.WorkflowDefinition) *workflowv1.WorkflowDefinition {
	if len(def.GetStates()) > 0 || len(def.GetSteps()) == 0 {
		return def
	}
	return &workflowv1.WorkflowDefinition{
		Metadata: def.GetMetadata(), Resources: def.GetResources(), OnError: def.GetOnError(), Deadline: def.GetDeadline(), Triggers: def.GetTriggers(),
		Signals: def.GetSignals(), Initial: "main", States: map[string]*workflowv1.State{
			"main": {Steps: def.GetSteps(), Transitions: []*workflowv1.Transition{{To: "done"}}},
			"done": {Terminal: workflowv1.Outcome_OUTCOME_SUCCEEDED},
		},
	}
}

// stateOrder is the order in which a run may come by the states: breadth first along transitions and handlers from the initial one, then
// what nothing leads to.
func stateOrder(def *workflowv1.WorkflowDefinition) []string {
	var order []string
	seen := map[string]bool{}
	visit := func(name string) {
		if _, ok := def.GetStates()[name]; ok && !seen[name] {
			seen[name] = true
			order = append(order, name)
		}
	}
	visit(def.GetInitial())
	for i := 0; i < len(order); i++ {
		s := def.GetStates()[order[i]]
		for _, t := range s.GetTransitions() {
			visit(t.GetTo())
		}
		for _, l := range leads(def, s) {
			visit(l.to)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(def.GetStates())) {
		visit(name)
	}
	return order
}

// lead is a handler that leads to another state.
type lead struct {
	to      string
	kind    kind
	of      string // step whose handler it is; empty: the state's
	handler *workflowv1.ErrorHandler
}

// leads are the handlers of a state and of its steps that lead to another state.
func leads(def *workflowv1.WorkflowDefinition, s *workflowv1.State) []lead {
	out := leadsOf("", s.GetOnError())
	var walk func(steps []*workflowv1.Step)
	walk = func(steps []*workflowv1.Step) {
		for _, step := range steps {
			out = append(out, leadsOf(step.GetId(), step.GetOnError())...)
			for _, name := range slices.Sorted(maps.Keys(step.GetParallel().GetBranches())) {
				walk(step.GetParallel().GetBranches()[name].GetSteps())
			}
			walk(step.GetMap().GetSteps())
		}
	}
	walk(s.GetSteps())
	return out
}

func leadsOf(of string, policy *workflowv1.ErrorPolicy) []lead {
	var out []lead
	for _, h := range policy.GetHandlers() {
		if to, k := target(h); to != "" {
			out = append(out, lead{to: to, kind: k, of: of, handler: h})
		}
	}
	return out
}

// target is the state that a handler leads to; empty: none.
func target(h *workflowv1.ErrorHandler) (string, kind) {
	switch then := h.GetThen().(type) {
	case *workflowv1.ErrorHandler_Transition:
		return then.Transition, onError
	case *workflowv1.ErrorHandler_Escalate:
		return then.Escalate.GetTo(), escalation
	case *workflowv1.ErrorHandler_Compensate:
		return then.Compensate.GetThen(), compensation
	default:
		return "", onError
	}
}

// builder makes the parts of a picture.
type builder struct {
	def     *workflowv1.WorkflowDefinition
	run     *workflowv1.Run
	picture *picture
	index   map[string]int
	edges   map[[3]int]*edge
}

// about says what holds for the whole definition.
func (b *builder) about() {
	p := b.picture
	if d := b.def.GetDeadline(); d != nil {
		p.about = append(p.about, "deadline "+wording.Duration(d.AsDuration()))
	}
	var types []string
	for _, t := range b.def.GetTriggers() {
		types = append(types, t.GetEvent().GetType())
	}
	if len(types) > 0 {
		p.about = append(p.about, "started by "+strings.Join(types, ", "))
	}
	if len(b.def.GetSignals()) > 0 {
		p.about = append(p.about, "takes signals "+strings.Join(slices.Sorted(maps.Keys(b.def.GetSignals())), ", "))
	}
}

// phases lists the phases, when every state that does something has one: then they can be drawn as regions.
func (b *builder) phases() {
	seen := map[workflowv1.Phase]bool{}
	for _, s := range b.picture.states {
		seen[s.phase] = true
	}
	if seen[workflowv1.Phase_PHASE_UNSPECIFIED] {
		return
	}
	b.picture.phases = slices.Sorted(maps.Keys(seen))
}

func (b *builder) state(index int, name string) *state {
	def := b.def.GetStates()[name]
	s := &state{name: name, index: index, initial: name == b.def.GetInitial(), phase: def.GetPhase(), terminal: def.GetTerminal()}
	for _, use := range def.GetLocks() {
		s.notes = append(s.notes, b.lock(use, name, ""))
	}
	if scope := def.GetRollbackScope(); scope != "" {
		s.notes = append(s.notes, note{sign: signUndo, text: "scope " + scope})
	}
	if d := def.GetDeadline(); d != nil {
		s.notes = append(s.notes, note{sign: signTime, text: "within " + wording.Duration(d.AsDuration())})
	}
	if def.GetMaxVisits() > 1 {
		s.notes = append(s.notes, note{sign: signLoop, text: fmt.Sprintf("at most %d visits", def.GetMaxVisits())})
	}
	s.steps = b.steps(def.GetSteps(), name)
	s.handlers = staying(def.GetOnError())
	return s
}

// lock says which lock is taken.
func (b *builder) lock(use *workflowv1.LockUse, state, step string) note {
	n := note{sign: signLock, text: "lock " + use.GetLock()}
	if use.GetShared() {
		n.text += ", shared"
	}
	for _, hold := range b.run.GetLocks() {
		if hold.GetName() != use.GetLock() || hold.GetState() != state || lastPart(hold.GetStepPath()) != step {
			continue
		}
		switch hold.GetStatus() {
		case workflowv1.LockStatus_LOCK_STATUS_HELD:
			n.text, n.mark = n.text+": held", open
		case workflowv1.LockStatus_LOCK_STATUS_WAITING:
			n.text, n.mark = n.text+": waits for it", asking
		}
	}
	return n
}

// lastPart is a path's part after its last slash.
func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// staying are the handlers that lead to no other state, in words.
func staying(policy *workflowv1.ErrorPolicy) []string {
	var out []string
	for _, h := range policy.GetHandlers() {
		if to, _ := target(h); to == "" {
			out = append(out, "on "+wording.Handler(h))
		}
	}
	return out
}

// edgesOf adds the edges of a card. Those that lead to the same card in the same way are one, with a line each.
func (b *builder) edgesOf(s *state) {
	def := b.def.GetStates()[s.name]
	several := len(def.GetTransitions()) > 1
	for i, t := range def.GetTransitions() {
		l := label{}
		switch {
		case t.GetWhen() != "":
			l = label{short: shorten(t.GetWhen()), whole: t.GetWhen()}
			if several && len(def.GetTransitions()) > 2 {
				l.short = fmt.Sprintf("%d: %s", i+1, l.short)
			}
		case several:
			l = label{short: "else", whole: "else"}
		}
		b.edge(s.index, t.GetTo(), transition, l)
	}
	for _, l := range leads(b.def, def) {
		b.edge(s.index, l.to, l.kind, leadLabel(l))
	}
}

// leadLabel says what a handler's edge is: "escalate needs_person: timeout of refund after 4 tries".
func leadLabel(l lead) label {
	what := map[kind]string{onError: "error", escalation: "escalate", compensation: "compensate"}[l.kind]
	switch {
	case l.kind == escalation:
		what += " " + l.handler.GetEscalate().GetCode()
	case l.handler.GetCompensate().GetScope() != "":
		what += " " + l.handler.GetCompensate().GetScope()
	}
	of := ""
	if l.of != "" {
		of = " of " + l.of
	}
	if n := l.handler.GetRetry().GetMaxAttempts(); n > 1 {
		of += fmt.Sprintf(" after %d tries", n)
	}
	on := wording.Errors(l.handler)
	return label{short: what + ": " + shorten(on) + of, whole: what + ": " + on + of}
}

// edge adds a line to the edge between two cards.
func (b *builder) edge(from int, to string, k kind, l label) {
	at, ok := b.index[to]
	if !ok {
		return // a reference that leads nowhere, which the linter tells of
	}
	key := edge{from: from, to: at, kind: k}.key()
	e := b.edges[key]
	if e == nil {
		e = &edge{from: from, to: at, kind: k}
		b.edges[key] = e
		b.picture.edges = append(b.picture.edges, e)
	}
	if l.short != "" {
		e.labels = append(e.labels, l)
	}
}

// everywhere adds a card for the outermost handlers, if there are any.
func (b *builder) everywhere() {
	policy := b.def.GetOnError()
	if len(policy.GetHandlers()) == 0 {
		return
	}
	s := &state{name: "in any state", index: len(b.picture.states), everywhere: true, handlers: staying(policy)}
	b.picture.states = append(b.picture.states, s)
	for _, l := range leadsOf("", policy) {
		b.edge(s.index, l.to, l.kind, leadLabel(l))
	}
	for _, e := range b.picture.edges {
		if e.from == s.index && (s.phase == workflowv1.Phase_PHASE_UNSPECIFIED || b.picture.states[e.to].phase < s.phase) {
			s.phase = b.picture.states[e.to].phase
		}
	}
	if s.phase == workflowv1.Phase_PHASE_UNSPECIFIED && len(b.picture.phases) > 0 {
		s.phase = b.picture.phases[0]
	}
}
