package engine_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var deterministic = proto.MarshalOptions{Deterministic: true}

func wire(t fataler, m proto.Message) []byte {
	b, err := deterministic.Marshal(m)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return b
}

// world plays a run as a scheduler would: it stores what the engine says is to be stored, gives back only what the engine says that it needs,
// and reads everything again from its stored bytes before each input.
type world struct {
	t   fataler
	def *workflow.Definition
	now time.Time
	// jitter of the next inputs.
	jitter float64

	head   []byte
	events [][]byte
	rows   map[string][]byte

	// newest is the definition that the gate offers to runs that upgrade by themselves, entered the states at which it was asked.
	newest  *workflow.Definition
	entered []string
	// busy and breaker are what the gate answers, by tool server.
	busy    map[string]bool
	breaker map[string]time.Time

	// of the last input
	made     []*workflowv1.HistoryEvent
	commands []engine.Command
	replies  []engine.Reply

	pending map[string]bool
	// lazy worlds check their invariants only when told to, for long histories.
	lazy bool
	// cache answers lookups; nil: somebody else does.
	cache func(engine.LookUpCache) engine.InputEvent
	// lastCommit is the size of what the last input commits.
	lastCommit int
}

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newWorld(t fataler, def *workflow.Definition) *world {
	return &world{
		t: t, def: def, now: start, jitter: 0.5, rows: map[string][]byte{}, busy: map[string]bool{}, breaker: map[string]time.Time{}, pending: map[string]bool{},
	}
}

// begin starts a run of a definition with the input `{"id":"o1"}`.
func begin(t *testing.T, yaml string) *world {
	t.Helper()
	return beginWith(t, yaml, `{"id":"o1"}`)
}

func beginWith(t *testing.T, yaml, input string) *world {
	t.Helper()
	w := newWorld(t, compile(t, yaml))
	w.give(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(input), RequestID: "q1", StartedBy: "ann"})
	return w
}

func (w *world) run() *workflowv1.Run {
	run := &workflowv1.Run{}
	if err := proto.Unmarshal(w.head, run); err != nil {
		w.t.Fatalf("head: %v", err)
	}
	return run
}

func (w *world) event(seq uint64) *workflowv1.HistoryEvent {
	if seq == 0 || seq > uint64(len(w.events)) {
		return nil
	}
	ev := &workflowv1.HistoryEvent{}
	if err := proto.Unmarshal(w.events[seq-1], ev); err != nil {
		w.t.Fatalf("event %d: %v", seq, err)
	}
	return ev
}

func (w *world) row(id string) *workflowv1.Operation {
	b, ok := w.rows[id]
	if !ok {
		return nil
	}
	row := &workflowv1.Operation{}
	if err := proto.Unmarshal(b, row); err != nil {
		w.t.Fatalf("row %s: %v", id, err)
	}
	return row
}

// Admit implements engine.Gate.
func (w *world) Admit(server, _, _, _ string) engine.Admission {
	if until, open := w.breaker[server]; open && until.After(w.now) {
		return engine.Admission{Verdict: engine.BreakerOpen, Until: until}
	}
	if w.busy[server] {
		return engine.Admission{Verdict: engine.Busy}
	}
	return engine.Admission{Verdict: engine.Granted, Incarnation: "gw1"}
}

// Upgrade implements engine.Gate.
func (w *world) Upgrade(_ *workflow.Definition, _ *workflowv1.Run, to string) *workflow.Definition {
	w.entered = append(w.entered, to)
	return w.newest
}

// named gives the events that Needs named, and no others.
type named struct {
	w     *world
	names []uint64
}

func (s named) Event(seq uint64) *workflowv1.HistoryEvent {
	if !slices.Contains(s.names, seq) {
		return nil
	}
	return s.w.event(seq)
}

// decide lets the engine decide on the stored run, without keeping anything.
func (w *world) decide(ev engine.InputEvent, at time.Time) (*engine.Fold, *engine.Result, error) {
	var run *workflowv1.Run
	if w.head != nil {
		run = w.run()
	}
	src := named{w: w, names: engine.Needs(w.def, run)}
	if call, ok := ev.(engine.CallTool); ok && call.Recorded.GetOutputSequence() != 0 {
		src.names = append(src.names, call.Recorded.GetOutputSequence())
	}
	if move, ok := ev.(engine.Migrate); ok && run != nil {
		src.names = append(src.names, engine.MigrateNeeds(w.def, move.To, move.StateMap, run)...)
	}
	if late, ok := ev.(engine.Answered); ok && run != nil && !engine.Awaits(run, late.OperationID) {
		late.Recorded = w.row(late.OperationID)
		src.names = append(src.names, late.Recorded.GetArgumentsSequence())
		ev = late
	}
	f := engine.NewFold(run)
	res, err := engine.Next(w.def, f, src, w, engine.Input{Time: at, Jitter: w.jitter, Event: ev})
	return f, res, err
}

// try gives the run an input and returns its refusal.
func (w *world) try(ev engine.InputEvent) error {
	w.t.Helper()
	f, res, err := w.decide(ev, w.now)
	if err != nil {
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) && !errors.Is(err, engine.ErrSlotBusy) {
			w.t.Fatalf("%T: %v", ev, err)
		}
		if w.head != nil && !bytes.Equal(wire(w.t, f.Run), w.head) {
			w.t.Fatalf("%T was refused (%v) and changed the run", ev, err)
		}
		return err
	}
	w.keep(f, res)
	w.track(ev)
	if !w.lazy {
		w.check()
	}
	return nil
}

// give gives the run an input that it takes, and what it asks for by itself.
func (w *world) give(ev engine.InputEvent) {
	w.t.Helper()
	if err := w.try(ev); err != nil {
		w.t.Fatalf("%#v was refused: %v", ev, err)
	}
	for _, c := range w.commands {
		if next := w.obey(c); next != nil {
			w.give(next)
		}
	}
}

// obey answers a command that needs nobody from outside; nil: it does.
func (w *world) obey(c engine.Command) engine.InputEvent {
	w.t.Helper()
	switch c := c.(type) {
	case engine.Proceed:
		return engine.Continue{}
	case engine.LookUpCache:
		if w.cache != nil {
			return w.cache(c)
		}
	case engine.Gather:
		outputs := engine.NewItemOutputs(c)
		for seq := c.From; seq <= c.To; seq++ {
			outputs.Add(w.event(seq))
		}
		list, err := outputs.List(w.event)
		if err != nil {
			w.t.Fatalf("gather: %v", err)
		}
		return engine.Gathered{StepPath: c.StepPath, From: c.From, Outputs: list}
	}
	return nil
}

func (w *world) keep(f *engine.Fold, res *engine.Result) {
	w.made, w.commands, w.replies, w.lastCommit = res.Events, res.Commands, res.Replies, 0
	if res.Definition != nil {
		w.def = res.Definition
	}
	for _, ev := range res.Events {
		if ev.GetSequence() != uint64(len(w.events))+1 {
			w.t.Fatalf("event %d follows event %d", ev.GetSequence(), len(w.events))
		}
		w.events = append(w.events, wire(w.t, ev))
		w.lastCommit += len(w.events[len(w.events)-1])
	}
	for _, op := range res.Operations {
		w.rows[op.GetId()] = wire(w.t, op)
		w.lastCommit += len(w.rows[op.GetId()])
	}
	head := wire(w.t, f.Run)
	if len(res.Events) == 0 && !bytes.Equal(head, w.head) {
		w.t.Fatalf("the run changed without an event")
	}
	w.head = head
	w.lastCommit += len(head)
}

// after lets time pass and ticks.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	w.give(engine.Tick{})
}

// wake lets time pass up to the run's next wake and ticks. It returns how long that was.
func (w *world) wake() time.Duration {
	w.t.Helper()
	next := engine.NextWake(w.run())
	if next.IsZero() {
		w.t.Fatalf("the run does not wake by itself; it waits for %s", w.why())
	}
	d := max(next.Sub(w.now), 0)
	w.after(d)
	return d
}

func (w *world) why() string {
	run := w.run()
	return engine.Summary(run, engine.Explain(w.def, run))
}

// flying are the attempts in flight, by operation.
func (w *world) flying() []*workflowv1.OpenOperation {
	var ops []*workflowv1.OpenOperation
	for _, c := range engine.Resume(w.run()) {
		if a, ok := c.(engine.Attach); ok {
			ops = append(ops, a.Operation)
		}
	}
	return ops
}

// call is the only attempt in flight; want is "server/tool".
func (w *world) call(want string) *workflowv1.OpenOperation {
	w.t.Helper()
	ops := w.flying()
	if len(ops) != 1 {
		w.t.Fatalf("%d attempts are in flight, wanted one of %s; the run waits for %s", len(ops), want, w.why())
	}
	if got := ops[0].GetServer() + "/" + ops[0].GetTool(); got != want {
		w.t.Fatalf("%s is in flight, wanted %s", got, want)
	}
	return ops[0]
}

// answer answers the only attempt in flight.
func (w *world) answer(tool, output string) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.call(tool)
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(output)})
	return op
}

// refuse lets the tool itself refuse the only attempt in flight.
func (w *world) refuse(tool string) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.call(tool)
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(`"no"`), IsError: true})
	return op
}

// fail lets the only attempt in flight fail without an effect.
func (w *world) fail(tool string, t errorsv1.ErrorType) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.call(tool)
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: t, Message: "it failed"})
	return op
}

// lose loses the answer to the only attempt in flight.
func (w *world) lose(tool string) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.call(tool)
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: timeout, Message: "no answer", Unknown: true})
	return op
}

const (
	timeout     = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	unavailable = errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	invalid     = errorsv1.ErrorType_ERROR_TYPE_INVALID
)

// question is the only open escalation.
func (w *world) question(kind workflowv1.EscalationKind) *workflowv1.EscalationOpened {
	w.t.Helper()
	pending := w.run().GetPendingDecisions()
	if len(pending) != 1 || pending[0].GetKind() != kind {
		w.t.Fatalf("open are %v, wanted one of kind %s; the run waits for %s", pending, kind, w.why())
	}
	return w.event(pending[0].GetSequence()).GetEscalationOpened()
}

const (
	gate        = workflowv1.EscalationKind_ESCALATION_KIND_GATE
	onError     = workflowv1.EscalationKind_ESCALATION_KIND_ERROR
	onUnknown   = workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME
	onUndo      = workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED
	running     = workflowv1.RunStatus_RUN_STATUS_RUNNING
	undoing     = workflowv1.RunStatus_RUN_STATUS_COMPENSATING
	ended       = workflowv1.RunStatus_RUN_STATUS_ENDED
	succeeded   = workflowv1.Outcome_OUTCOME_SUCCEEDED
	failed      = workflowv1.Outcome_OUTCOME_FAILED
	compensated = workflowv1.Outcome_OUTCOME_COMPENSATED
	cancelled   = workflowv1.Outcome_OUTCOME_CANCELLED
	timedOut    = workflowv1.Outcome_OUTCOME_TIMED_OUT
	undoFailed  = workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED
	limited     = workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
)

// decideAs answers the only open escalation.
func (w *world) decideAs(kind workflowv1.EscalationKind, decision, value string) {
	w.t.Helper()
	q := w.question(kind)
	w.give(engine.Decide{EscalationID: q.GetEscalationId(), Decision: decision, By: "pat", Value: json.RawMessage(value)})
}

// ends asserts how the run ended.
func (w *world) ends(outcome workflowv1.Outcome) {
	w.t.Helper()
	run := w.run()
	if run.GetStatus() != ended || run.GetOutcome() != outcome {
		w.t.Fatalf("the run is %s %s, wanted %s; it waits for %s (%v)", run.GetStatus(), run.GetOutcome(), outcome, w.why(), run.GetProblem())
	}
}

// in asserts the state that the run is in.
func (w *world) in(state string) {
	w.t.Helper()
	if run := w.run(); run.GetState() != state || run.GetStatus() != running {
		w.t.Fatalf("the run is %s in %s, wanted state %s (%v)", run.GetStatus(), run.GetState(), state, run.GetProblem())
	}
}

// waits asserts what the run's only open step waits for.
func (w *world) waits(status workflowv1.ActivityStatus) *workflowv1.ActiveStep {
	w.t.Helper()
	active := w.run().GetActive()
	if len(active) != 1 || active[0].GetStatus() != status {
		w.t.Fatalf("open are %v, wanted one that is %s", active, status)
	}
	return active[0]
}

// step asserts how a step's last visit ended and returns its record.
func (w *world) step(id string, status workflowv1.StepStatus) *workflowv1.StepRecord {
	w.t.Helper()
	rec := w.run().GetSteps()[id]
	if rec.GetStatus() != status {
		w.t.Fatalf("step %s is %v, wanted %s", id, rec, status)
	}
	return rec
}

const (
	done    = workflowv1.StepStatus_STEP_STATUS_SUCCEEDED
	skipped = workflowv1.StepStatus_STEP_STATUS_SKIPPED
	broken  = workflowv1.StepStatus_STEP_STATUS_FAILED
	undone  = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
)

// output is the output of a step, as later expressions see it.
func (w *world) output(id string) string {
	ev := w.event(w.run().GetSteps()[id].GetOutputSequence())
	if s := ev.GetStepCompleted(); s != nil {
		return string(s.GetOutput().GetInline())
	}
	return string(ev.GetOutcomeSettled().GetOutput().GetInline())
}

// facts names the kinds of events that the last input led to.
func (w *world) facts() string {
	var names []string
	for _, ev := range w.made {
		name := fmt.Sprintf("%T", ev.GetFact())
		names = append(names, strings.TrimPrefix(name, "*workflowv1.HistoryEvent_"))
	}
	return strings.Join(names, " ")
}

// sent are the tools whose attempts the whole history has sent, in order, each with its arguments.
func (w *world) sent() []string {
	var out []string
	for i := range w.events {
		e := w.event(uint64(i + 1)).GetOperationIntended()
		if e == nil {
			continue
		}
		op := e.GetOperation()
		seq := op.GetArgumentsSequence()
		if seq == 0 {
			seq = uint64(i + 1)
		}
		out = append(out, op.GetTool()+string(engine.Arguments(w.event(seq))))
	}
	return out
}

// refused asserts that an input is refused, and why.
func (w *world) refused(ev engine.InputEvent, reason errorsv1.ErrorReason) {
	w.t.Helper()
	err := w.try(ev)
	var r *engine.Refusal
	if !errors.As(err, &r) || r.Reason != reason {
		w.t.Fatalf("%T: %v, wanted a refusal %s", ev, err, reason)
	}
}
