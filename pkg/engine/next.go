package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Admission is the answer to a wish to send an attempt now.
type Admission struct {
	// Verdict says whether it may go.
	Verdict Verdict
	// Incarnation of the gateway that will send it. Set when granted.
	Incarnation string
	// Until is when an open breaker lets calls through again. Set when refused.
	Until time.Time
}

// Verdict is the kind of an admission.
type Verdict int

// The kinds of admission.
const (
	// Granted: the slot is taken, the attempt goes out once its intent is durable.
	Granted Verdict = iota
	// Busy: no slot is free; the asker is told by SlotFree.
	Busy
	// BreakerOpen: the tool server's breaker refuses calls.
	BreakerOpen
)

// Gate answers what depends on more than the run. The answer is an input like any other: what follows from it is recorded.
type Gate interface {
	// Admit asks for a slot at a tool server for a step. The breaker is the definition's name of one, or empty.
	Admit(server, tool, breaker, stepPath string) Admission
	// Upgrade returns the definition that a run which upgrades by itself should go on under when it enters a state: the newest version of its
	// workflow; nil: there is none but its own. The engine sees to it that the run can move there.
	Upgrade(def *workflow.Definition, run *workflowv1.Run, to string) *workflow.Definition
}

// Source gives earlier events of the run, payloads in full. Next asks only for what Needs named, and for events of its own making.
type Source interface {
	// Event returns the event of a sequence; nil when it is not at hand.
	Event(sequence uint64) *workflowv1.HistoryEvent
}

// Result is what follows from an input.
type Result struct {
	// Events to commit, in order. Empty: nothing changed.
	Events []*workflowv1.HistoryEvent
	// Operations are the ledger entries that changed, sorted by id.
	Operations []*workflowv1.Operation
	// Commands to give once the events are durable, in order.
	Commands []Command
	// Replies to callers who wait for an agent's call, once the events are durable.
	Replies []Reply
	// Definition that the run is under from now on; nil: the one that was given.
	Definition *workflow.Definition
}

// Next decides what follows from an input and applies it to the run in place; for Start the run is nil in the fold. After an error
// other than *Refusal the run must be read again: it may be half changed.
func Next(def *workflow.Definition, f *Fold, src Source, gate Gate, in Input) (*Result, error) {
	if f.Run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED && !afterEnd(in.Event) {
		return nil, refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED, "run %s has ended (%s)", f.Run.GetId(), f.Run.GetOutcome())
	}
	f.Operations = map[string]*workflowv1.Operation{}
	m := &machine{def: def, fold: f, run: f.Run, src: src, gate: gate, in: in, now: runTime(f.Run, in.Time), made: map[uint64]*workflowv1.HistoryEvent{}}
	if err := m.take(in.Event); err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, m.err
	}
	res := m.result()
	if m.def != def {
		res.Definition = m.def
	}
	return res, nil
}

// afterEnd tells which inputs an ended run still takes.
func afterEnd(ev InputEvent) bool {
	switch ev.(type) {
	case LockFreed, Decide, Tick, Answered, Unanswered, SlotFree, LockAcquired, Continue, Gathered, EventArrived, ChildStarted, ChildEnded, UndoRun,
		Cede, UndoTakenOver, CacheAnswered:
		return true
	}
	return false
}

// runTime is the time that counts for the run: it never goes back, and is cut to microseconds so that every store keeps it whole.
func runTime(run *workflowv1.Run, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if last := run.GetUpdateTime().AsTime(); run.GetUpdateTime() != nil && last.After(now) {
		return last
	}
	return now
}

// machine is one call of Next under way.
type machine struct {
	def  *workflow.Definition
	fold *Fold
	run  *workflowv1.Run
	src  Source
	gate Gate
	in   Input
	now  time.Time

	events   []*workflowv1.HistoryEvent
	made     map[uint64]*workflowv1.HistoryEvent
	commands []Command
	replies  []Reply
	err      error
}

// take hands an input to the part of the interpreter that it concerns, then ends what is over its time and begins what was waited with.
func (m *machine) take(ev InputEvent) error {
	var err error
	held, subscriptions := heldOffers(m.run), subscribed(m.run)
	switch ev := ev.(type) {
	case Start:
		err = m.start(ev)
	case Answered:
		m.answered(ev)
	case Unanswered:
		m.unanswered(ev)
	case SlotFree:
		m.slotFree(ev)
	case Tick:
		m.tick()
	case LockAcquired:
		m.lockAcquired(ev)
	case LockFreed:
		m.lockFreed(ev)
	case Signal:
		err = m.signal(ev)
	case EventArrived:
		m.eventArrived(ev)
	case ChildStarted:
		m.childStarted(ev)
	case ChildEnded:
		m.childEnded(ev)
	case UndoRun:
		err = m.undoRun(ev)
	case CacheAnswered:
		m.cacheAnswered(ev)
	case ReportUsage:
		err = m.reportUsage(ev)
	case Pause:
		m.pause(ev)
	case Unpause:
		m.unpause(ev)
	case Edit:
		err = m.edit(ev)
	case Forked:
		err = m.forked(ev)
	case Cede:
		err = m.cede(ev)
	case UndoTakenOver:
		m.undoTakenOver(ev)
	case Migrate:
		err = m.migrate(ev)
	case Cancel:
		m.cancel(ev)
	case Decide:
		err = m.decide(ev)
	case ClaimTask:
		err = m.claimTask(ev)
	case ReleaseTask:
		err = m.releaseTask(ev)
	case CallTool:
		err = m.callTool(ev)
	case ReadAnswered:
		err = m.readAnswered(ev)
	case CompleteTask:
		err = m.completeTask(ev)
	case FailTask:
		err = m.failTask(ev)
	case Gathered:
		m.gathered(ev)
	case Continue:
	default:
		err = fmt.Errorf("engine: input %T is not known", ev)
	}
	if err != nil || m.err != nil {
		return err
	}
	m.settleBudgets()
	m.continueUndo() // before what its end may lead to is brought on
	m.bringOn()
	m.releaseStepLocks()
	m.offerHeld(held)
	m.subscribe(subscriptions)
	return nil
}

// emit appends an event and folds it in.
func (m *machine) emit(ev *workflowv1.HistoryEvent) {
	if m.err != nil {
		return
	}
	ev.Sequence = m.run.GetSequence() + 1
	ev.Time = timestamppb.New(m.now)
	if err := m.fold.Apply(ev); err != nil {
		m.err = fmt.Errorf("engine: %w", err)
		return
	}
	m.run = m.fold.Run
	m.events = append(m.events, ev)
	m.made[ev.GetSequence()] = ev
}

func (m *machine) command(c Command) {
	if _, ok := c.(Proceed); ok && slices.ContainsFunc(m.commands, func(o Command) bool { _, ok := o.(Proceed); return ok }) {
		return
	}
	m.commands = append(m.commands, c)
}

func (m *machine) reply(r Reply) { m.replies = append(m.replies, r) }

func (m *machine) result() *Result {
	res := &Result{Events: m.events, Commands: m.commands, Replies: m.replies}
	if len(m.events) == 0 {
		return res
	}
	for _, id := range sortedKeys(m.fold.Operations) {
		if row := m.fold.Operations[id]; row.GetUpdateSequence() >= m.events[0].GetSequence() {
			res.Operations = append(res.Operations, row)
		}
	}
	return res
}

var errMissing = errors.New("engine: an event that Needs named was not given")

// event returns an earlier event or one of this call. A missing one is a fault of the caller and ends the call.
func (m *machine) event(seq uint64) *workflowv1.HistoryEvent {
	if ev := m.made[seq]; ev != nil {
		return ev
	}
	ev := m.src.Event(seq)
	if ev == nil && m.err == nil {
		m.err = fmt.Errorf("%w (run %s, event %d)", errMissing, m.run.GetId(), seq)
	}
	return ev
}

func (m *machine) after(d time.Duration) *timestamppb.Timestamp {
	if d <= 0 {
		return nil
	}
	return m.at(m.now.Add(d))
}

// at is a moment as it is recorded: whole microseconds, like run time, so that a Tick at that very moment finds it due.
func (m *machine) at(t time.Time) *timestamppb.Timestamp {
	return timestamppb.New(t.Truncate(time.Microsecond))
}

func refuse(reason errorsv1.ErrorReason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
