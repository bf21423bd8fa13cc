package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Subscribe asks for the events that a step waits for. Whoever carries it out reads the log from the event of the run that began the wait, or
// from the run's start when Wait says so, and gives each event that Matches one of the filters as EventArrived.
type Subscribe struct {
	// StepPath is the step that waits.
	StepPath string
	// Wait as it stands in the head. Filters for signals are in it too, and need nothing: signals come to the run itself.
	Wait *workflowv1.EventWait
}

// Unsubscribe ends a Subscribe.
type Unsubscribe struct {
	// StepPath is the step that waited.
	StepPath string
}

func (Subscribe) command()   {}
func (Unsubscribe) command() {}

// EventArrived is an event of the namespace's log that a step may wait for. One that nobody waits for any more changes nothing.
type EventArrived struct {
	// StepPath is the step that subscribed.
	StepPath string
	// Position in the namespace's log, from 1.
	Position uint64
	// Event with its data in full.
	Event *workflowv1.EmittedEvent
	// PublishTime is when it was published.
	PublishTime time.Time
}

func (EventArrived) inputEvent() {}

const (
	// maxPendingSignals bounds the signals that no step has taken yet.
	maxPendingSignals = 256
	// signalsAtHand is how many pending signals any input has at hand, so that a wait that begins can take one at once.
	signalsAtHand = 8
	// signalSource is the source that signals have as events.
	signalSource = "signalbox/signal"
)

// beginWaitEvent makes a subscription durable. Pending signals are taken in bringOn.
func (m *machine) beginWaitEvent(s *instance, w *workflow.WaitEvent) bool {
	wait := &workflowv1.EventWait{All: w.All, FromRunStart: w.FromRunStart, Sequence: m.run.GetSequence() + 1}
	if w.All {
		wait.Matched = make([]uint64, len(w.Filters))
	}
	scope := m.scopeAt(s)
	for i, f := range w.Filters {
		sub := &workflowv1.EventSubscription{Type: f.Type, Source: f.Source}
		for _, c := range f.Correlate {
			v, err := c.Expr.EvalJSON(scope)
			if err != nil {
				return m.failStep(s, m.invalid(s, fmt.Sprintf("wait_event.%d.correlate.%s", i, c.Name), err), failure{})
			}
			if sub.Correlate == nil {
				sub.Correlate = map[string][]byte{}
			}
			sub.Correlate[c.Name] = v
		}
		wait.Filters = append(wait.Filters, sub)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT, EventWait: wait, StepDeadline: m.stepDeadline(s),
	}}})
	return false
}

// eventArrived gives an event to the step that waits for it.
func (m *machine) eventArrived(ev EventArrived) {
	a := activeByPath(m.run, ev.StepPath)
	s, ok := m.stepOf(a)
	if !ok || a.GetEventWait() == nil || ev.Position == 0 || ev.Event == nil || consumed(m.run, ev.Position) || m.ceasing(a.GetPath()) {
		return
	}
	if i := m.matching(s, a, ev.Event, ev.PublishTime); i >= 0 {
		m.consume(s, a, &workflowv1.EventConsumed{
			StepPath: a.GetPath(), Filter: uint32(i), Position: ev.Position, Event: ev.Event, PublishTime: m.at(ev.PublishTime),
		})
	}
}

// consumed reports whether an event of the log has entered the run, or is too old for the run to know.
func consumed(run *workflowv1.Run, position uint64) bool {
	return position <= run.GetEventFloor() || slices.Contains(run.GetConsumedEvents(), position)
}

// settleSignals gives a pending signal to a step that waits for it, and reports whether there was one.
func (m *machine) settleSignals() bool {
	if len(m.run.GetPendingSignals()) == 0 {
		return false
	}
	for _, a := range m.run.GetActive() {
		s, ok := m.stepOf(a)
		if !ok || a.GetEventWait() == nil || m.ceasing(a.GetPath()) {
			continue
		}
		for _, p := range m.run.GetPendingSignals() {
			if !awaits(a.GetEventWait(), workflow.SignalPrefix+p.GetName()) {
				continue
			}
			if !m.atHand(p.GetSequence()) {
				m.command(Proceed{}) // with the next input it is
				return false
			}
			recorded := m.event(p.GetSequence())
			if i := m.matching(s, a, m.signalEvent(recorded), recorded.GetTime().AsTime()); i >= 0 {
				e := &workflowv1.EventConsumed{
					StepPath: a.GetPath(), Filter: uint32(i), Event: m.signalEvent(recorded), PublishTime: recorded.GetTime(), SignalSequence: p.GetSequence(),
				}
				e.Event.Data = nil // SignalReceived holds it
				m.consume(s, a, e)
				return true
			}
		}
	}
	return false
}

// awaits reports whether a wait has a filter for a type that is not matched yet.
func awaits(w *workflowv1.EventWait, kind string) bool {
	for i, f := range w.GetFilters() {
		if f.GetType() == kind && !matched(w, i) {
			return true
		}
	}
	return false
}

func matched(w *workflowv1.EventWait, i int) bool {
	return i < len(w.GetMatched()) && w.GetMatched()[i] != 0
}

// matching is the first filter of a wait that takes an event; -1: none does. A condition that has no value for an event does not take it.
func (m *machine) matching(s *instance, a *workflowv1.ActiveStep, ev *workflowv1.EmittedEvent, at time.Time) int {
	work := m.workOf(s, a).WaitEvent
	if work == nil {
		return -1
	}
	for i, sub := range a.GetEventWait().GetFilters() {
		if matched(a.GetEventWait(), i) || i >= len(work.Filters) || !Matches(sub, ev) {
			continue
		}
		if when := work.Filters[i].When; when != nil {
			scope := m.scopeAt(s)
			scope.Event = cloudEvent(ev, at, -1)
			if ok, err := when.EvalBool(scope); err != nil || !ok {
				continue
			}
		}
		return i
	}
	return -1
}

// consume records an event as taken and completes the wait when it was the last one.
func (m *machine) consume(s *instance, a *workflowv1.ActiveStep, e *workflowv1.EventConsumed) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_EventConsumed{EventConsumed: e}})
	if m.err != nil {
		return
	}
	wait := activeByPath(m.run, a.GetPath()).GetEventWait()
	if wait.GetAll() && slices.Contains(wait.GetMatched(), 0) {
		return
	}
	out, err := m.eventOutput(wait, e)
	if err != nil {
		m.err = fmt.Errorf("engine: event of %s: %w", s.Path, err)
		return
	}
	m.succeedStep(s, completion{output: out})
}

// eventOutput is the output of a wait: the event, or all of them in the order of the filters.
func (m *machine) eventOutput(wait *workflowv1.EventWait, last *workflowv1.EventConsumed) (json.RawMessage, error) {
	if !wait.GetAll() {
		ev := last.GetEvent()
		if seq := last.GetSignalSequence(); seq != 0 {
			ev = m.signalEvent(m.event(seq))
		}
		return cloudEvent(ev, last.GetPublishTime().AsTime(), int(last.GetFilter())), m.err
	}
	list := make([]json.RawMessage, len(wait.GetMatched()))
	for i, seq := range wait.GetMatched() {
		ev := m.event(seq)
		if m.err != nil {
			return nil, m.err
		}
		if c := ev.GetEventConsumed(); c != nil {
			list[i] = cloudEvent(c.GetEvent(), c.GetPublishTime().AsTime(), -1)
		} else {
			list[i] = cloudEvent(m.signalEvent(ev), ev.GetTime().AsTime(), -1)
		}
	}
	return json.Marshal(list)
}

// signalEvent is a signal as an event.
func (m *machine) signalEvent(recorded *workflowv1.HistoryEvent) *workflowv1.EmittedEvent {
	sig := recorded.GetSignalReceived()
	id := sig.GetRequestId()
	if id == "" {
		id = fmt.Sprintf("%s/%d", m.run.GetId(), recorded.GetSequence())
	}
	return &workflowv1.EmittedEvent{Id: id, Type: workflow.SignalPrefix + sig.GetName(), Source: signalSource, Data: sig.GetValue()}
}

// cloudEvent is an event as expressions and outputs have it, with the place of the filter that took it unless that is negative.
func cloudEvent(ev *workflowv1.EmittedEvent, at time.Time, filter int) json.RawMessage {
	out := struct {
		ID      string          `json:"id"`
		Type    string          `json:"type"`
		Source  string          `json:"source"`
		Subject string          `json:"subject"`
		Time    string          `json:"time"`
		Data    json.RawMessage `json:"data"`
		Filter  *int            `json:"filter,omitempty"`
	}{
		ID: ev.GetId(), Type: ev.GetType(), Source: ev.GetSource(), Subject: ev.GetSubject(), Time: at.UTC().Format(time.RFC3339Nano),
		Data: nullable(ev.GetData().GetInline()),
	}
	if !json.Valid(out.Data) {
		out.Data = json.RawMessage("null")
	}
	if filter >= 0 {
		out.Filter = &filter
	}
	v, err := json.Marshal(out) // texts and valid JSON: it cannot fail
	if err != nil {
		return nil
	}
	return v
}

// CloudEvent is an event as the expressions of a definition have it.
func CloudEvent(ev *workflowv1.EmittedEvent, at time.Time) json.RawMessage {
	return cloudEvent(ev, at, -1)
}

// signal records input sent to the run. It is kept until a step takes it, if any step of the definition waits for it.
func (m *machine) signal(s Signal) error {
	s.Value = compact(s.Value)
	if repeated, err := m.repeated(signalRequest(s.RequestID, s.Name, inline(s.Value))); repeated {
		return err
	}
	if err := m.checkSignal(s); err != nil {
		return err
	}
	received := &workflowv1.SignalReceived{
		Name: s.Name, Value: inline(s.Value), RequestId: s.RequestID, SentBy: s.SentBy, Kept: takesEvent(m.def, workflow.SignalPrefix+s.Name),
	}
	full := len(m.run.GetPendingSignals()) >= maxPendingSignals
	if received.GetKept() && full && !m.taken(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_SignalReceived{SignalReceived: received}}) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_SIGNALS_FULL, "run %s holds %d signals that no step has taken; the oldest is %q",
			m.run.GetId(), len(m.run.GetPendingSignals()), m.run.GetPendingSignals()[0].GetName())
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_SignalReceived{SignalReceived: received}})
	return nil
}

// checkSignal refuses a signal that the definition does not take.
func (m *machine) checkSignal(s Signal) error {
	if len(s.Value) > 0 && !json.Valid(s.Value) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "value of signal %q is not valid JSON", s.Name)
	}
	if m.def.Signals == nil {
		return nil
	}
	schema, ok := m.def.Signals[s.Name]
	if !ok {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "signal %q is not one that workflow %s takes: %s",
			s.Name, m.run.GetWorkflow(), strings.Join(sortedKeys(m.def.Signals), ", "))
	}
	if schema == nil {
		return nil
	}
	if err := schema.Validate(nullable(s.Value)); err != nil {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "value of signal %q: %v", s.Name, err)
	}
	return nil
}

// taken reports whether an open wait takes a signal at once.
func (m *machine) taken(recorded *workflowv1.HistoryEvent) bool {
	return slices.ContainsFunc(m.run.GetActive(), func(a *workflowv1.ActiveStep) bool {
		s, ok := m.stepOf(a)
		return ok && a.GetEventWait() != nil && !m.ceasing(a.GetPath()) && m.matching(s, a, m.signalEvent(recorded), m.now) >= 0
	})
}

// takesEvent reports whether any step of a definition waits for a type of event.
func takesEvent(def *workflow.Definition, kind string) bool {
	for _, st := range def.States {
		if blockTakes(st.Block, kind) || handlersTake(st.Handlers, kind) {
			return true
		}
	}
	return handlersTake(def.Handlers, kind)
}

func blockTakes(b *workflow.Block, kind string) bool {
	return b != nil && slices.ContainsFunc(b.Steps, func(s *workflow.Step) bool { return stepTakes(s, kind) })
}

func stepTakes(s *workflow.Step, kind string) bool {
	switch {
	case s.WaitEvent != nil && slices.ContainsFunc(s.WaitEvent.Filters, func(f *workflow.EventFilter) bool { return f.Type == kind }):
		return true
	case s.Map != nil && blockTakes(s.Map.Body, kind):
		return true
	case s.Parallel != nil && slices.ContainsFunc(s.Parallel.Branches, func(b *workflow.Block) bool { return blockTakes(b, kind) }):
		return true
	}
	return handlersTake(s.Handlers, kind)
}

func handlersTake(hs []*workflow.Handler, kind string) bool {
	return slices.ContainsFunc(hs, func(h *workflow.Handler) bool {
		return h.Action.FallbackStep != nil && stepTakes(h.Action.FallbackStep, kind)
	})
}

// subscribed are the waits of a run that need its scheduler: those for more than signals.
func subscribed(run *workflowv1.Run) []Subscribe {
	var out []Subscribe
	for _, a := range run.GetActive() {
		w := a.GetEventWait()
		if slices.ContainsFunc(w.GetFilters(), func(f *workflowv1.EventSubscription) bool {
			return !strings.HasPrefix(f.GetType(), workflow.SignalPrefix)
		}) {
			out = append(out, Subscribe{StepPath: a.GetPath(), Wait: w})
		}
	}
	return out
}

// subscribe tells what is different about the waits after an input.
func (m *machine) subscribe(before []Subscribe) {
	if m.err != nil {
		return
	}
	before, after := different(before, subscribed(m.run))
	same := func(list []Subscribe, sub Subscribe) bool { return slices.ContainsFunc(list, sub.is) }
	for _, sub := range before {
		if !same(after, sub) {
			m.command(Unsubscribe{StepPath: sub.StepPath})
		}
	}
	for _, sub := range after {
		if !same(before, sub) {
			m.command(sub.copied())
		}
	}
}

// different cuts off what two lists begin and end with alike: an input changes few of the waits of a run, which may be thousands.
func different(a, b []Subscribe) (restA, restB []Subscribe) {
	for len(a) > 0 && len(b) > 0 && a[0].is(b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].is(b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// is reports whether two are the same wait.
func (s Subscribe) is(o Subscribe) bool {
	return s.Wait.GetSequence() == o.Wait.GetSequence() && s.StepPath == o.StepPath
}

// copied is a subscription that does not change with the head.
func (s Subscribe) copied() Subscribe {
	s.Wait = clone(s.Wait)
	return s
}

// signalNeeds are the pending signals that any input has at hand: those that an open wait may take, and the oldest ones.
func signalNeeds(seqs []uint64, run *workflowv1.Run) []uint64 {
	for i, p := range run.GetPendingSignals() {
		if i < signalsAtHand || awaited(run, p) {
			seqs = append(seqs, p.GetSequence())
		}
	}
	return seqs
}

func awaited(run *workflowv1.Run, p *workflowv1.PendingSignal) bool {
	return slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool {
		return awaits(a.GetEventWait(), workflow.SignalPrefix+p.GetName())
	})
}

// eventWords says what a wait is for, and who can end it.
func eventWords(w *workflowv1.EventWait) (what, owner string) {
	var names []string
	owner = "whoever sends it: signalbox run signal"
	for i, f := range w.GetFilters() {
		if matched(w, i) {
			continue
		}
		if name, signal := strings.CutPrefix(f.GetType(), workflow.SignalPrefix); signal {
			names = append(names, "signal "+name)
			continue
		}
		owner = "whoever publishes it"
		names = append(names, "an event of type "+f.GetType())
	}
	join := " or "
	if w.GetAll() {
		join = " and "
	}
	return strings.Join(names, join), owner
}
