package workflow

import (
	"slices"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Definition is a compiled definition. It is immutable.
type Definition struct {
	// Proto is the definition with every default written out and the `steps:` shorthand expanded.
	Proto *workflowv1.WorkflowDefinition
	// Tools are the declarations of the tools that the definition names, pinned: sorted by server and name.
	Tools []*workflowv1.ToolDeclaration
	// Digest is "sha256:<hex>" over Proto and Tools.
	Digest string
	// Initial is the state that a run begins in.
	Initial *State
	// States by name.
	States map[string]*State
	// Handlers of the outermost scope, in order.
	Handlers []*Handler
	// Deadline of the whole run.
	Deadline time.Duration
	// Signals are the signals that a run takes, by name, each with the schema of its value; nil: any signal is taken.
	Signals map[string]*Schema
	// Triggers start runs, in the order of the definition.
	Triggers []*Trigger
	// Result are the fields of the run's result, sorted by name. Empty: a run has no result.
	Result []NamedExpr
	// Input and Output are the schemas of the run's input and result; nil when there is none.
	Input, Output *Schema
	// Reads are the ids of the steps whose output any expression of the definition may read, sorted.
	Reads []string
	// AutoUpgrade tells that a run moves to a newer version when it enters a state.
	AutoUpgrade bool

	steps    map[string]*Step
	policies map[string]*ToolPolicy
}

// Step returns a step by its id, steps of fallbacks included.
func (d *Definition) Step(id string) (*Step, bool) {
	s, ok := d.steps[id]
	return s, ok
}

// ToolPolicy returns the policy that governs a tool by its pinned declaration, as for a call that an agent makes; false when the
// definition does not name the tool. The server is the catalogue's name of it.
func (d *Definition) ToolPolicy(server, tool string) (*ToolPolicy, bool) {
	p, ok := d.policies[toolKey(server, tool)]
	return p, ok
}

// toolKey is how allowed_tools names a tool.
func toolKey(server, tool string) string { return server + "/" + tool }

// State is a compiled state.
type State struct {
	// Name of the state.
	Name string
	// Phase of the state; PHASE_UNSPECIFIED when it has none.
	Phase workflowv1.Phase
	// Block holds the steps in order.
	*Block
	// Transitions in order; the last has no guard. Empty in a terminal state.
	Transitions []*Transition
	// Handlers of the state's scope, in order.
	Handlers []*Handler
	// Locks in order of rank, then name.
	Locks []*LockUse
	// Deadline of one visit; 0: none.
	Deadline time.Duration
	// MaxVisits is how often the state may be entered, at least 1.
	MaxVisits uint32
	// Terminal is the outcome of a terminal state, else OUTCOME_UNSPECIFIED.
	Terminal workflowv1.Outcome
	// Scope is the rollback scope; empty: only a compensation of the whole run.
	Scope string
	// Reads are the ids of the steps whose output the guards, locks and handlers of the state may read (not those of its steps), sorted.
	Reads []string
	// ReadsInput tells that one of them may read the run's input.
	ReadsInput bool
	// Proto is the normalised state.
	Proto *workflowv1.State
}

// Transition leads to another state.
type Transition struct {
	// When is the guard; nil: always.
	When *Expr
	// To is the name of the state to enter.
	To string
}

// LockUse is a lock to take.
type LockUse struct {
	// Name of the lock in the definition.
	Name string
	// Key is the expression of the resource's key, a string.
	Key *Expr
	// Rank is the place in the order of taking.
	Rank uint32
	// Shared allows other shared holders.
	Shared bool
	// Permits is how many may hold it at once, at least 1.
	Permits uint32
	// Wait is the longest wait for it, Hold the longest time it is held.
	Wait, Hold time.Duration
}

// Block is a list of steps that run one after the other: those of a state, of a branch, or of each item of a map.
type Block struct {
	// Steps in order.
	Steps []*Step
	// State that they belong to.
	State *State
	// Owner is the parallel or map step around them; nil: they are the state's own.
	Owner *Step
	// Branch is the name of the branch; empty: they are a state's or a map's.
	Branch string
	// Path is "state", "state/parallel/branch" or "state/map[]": what the paths of its steps begin with.
	Path string
}

// Step is a compiled step. Exactly one of Tool, Agent, Human, WaitEvent, Emit, Workflow, Parallel, Map, Wait and Set is not nil.
type Step struct {
	// ID is unique in the definition.
	ID string
	// Path is "state/step"; the step of a fallback has its step's path before its own id. In a branch it is "state/parallel/branch/step", in a
	// map "state/map[]/step", where a run has the item's index between the brackets.
	Path string
	// Index is the place in its block's steps; 0 for the step of a fallback.
	Index int
	// Block that the step stands in; a fallback's step stands in that of the step in whose place it runs, nil in the outermost scope.
	Block *Block
	// State that the step belongs to.
	State *State
	// If is the condition; nil: always.
	If *Expr

	Tool  *ToolCall
	Agent *AgentTask
	Human *HumanGate
	Emit  *EmitEvent
	Wait  *WaitStep
	Set   *SetStep

	WaitEvent *WaitEvent
	Workflow  *SubWorkflow
	Parallel  *Parallel
	Map       *Map

	// Output is the schema that the output is checked against; nil: any. Of a parallel or map step it is the author's own only: what the interpreter
	// makes of outputs that were checked is not checked again.
	Output *Schema
	// Handlers of the step's own scope, in order.
	Handlers []*Handler
	// Compensate is the undo; nil: none.
	Compensate *Compensation
	// Locks in order of rank, then name.
	Locks []*LockUse
	// AttemptTimeout is the longest time of one attempt; 0: none.
	AttemptTimeout time.Duration
	// Timeout is the longest time of all attempts and waits; 0: none.
	Timeout time.Duration
	// Cache keeps the output for later visits, other runs and fallbacks; nil: not kept.
	Cache *Cache
	// Reads are the ids of the steps whose output any expression of this step may read, sorted. Those of the steps in its branches or items
	// are their own.
	Reads []string
	// ReadsInput tells that one of them may read the run's input.
	ReadsInput bool
	// Proto is the normalised step.
	Proto *workflowv1.Step
}

// ToolPolicy is what governs a call of a tool.
type ToolPolicy struct {
	// Server and Tool name the tool as the catalogue does.
	Server, Tool string
	// Effect governs retries; never EFFECT_UNSPECIFIED.
	Effect workflowv1.Effect
	// IdempotencyArgument is the argument that carries the idempotency key; empty: the tool takes none.
	IdempotencyArgument string
	// Reconcile tells whether an attempt of unknown outcome happened; nil: nothing does.
	Reconcile *Probe
	// MaxDuration is the longest time after which a sent call can still take effect.
	MaxDuration time.Duration
	// InputSchema and OutputSchema are the tool's own; nil: unknown.
	InputSchema, OutputSchema *Schema
	// Declaration is the pinned one; nil when compiled without a catalogue.
	Declaration *workflowv1.ToolDeclaration
}

// ToolCall is a call of a tool by the definition itself: a step or the undo of one.
type ToolCall struct {
	ToolPolicy
	// Arguments to send, without the idempotency argument.
	Arguments *Template
	// Key is the idempotency key, a string; nil: run.id/step path/generation.
	Key *Expr
	// Breaker of the definition; empty: the tool server's own.
	Breaker string
	// Checked tells that the arguments hold no expression and fit the tool's schema, so that a call need not check them again.
	Checked bool
}

// Probe is a READ tool that tells whether a write happened.
type Probe struct {
	// Server and Tool name the tool as the catalogue does.
	Server, Tool string
	// Arguments to send; Scope.Self is set.
	Arguments *Template
	// Happened is a bool over Scope.Output, the probe's answer.
	Happened *Expr
}

// AgentTask is a task for an agent.
type AgentTask struct {
	// Agent or pool that may claim the task.
	Agent string
	// Goal is a constant text.
	Goal *Template
	// Arguments is the data given with the task, an object.
	Arguments *Template
	// AllowedTools as "server/tool", with the catalogue's names, sorted.
	AllowedTools []string
	// Tools are the policies of AllowedTools, by the same names.
	Tools map[string]*ToolPolicy
	// MaxEffect is the greatest effect of the tools.
	MaxEffect workflowv1.Effect
	// Budget of the task.
	Budget *workflowv1.Budget
}

// HumanGate asks a person.
type HumanGate struct {
	// Roles whose members may answer.
	Roles []string
	// Subject is what is decided about, an object.
	Subject *Template
	// Decisions that can be given.
	Decisions []string
	// Quorum is how many people must give the same answer, at least 1.
	Quorum uint32
	// ExcludeRequester keeps the one who asked for the run from answering.
	ExcludeRequester bool
	// Due is how long to wait.
	Due time.Duration
}

// EmitEvent publishes a CloudEvent.
type EmitEvent struct {
	// Type and Source of the event.
	Type, Source string
	// Subject of the event, a string; nil: none.
	Subject *Template
	// Data of the event, an object; nil: none.
	Data *Template
}

// Parallel runs branches side by side.
type Parallel struct {
	// Branches sorted by name.
	Branches []*Block
	// Join is what the step needs to succeed; never JOIN_UNSPECIFIED.
	Join workflowv1.Join
	// Quorum is how many branches must succeed: all, none, one or as many as the definition says, by Join.
	Quorum int
	// CancelRest ends the step as soon as the join is decided.
	CancelRest bool
	// MaxConcurrency is how many branches run at a time, at least 1.
	MaxConcurrency int
}

// Map runs its body once for each item of a list.
type Map struct {
	// Items is the list.
	Items *Expr
	// MaxItems is how many it may have.
	MaxItems int
	// MaxConcurrency is how many run at a time, at least 1.
	MaxConcurrency int
	// TolerateFailures is how many items may fail before the step does.
	TolerateFailures int
	// Body are the steps; Scope.Item and Scope.Index are set.
	Body *Block
}

// WaitEvent waits for events or signals.
type WaitEvent struct {
	// Filters in the order of the definition.
	Filters []*EventFilter
	// All tells that each of them has to be matched; else one is enough.
	All bool
	// FromRunStart takes events that came after the run's start and before the wait.
	FromRunStart bool
}

// SignalPrefix begins the type that a signal has as an event: "signal.<name>".
const SignalPrefix = "signal."

// EventFilter selects events.
type EventFilter struct {
	// Type of the event.
	Type string
	// Source of the event; empty: any.
	Source string
	// Correlate are the values that fields of the event must equal, sorted by field; a field is a path with dots, as "data.order.id".
	Correlate []NamedExpr
	// When is a bool over Scope.Event; nil: true.
	When *Expr
}

// Trigger starts a run for an event.
type Trigger struct {
	// Filter that the event must match; it correlates with constants only.
	Filter *EventFilter
	// Input are the fields of the run's input, sorted by name; Scope.Event is set.
	Input []NamedExpr
	// RequestID is the start's request id, a string; Scope.Event is set. nil: the event's source and id.
	RequestID *Expr
}

// SubWorkflow runs another workflow.
type SubWorkflow struct {
	// Name, Version and Digest of its definition, pinned. Digest is empty when compiled without a catalogue.
	Name, Version, Digest string
	// Input of its run, an object.
	Input *Template
	// Detached tells that the step ends when the run has started.
	Detached bool
	// Compensatable tells that it is undone from its own records.
	Compensatable bool
	// InputSchema is its own; nil: any.
	InputSchema *Schema
}

// WaitStep waits for Duration, or until Until when that is not nil.
type WaitStep struct {
	// Duration from the step's begin.
	Duration time.Duration
	// Until is a moment, for EvalTime.
	Until *Expr
}

// SetStep computes values.
type SetStep struct {
	// Values sorted by name.
	Values []NamedExpr
}

// NamedExpr is an expression with the name of the field that takes its value.
type NamedExpr struct {
	// Name of the field.
	Name string
	// Expr whose value it takes.
	Expr *Expr
}

// Cache keeps a step's output.
type Cache struct {
	// Key is a string.
	Key *Expr
	// TTL is how long it is taken in place of the step's work.
	TTL time.Duration
}

// Compensation is the undo of a completed step. Tool and Workflow are nil when NoneNeeded says why.
type Compensation struct {
	// Tool undoes the step; Scope.Original is set.
	Tool *ToolCall
	// Workflow undoes the step; Scope.Original is set for its input.
	Workflow *SubWorkflow
	// NoneNeeded is the reason why nothing needs to be undone.
	NoneNeeded string
	// Retry of the undo; nil: one try.
	Retry *Retry
}

// Retry says how often and when an operation is tried again.
type Retry struct {
	// MaxAttempts counts the first try, at least 1.
	MaxAttempts uint32
	// Initial is the wait before the second try, Max the longest wait.
	Initial, Max time.Duration
	// Coefficient is the growth of the wait, at least 1.
	Coefficient float64
	// Jitter is never JITTER_UNSPECIFIED.
	Jitter workflowv1.Jitter
	// HonorRetryAfter takes a longer wait that the tool server asks for.
	HonorRetryAfter bool
}

// Handler handles errors: its retry is spent first, then its action is taken.
type Handler struct {
	// Types that it handles; empty when Any is set.
	Types []errorsv1.ErrorType
	// Any handles every type.
	Any bool
	// When is a further condition over Scope.Error; nil: true.
	When *Expr
	// Retry to spend first; nil: none.
	Retry *Retry
	// Action to take when the retry is spent.
	Action Action
	// Index is the place in the handlers of its scope.
	Index int
	// Proto is the normalised handler.
	Proto *workflowv1.ErrorHandler
}

// Matches reports whether the handler handles the type; When is not asked.
func (h *Handler) Matches(t errorsv1.ErrorType) bool { return h.Any || slices.Contains(h.Types, t) }

// ActionKind is what a handler does when its retry is spent.
type ActionKind int

// The kinds of action.
const (
	// ActionNone passes the error outward.
	ActionNone ActionKind = iota
	// ActionFallbackOutput takes Action.FallbackOutput as the step's output.
	ActionFallbackOutput
	// ActionFallbackStep runs Action.FallbackStep and takes its output.
	ActionFallbackStep
	// ActionFallbackCached takes the cached output, no older than Action.MaxStaleness; else the error passes outward.
	ActionFallbackCached
	// ActionTransition enters the state Action.Transition.
	ActionTransition
	// ActionEscalate asks a person as Action.Escalate says.
	ActionEscalate
	// ActionCompensate undoes Action.Compensate.Scope.
	ActionCompensate
	// ActionFail fails the run.
	ActionFail
	// ActionSkip marks the step skipped.
	ActionSkip
)

// Action is what a handler does. Only the fields of its kind are set.
type Action struct {
	// Kind of the action.
	Kind ActionKind
	// FallbackOutput is an object.
	FallbackOutput *Template
	// FallbackStep gives the output.
	FallbackStep *Step
	// MaxStaleness of a cached output.
	MaxStaleness time.Duration
	// Transition is the state to enter.
	Transition string
	// Escalate says who is asked.
	Escalate *Escalate
	// Compensate says what is undone.
	Compensate *CompensateScope
}

// Escalate asks a person because of an error.
type Escalate struct {
	// Code of the definition's escalations.
	Code string
	// To is the state to enter; empty: stay.
	To string
	// Continue skips the step and goes on.
	Continue bool
}

// CompensateScope undoes completed steps.
type CompensateScope struct {
	// Scope to undo; empty: the whole run.
	Scope string
	// Then is the state to enter afterwards; empty: the run ends COMPENSATED.
	Then string
}
