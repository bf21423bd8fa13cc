package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// TestAnyRun plays runs of definitions that nobody thought of against tool servers, people, agents, clocks and crashes that do what they
// like, and asserts what is promised: the invariants after each input, no effect twice, nothing left over after an undo, and that a run
// whose inputs all come ends.
func TestAnyRun(t *testing.T) {
	for part := range 8 { // of 100 runs, unless -rapid.checks says otherwise
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, anyRun)
		})
	}
}

func anyRun(t *rapid.T) {
	yaml := anyDefinition(t)
	story := &story{T: t, yaml: yaml}
	s := newSimulation(t, story, compile(story, yaml))
	s.second, s.cache = compileAs(story, "2.0.0", yaml), s.cacheAnswer
	s.submit(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(`{"id":"o1"}`)})
	for range rapid.IntRange(5, 50).Draw(t, "inputs") {
		s.something()
	}
	for range 600 {
		if s.run().GetStatus() == ended {
			break
		}
		s.settle()
	}
	if s.run().GetStatus() != ended {
		s.t.Fatalf("every input has come and the run has not ended; it waits for %s", s.why())
	}
	s.leftOver()
	s.strays()
	s.ledgerIsTrue()
}

// story tells with a failure what led to it.
type story struct {
	*rapid.T
	yaml   string
	inputs []string
}

func (s *story) Fatalf(format string, args ...any) {
	s.Helper()
	s.T.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.inputs, "\n"), s.yaml)
}

// attempt is what the tool server knows of an attempt.
type attempt struct {
	op     *workflowv1.OpenOperation
	number uint32
	path   string
	// lost: its answer was. landed: it had its effect. until: it can still have it. settled: it counts as not happened. told: its receipt has come.
	// surprise: it had its effect after it counted as not happened; covered: while the run went on.
	lost, landed, settled, told, surprise, covered bool

	until time.Time
}

// simulation is the world around a run, with the truth about every effect.
type simulation struct {
	*world
	rt       *rapid.T
	story    *story
	attempts map[string]*attempt
	// standing counts the effects of a place that stand: a step, a fallback of one, or an agent's call. acknowledged are those the run knows of.
	standing     map[string]int
	acknowledged map[string]bool
	keys         map[string]bool
	locks        map[string]bool
	agents       map[string]*agent
	tokens       int
	// surprised: an effect came to light that had counted as not happened, and stands beside the one in its place.
	surprised bool
	// lastUndo is the newest undo of each compensation, by its owner and begin.
	lastUndo map[string]uint64
	// kids are the sub-workflows, by run; signals and position number what comes from outside; first and second are the versions.
	kids          map[string]*kid
	signals       int
	position      uint64
	first, second *workflow.Definition
}

func newSimulation(t *rapid.T, story *story, def *workflow.Definition) *simulation {
	return &simulation{
		world: newWorld(story, def), rt: t, story: story, attempts: map[string]*attempt{}, standing: map[string]int{}, acknowledged: map[string]bool{}, keys: map[string]bool{},
		locks: map[string]bool{}, agents: map[string]*agent{}, lastUndo: map[string]uint64{}, kids: map[string]*kid{}, first: def,
	}
}

// submit gives an input; a refusal is fine. It follows the commands that come back.
func (s *simulation) submit(ev engine.InputEvent) bool {
	s.t.Helper()
	s.jitter = rapid.Float64Range(0, 0.999).Draw(s.rt, "jitter")
	s.story.inputs = append(s.story.inputs, fmt.Sprintf("%s %T%+v", s.now.Format(time.TimeOnly), ev, ev))
	if err := s.try(ev); err != nil {
		s.story.inputs = append(s.story.inputs, "\trefused: "+err.Error())
		return false
	}
	s.story.inputs = append(s.story.inputs, "\t"+s.facts()+"\t"+s.why())
	s.settlements()
	for _, c := range s.commands {
		switch c := c.(type) {
		case engine.Invoke:
			s.invoked(c)
		case engine.AcquireLock:
			s.locks[c.Hold.GetAcquisitionId()] = true
		default:
			s.asked(c)
		}
	}
	for _, c := range s.commands {
		if next := s.obey(c); next != nil && rapid.IntRange(0, 4).Draw(s.rt, "obey") > 0 { // else it is lost, and Resume gives it again
			s.submit(next)
		}
	}
	return true
}

// resume gives the commands that the scheduler itself obeys again.
func (s *simulation) resume() {
	s.t.Helper()
	for _, c := range engine.Resume(s.run()) {
		if next := s.obey(c); next != nil {
			s.submit(next)
		}
	}
}

// invoked asserts that an attempt may go out.
func (s *simulation) invoked(c engine.Invoke) {
	s.t.Helper()
	op := c.Operation
	if op.GetEffect() > workflowv1.Effect_EFFECT_READ && s.acknowledged[place(op)] {
		s.t.Fatalf("%s is sent again over a success that was not undone", op.GetId())
	}
	s.inOrder(op)
	repeatable := op.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || op.GetIdempotencyArgument() != ""
	for _, a := range s.attempts {
		if !repeatable && a.lost && !a.settled && a.op.GetId() == op.GetId() {
			s.t.Fatalf("%s is sent again although nobody knows whether attempt %d happened", op.GetId(), a.number)
		}
	}
	key := attemptKey(op.GetId(), op.GetAttempt())
	if s.attempts[key] != nil {
		s.t.Fatalf("%s is sent twice", key)
	}
	s.attempts[key] = &attempt{op: op, number: op.GetAttempt(), path: c.StepPath}
}

// inOrder asserts that undo goes down in the order of completion, unless the definition lets it go side by side.
func (s *simulation) inOrder(op *workflowv1.OpenOperation) {
	s.t.Helper()
	if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION || op.GetAttempt() > 1 ||
		s.def.Proto.GetCompensation().GetOrder() == workflowv1.Order_ORDER_PARALLEL {
		return
	}
	var seq uint64
	if _, err := fmt.Sscan(op.GetId()[strings.LastIndex(op.GetId(), "/")+1:], &seq); err != nil {
		s.t.Fatalf("undo %s: %v", op.GetId(), err)
	}
	a, _ := s.open(op.GetId())
	key := fmt.Sprint(a.GetUndoOwner(), s.compensation(a.GetUndoOwner()))
	if last := s.lastUndo[key]; last != 0 && seq > last && !s.surprised { // what comes to light while the undo is under way comes when it comes
		s.t.Fatalf("the undo of event %d comes after that of event %d", seq, last)
	}
	s.lastUndo[key] = seq
}

// compensation is the event that began the newest undo of an owner.
func (s *simulation) compensation(owner string) int {
	for i := len(s.events); i > 0; i-- {
		if c := s.event(uint64(i)).GetCompensationStarted(); c != nil && c.GetOwner() == owner {
			return i
		}
	}
	return 0
}

// land gives an attempt its effect.
func (s *simulation) land(a *attempt) {
	s.t.Helper()
	a.landed = true
	op := a.op
	if op.GetEffect() <= workflowv1.Effect_EFFECT_READ {
		return
	}
	if again := s.keys[op.GetIdempotencyKey()]; again && op.GetIdempotencyArgument() != "" {
		return // the server knows the key
	}
	s.keys[op.GetIdempotencyKey()] = true
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION {
		s.standing[s.placeOfUndone(op.GetArgumentsSequence())] = 0
	}
	s.standing[place(op)]++
	if op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE && s.standing[place(op)] > 1 {
		s.t.Fatalf("the effect of %s happened twice (attempt %d)", op.GetId(), a.number)
	}
}

// settlements keeps what the run now takes for granted.
func (s *simulation) settlements() {
	for _, ev := range s.made {
		switch f := ev.GetFact().(type) {
		case *workflowv1.HistoryEvent_StepCompleted:
			if id := f.StepCompleted.GetOperationId(); id != "" && f.StepCompleted.GetHoldsEffect() {
				s.acknowledged[placeOf(s.row(id))] = true
			}
		case *workflowv1.HistoryEvent_OperationSucceeded:
			if row := s.row(f.OperationSucceeded.GetOperationId()); row.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
				s.acknowledged[row.GetId()] = true
			}
		case *workflowv1.HistoryEvent_UndoSettled:
			if f.UndoSettled.GetSucceeded() {
				delete(s.acknowledged, placeAt(f.UndoSettled.GetStepPath(), f.UndoSettled.GetUndone().GetIdempotencyKey()))
			}
		case *workflowv1.HistoryEvent_OutcomeSettled:
			if !f.OutcomeSettled.GetHappened() {
				for _, a := range s.attempts {
					if a.op.GetId() == f.OutcomeSettled.GetOperationId() {
						a.settled = true
					}
				}
			}
		}
	}
}

// happened is the truth about an open operation.
func (s *simulation) happened(op *workflowv1.OpenOperation) bool {
	for _, a := range s.attempts {
		if a.op.GetId() == op.GetId() && a.landed && a.op.GetIdempotencyKey() == op.GetIdempotencyKey() {
			return true
		}
	}
	return false
}

// something happens.
func (s *simulation) something() {
	s.t.Helper()
	if s.run().GetStatus() == ended {
		return
	}
	s.surprise()
	switch uniform(s.rt, 21, "something") {
	case 16, 17, 18, 19, 20:
		s.language()
	case 0, 1, 2, 3, 4:
		if ops := s.flying(); len(ops) > 0 {
			s.result(rapid.SampledFrom(ops).Draw(s.rt, "operation"), uniform(s.rt, 10, "result"))
		}
	case 5:
		s.now = s.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(s.rt, "seconds")) * time.Second)
		s.submit(engine.Tick{})
	case 6:
		if next := engine.NextWake(s.run()); next.After(s.now) {
			s.now = next
		}
		s.submit(engine.Tick{})
	case 7, 14, 15:
		s.stray()
	case 8, 9:
		s.person(rapid.Bool().Draw(s.rt, "kind"))
	case 10, 11:
		s.agent(uniform(s.rt, 10, "agent"))
	case 12:
		s.lockService()
	default:
		s.rare(uniform(s.rt, 8, "rare"))
	}
}

// rare is what happens now and then.
func (s *simulation) rare(n int) {
	s.t.Helper()
	switch n {
	case 0:
		s.submit(engine.Cancel{Reason: "enough"})
	case 1:
		s.busy["s"] = !s.busy["s"]
		s.slots()
	case 2:
		s.breaker["s"] = s.now.Add(time.Minute)
	case 3:
		s.submit(engine.Signal{Name: "n", RequestID: "s1"})
	default: // everything crashes, and what the gateway knows of each attempt is asked
		for _, op := range s.flying() {
			s.result(op, uniform(s.rt, 10, "result"))
		}
		s.agents = map[string]*agent{}
		s.resume()
	}
}

// result is what becomes of an attempt.
func (s *simulation) result(op *workflowv1.OpenOperation, how int) {
	s.t.Helper()
	a := s.attempts[attemptKey(op.GetId(), op.GetAttempt())]
	bad := engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Message: "it failed"}
	bad.Type = rapid.SampledFrom([]errorsv1.ErrorType{timeout, unavailable, invalid}).Draw(s.rt, "type")
	switch {
	case op.GetTool() == "find":
		s.submit(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: s.probe(op, how), IsError: how == 9})
	case how == 0:
		s.submit(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(`"no"`), IsError: true})
	case how == 1:
		s.submit(bad)
	case how == 2:
		bad.Resend = true
		delete(s.attempts, attemptKey(op.GetId(), op.GetAttempt()))
		s.submit(bad)
	case how == 3 || how == 4:
		if how == 3 {
			s.land(a)
		}
		bad.Unknown, a.lost = true, true
		bad.Resend = rapid.Bool().Draw(s.rt, "gateway ended")
		if bad.ServerEnded = rapid.Bool().Draw(s.rt, "ended"); !bad.ServerEnded {
			a.until = s.now.Add(maxDuration)
		} else {
			a.until = s.now
		}
		s.submit(bad)
	default:
		s.land(a)
		a.told = true
		s.submit(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: output(how)})
	}
}

func output(how int) json.RawMessage {
	if how == 5 {
		return json.RawMessage(`{"n":"misfit"}`)
	}
	return json.RawMessage(`{"n":1}`)
}

// probe answers truthfully, or not at all.
func (s *simulation) probe(op *workflowv1.OpenOperation, how int) json.RawMessage {
	if how == 8 {
		return json.RawMessage(`{}`)
	}
	_, subject := s.open(op.GetSubjectOperation())
	return json.RawMessage(fmt.Sprintf(`{"found":%t,"n":1}`, s.happened(subject)))
}

func (s *simulation) open(id string) (*workflowv1.ActiveStep, *workflowv1.OpenOperation) {
	for _, a := range s.run().GetActive() {
		for _, op := range append(a.GetTask().GetOpenCalls(), a.GetOperation()) {
			if op.GetId() == id {
				return a, op
			}
		}
	}
	return nil, nil
}

// stray is an attempt that lands late, or an answer that comes late or again.
func (s *simulation) stray() {
	s.t.Helper()
	var late []string
	for key, a := range s.attempts {
		if a.lost && (a.landed || a.until.After(s.now)) {
			late = append(late, key)
		}
	}
	if len(late) == 0 {
		return
	}
	slices.Sort(late)
	a := s.attempts[rapid.SampledFrom(late).Draw(s.rt, "late")]
	if !a.landed {
		s.land(a)
	}
	if rapid.Bool().Draw(s.rt, "receipt") {
		a.told = true
		s.submit(engine.Answered{OperationID: a.op.GetId(), Attempt: a.number, Output: json.RawMessage(`{"n":2}`)})
	}
}

// person answers an open question, and about outcomes truthfully.
func (s *simulation) person(first bool) {
	s.t.Helper()
	pending := s.run().GetPendingDecisions()
	if len(pending) == 0 {
		return
	}
	q := s.event(pending[len(pending)-1].GetSequence()).GetEscalationOpened()
	if first {
		q = s.event(pending[0].GetSequence()).GetEscalationOpened()
	}
	d := engine.Decide{EscalationID: q.GetEscalationId(), By: rapid.SampledFrom([]string{"pat", "sam", "kim"}).Draw(s.rt, "who"), SubjectDigest: q.GetSubjectDigest()}
	d.Decision = rapid.SampledFrom(q.GetDecisions()).Draw(s.rt, "decision")
	switch q.GetKind() {
	case onError:
		d.Value = json.RawMessage(`{"n":1}`)
	case onUnknown:
		_, op := s.open(q.GetOperationId())
		if s.happened(op) && d.Decision == "did_not_happen" {
			d.Decision = "happened"
		} else if !s.happened(op) {
			d.Decision = "did_not_happen"
		}
		d.Value = json.RawMessage(`{"n":1}`)
	case onUndo:
		if d.Decision == "done_by_hand" {
			s.standing[s.placeOfUndone(q.GetEvidence().GetArgumentsSequence())] = 0
		}
	}
	s.submit(d)
}

// lockService grants what is asked for and confirms what is given back.
func (s *simulation) lockService() {
	s.t.Helper()
	for _, h := range s.run().GetLocks() {
		switch h.GetStatus() {
		case workflowv1.LockStatus_LOCK_STATUS_WAITING:
			s.submit(engine.LockAcquired{AcquisitionID: h.GetAcquisitionId(), Token: "t"})
		case workflowv1.LockStatus_LOCK_STATUS_RELEASING:
			s.submit(engine.LockFreed{AcquisitionID: h.GetAcquisitionId()})
		}
	}
}

func (s *simulation) slots() {
	s.t.Helper()
	for _, a := range s.run().GetActive() {
		s.submit(engine.SlotFree{StepPath: a.GetPath()})
	}
}

// settle gives the run every input that it waits for, and nothing goes wrong any more.
func (s *simulation) settle() {
	s.t.Helper()
	s.busy, s.breaker = map[string]bool{}, map[string]time.Time{}
	s.lockService()
	s.slots()
	s.resume()
	s.settleLanguage()
	for _, op := range s.flying() {
		s.result(op, 7)
	}
	s.person(true)
	s.agent(rapid.SampledFrom([]int{0, 3}).Draw(s.rt, "agent"))
	if s.run().GetStatus() == ended {
		return
	}
	if next := engine.NextWake(s.run()); !next.IsZero() {
		if next.After(s.now) {
			s.now = next
		}
		s.submit(engine.Tick{})
		return
	}
	s.now = s.now.Add(maxDuration)
}

// leftOver asserts that a run which undid everything has left nothing.
func (s *simulation) leftOver() {
	s.t.Helper()
	run := s.run()
	if run.GetOutcome() != cancelled && run.GetOutcome() != timedOut {
		return
	}
	s.kidsLeftOver()
	s.surprisesLeftOver()
	for id := range s.rows {
		row := s.row(id)
		if row.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP || row.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			continue
		}
		name := id[:strings.LastIndex(id, "/")]
		step, ok := s.def.Step(stepOf(id))
		if ok && step.Compensate != nil && s.standing[placeOf(row)] != 0 {
			s.t.Fatalf("the run is %s, and the effect of %s stands", run.GetOutcome(), name)
		}
	}
}
