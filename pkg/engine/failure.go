package engine

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// failure is what is known of an error besides its problem.
type failure struct {
	// unknown: the attempt may have had its effect. serverEnded: the process that could still act on it has ended.
	unknown, serverEnded bool
	// retryAfter is what the tool server asks to wait.
	retryAfter time.Duration
	// retryAt is the earliest time of a retry.
	retryAt time.Time
	// noRetry: the tool server gets no more retries for now, or the step no more time.
	noRetry bool
	// inner: it is the error of a branch or an item, on which retries were spent already.
	inner bool
	// gatewayEnded: the gateway that sent the attempt ended before the answer came. Of the tool this says nothing.
	gatewayEnded bool
}

// choice is a handler with what it does now.
type choice struct {
	path    string
	handler *workflow.Handler
	retry   bool
	wake    time.Time
}

// handlerScope is a list of handlers with the name of its scope in handler paths.
type handlerScope struct {
	name     string
	handlers []*workflow.Handler
	// outer tells that the scope lies around the branch or item that the step is in, or would: the state's and the run's do.
	outer bool
}

func scopesOf(def *workflow.Definition, s *workflow.Step) []handlerScope {
	return []handlerScope{
		{name: "step", handlers: s.Handlers},
		{name: "state", handlers: s.State.Handlers, outer: true},
		{name: "run", handlers: def.Handlers, outer: true},
	}
}

// openScopes are the scopes whose handlers may take an error of an open step. For an error of a fallback these are the handlers of the
// fallback's own step, then those outside of the handler that began it: that one, and what is inside of it, is spent.
func (m *machine) openScopes(s *instance, a *workflowv1.ActiveStep) []handlerScope {
	scopes := scopesOf(m.def, s.Step)
	if a.GetFallback() == "" {
		return scopes
	}
	begunIn, _, _ := strings.Cut(a.GetFallback(), "/")
	i := slices.IndexFunc(scopes, func(sc handlerScope) bool { return sc.name == begunIn })
	if m.cachedFallback(s, a) != nil {
		return scopes[i+1:]
	}
	return append([]handlerScope{{name: a.GetFallback(), handlers: m.workOf(s, a).Handlers}}, scopes[i+1:]...)
}

// workOf is the step whose work is done: the step itself, or the fallback's step that the path of its handler leads to.
func (m *machine) workOf(s *instance, a *workflowv1.ActiveStep) *workflow.Step {
	_, work := handlerAt(m.def, s.Step, a.GetFallback())
	return work
}

// Work is the step whose work an open step of a run does: its own, or that of a fallback's step in its place. Nil: the definition does not have it.
func Work(def *workflow.Definition, a *workflowv1.ActiveStep) *workflow.Step {
	s, ok := stepByRecord(def, a.GetStepId())
	if !ok {
		return nil
	}
	_, work := handlerAt(def, s, a.GetFallback())
	return work
}

// handlerAt is the handler that a path leads to, and the step whose work is done under it. A fallback's step may have a fallback in turn, so that
// a path is a scope and the index of a handler at each level. A handler that asks for a cached output is the end of its path.
func handlerAt(def *workflow.Definition, s *workflow.Step, path string) (*workflow.Handler, *workflow.Step) {
	if path == "" {
		return nil, s
	}
	parts := strings.Split(path, "/")
	var handlers []*workflow.Handler
	for _, sc := range scopesOf(def, s) {
		if sc.name == parts[0] {
			handlers = sc.handlers
		}
	}
	var h *workflow.Handler
	work := s
	for _, index := range parts[1:] {
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(handlers) {
			return nil, s
		}
		h = handlers[i]
		if h.Action.FallbackStep == nil {
			if h.Action.Kind != workflow.ActionFallbackCached {
				return nil, s
			}
			return h, work
		}
		work, handlers = h.Action.FallbackStep, h.Action.FallbackStep.Handlers
	}
	return h, work
}

// failStep takes up an error of a step that has no attempt to record. It reports whether the step has a result nevertheless.
func (m *machine) failStep(s *instance, p *workflowv1.Problem, f failure) bool {
	if m.ceasing(s.Path) {
		m.giveUp(s, p)
		return false
	}
	a := activeByPath(m.run, s.Path)
	c := m.pick(s, a, p, f)
	if c.retry {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF, WakeTime: m.at(c.wake),
			Handler: c.path, Problem: p, StepDeadline: m.stepDeadline(s),
		}}})
		return false
	}
	return m.act(s, c, p, f)
}

// attemptFailed is the record of an attempt without success. An answer that was lost leaves the operation in doubt until the doubt is
// settled or a later attempt succeeds: that a tool refuses a later one ("cancelled already") says nothing about the first.
func (m *machine) attemptFailed(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem, f failure) *workflowv1.AttemptFailed {
	e := &workflowv1.AttemptFailed{
		StepPath: a.GetPath(), OperationId: op.GetId(), Attempt: op.GetAttempt(), Status: workflowv1.OperationStatus_OPERATION_STATUS_FAILED,
		Problem: p, Jitter: m.in.Jitter, GatewayEnded: f.gatewayEnded,
	}
	if f.unknown || op.GetInDoubt() {
		e.Status = workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
	}
	if f.unknown {
		e.SettleTime = m.settleTime(s, a, op, f.serverEnded)
	}
	if f.retryAfter > 0 {
		e.RetryAfter = m.after(f.retryAfter)
	}
	return e
}

// attemptOver records an attempt without success and takes up its error.
func (m *machine) attemptOver(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem, f failure) {
	e := m.attemptFailed(s, a, op, p, f)
	doubt := e.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
	var c choice
	if !m.ceasing(s.Path) || doubt && op.GetEffect() > workflowv1.Effect_EFFECT_READ {
		c = m.pick(s, a, p, f)
	}
	if !c.retry && doubt && !f.noRetry && (f.unknown || transient(p.GetType())) {
		c = m.resendWithKey(a, op, c, f)
	}
	if c.retry {
		e.WakeTime, e.Handler, e.Next = m.at(c.wake), c.path, workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
	if c.retry || m.err != nil {
		return
	}
	if doubt && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
		// Retries with the key are spent and nobody knows: what is left is to ask the probe, or a person.
		m.askAbout(s, a, openByID(activeByPath(m.run, a.GetPath()), op.GetId()))
		return
	}
	if m.act(s, c, p, f) {
		m.goOn(s)
	}
}

const (
	// gatewayRetry is the handler path under which attempts are counted that were tried again because their gateway had ended.
	gatewayRetry = "gateway"
	// maxGatewaysEnded bounds them for a step: past it, it may be the call that ends the gateways, and counts as any failure.
	maxGatewaysEnded = 10
)

// pardoned tells whether an attempt is tried again at nobody's cost. A handler's retry is for what the tool and its server do; that one
// of our own processes ended is not the author's to count with.
func pardoned(a *workflowv1.ActiveStep, f failure) bool {
	return f.gatewayEnded && a.GetHandlerAttempts()[gatewayRetry] < maxGatewaysEnded
}

// keyRetry is the handler path under which the engine's own repetitions of a keyed write are counted.
const keyRetry = "key"

// resendWithKey repeats a write whose outcome is unknown and whose tool takes a key, when no handler says how often: with the same key a
// repetition is the way to find out, and no handler has to be written for that.
func (m *machine) resendWithKey(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, c choice, f failure) choice {
	spent := a.GetHandlerAttempts()[keyRetry]
	own := min(spent, 1) + min(a.GetHandlerAttempts()[gatewayRetry], 1)
	if declared := uint32(len(a.GetHandlerAttempts())) > own || (c.handler != nil && c.handler.Retry != nil); declared {
		return c
	}
	if op.GetIdempotencyArgument() == "" || op.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || spent+1 >= callRetry.MaxAttempts {
		return c
	}
	return choice{path: keyRetry, retry: true, wake: m.retryTime(&callRetry, spent+1, f)}
}

// pick finds the handler of an error: innermost scope first, within a scope the first that matches. One without action passes the error
// outward once its retry is spent; a retry further out does not apply then, so that retries never multiply. A scope around the branch or
// item of the step only lends its retry: what it does besides is for the parallel or map step, when that fails with the error.
func (m *machine) pick(s *instance, a *workflowv1.ActiveStep, p *workflowv1.Problem, f failure) choice {
	mayRetry := !f.noRetry && errtype.Retriable(p.GetType()) && repeatable(a)
	if mayRetry && pardoned(a, f) {
		return choice{path: gatewayRetry, retry: true, wake: m.now}
	}
	for _, sc := range m.openScopes(s, a) {
		i := slices.IndexFunc(sc.handlers, func(h *workflow.Handler) bool { return m.matches(h, p, s, a) })
		if i < 0 {
			continue
		}
		c := choice{path: sc.name + "/" + strconv.Itoa(i), handler: sc.handlers[i]}
		if r := c.handler.Retry; r != nil {
			spent := a.GetHandlerAttempts()[c.path]
			if mayRetry && spent+1 < r.MaxAttempts && (!sc.outer || !f.inner) {
				c.retry, c.wake = true, m.retryTime(r, spent+1, f)
				return c
			}
			mayRetry = false
		}
		if sc.outer && s.frame() != "" {
			return choice{}
		}
		if k := c.handler.Action.Kind; k != workflow.ActionNone && (k != workflow.ActionFallbackCached || cacheable(m.workOf(s, a))) {
			return c
		}
	}
	return choice{}
}

// matches asks type and condition. "*" does not speak for unknown-outcome: only a handler that names it takes that from a person's hands.
func (m *machine) matches(h *workflow.Handler, p *workflowv1.Problem, s *instance, a *workflowv1.ActiveStep) bool {
	if !h.Matches(p.GetType()) || (h.Any && p.GetType() == errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME) {
		return false
	}
	if h.When == nil {
		return true
	}
	scope := m.scopeAt(s)
	scope.Error = errorInfo(p, int(a.GetOperation().GetAttempt()))
	if op := a.GetOperation(); op != nil {
		scope.Error.Effect = workflow.EffectName(op.GetEffect())
	}
	ok, err := h.When.EvalBool(scope)
	return err == nil && ok
}

// retryTime is exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter"): uniform between nothing and the cap.
func (m *machine) retryTime(r *workflow.Retry, failures uint32, f failure) time.Time {
	ceiling := math.Min(float64(r.Max), float64(r.Initial)*math.Pow(r.Coefficient, float64(failures-1)))
	if r.Jitter == workflowv1.Jitter_JITTER_FULL {
		ceiling *= m.in.Jitter
	}
	at := m.now.Add(time.Duration(ceiling))
	if r.HonorRetryAfter && f.retryAfter > 0 && m.now.Add(f.retryAfter).After(at) {
		at = m.now.Add(f.retryAfter)
	}
	if f.retryAt.After(at) {
		at = f.retryAt
	}
	return at
}

// act does what the chosen handler says. It reports whether the step has its result.
func (m *machine) act(s *instance, c choice, p *workflowv1.Problem, f failure) bool {
	if m.ceasing(s.Path) {
		m.giveUp(s, p) // whatever it belongs to ends, or undoes everything, as soon as its operations are settled
		return false
	}
	if c.handler == nil {
		m.unhandled(s, c, p)
		return false
	}
	act := c.handler.Action
	switch act.Kind {
	case workflow.ActionFallbackOutput:
		return m.fallbackOutput(s, c, p)
	case workflow.ActionFallbackStep:
		m.handled(c, p, "fallback", nil)
		return m.beginFallback(s, c, p)
	case workflow.ActionFallbackCached:
		m.fallBackToCache(s, c, p)
	case workflow.ActionSkip:
		m.handled(c, p, "skip", nil)
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SKIPPED, problem: p})
		return m.err == nil
	case workflow.ActionTransition:
		m.handled(c, p, "transition", nil)
		m.leaveFrom(s, c, p)
	case workflow.ActionEscalate:
		return m.escalate(s, c, p)
	case workflow.ActionCompensate:
		m.handled(c, p, "compensate", afterUndo(act.Compensate, m.evidence(s, "", p)))
		m.leaveFrom(s, c, p)
	case workflow.ActionFail:
		m.handled(c, p, "fail", nil)
		m.leaveFrom(s, c, p)
	}
	return false
}

// unhandled takes up an error that no handler takes: the branch or item of the step fails with it, or else the run.
func (m *machine) unhandled(s *instance, c choice, p *workflowv1.Problem) {
	if frame := s.frame(); frame != "" {
		m.giveUp(s, p)
		m.endBranch(frame, workflowv1.BranchStatus_BRANCH_STATUS_FAILED, p)
		return
	}
	m.handled(c, p, "none", nil)
	m.leaveFrom(s, c, p)
}

// leaveFrom gives a step up and leaves its state as the handler says.
func (m *machine) leaveFrom(s *instance, c choice, p *workflowv1.Problem) {
	m.giveUp(s, p)
	act := workflow.Action{}
	if c.handler != nil {
		act = c.handler.Action
	}
	m.leaveState(&workflowv1.Leaving{Problem: p, Handler: c.path, StepPath: s.Path, StepId: s.ID}, act)
}

func (m *machine) handled(c choice, p *workflowv1.Problem, action string, ev *workflowv1.Evidence) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ErrorHandled{ErrorHandled: &workflowv1.ErrorHandled{
		Problem: p, Handler: c.path, Action: action, Evidence: ev,
	}}})
}

// giveUp leaves a failed step. A step whose operation had its effect nevertheless, or may have had it, keeps that effect on record, and
// what undoes it.
func (m *machine) giveUp(s *instance, p *workflowv1.Problem) {
	if leavesEffect(activeByPath(m.run, s.Path)) {
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_FAILED, problem: p})
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepFailed{StepFailed: &workflowv1.StepFailed{
		StepPath: s.Path, StepId: s.ID, Problem: p, Generation: m.lastGeneration(s),
	}}})
}

func (m *machine) fallbackOutput(s *instance, c choice, p *workflowv1.Problem) bool {
	scope := m.scopeAt(s)
	scope.Error = errorInfo(p, 0)
	out, err := c.handler.Action.FallbackOutput.EvalJSON(scope)
	if err == nil && !m.checkOutput(s, out) {
		err = fmt.Errorf("%s", m.outputProblem(s, out))
	}
	if err != nil {
		m.unhandled(s, choice{}, m.invalid(s, "fallback.output", err))
		return false
	}
	m.handled(c, p, "fallback", nil)
	m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, output: out, problem: p})
	return m.err == nil
}

// beginFallback runs the handler's step in place of the failed one. It reports whether the step has its result.
func (m *machine) beginFallback(s *instance, c choice, p *workflowv1.Problem) bool {
	if leavesEffect(activeByPath(m.run, s.Path)) {
		m.giveUp(s, p) // the effect of the step itself goes on record first
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT, Problem: p, Fallback: c.path, StepDeadline: m.stepDeadline(s),
	}}})
	if m.err != nil {
		return false
	}
	work := c.handler.Action.FallbackStep
	if work.If != nil {
		ok, err := work.If.EvalBool(m.scopeAt(s))
		if err != nil {
			return m.failStep(s, m.invalid(s, "fallback.step.if", err), failure{})
		}
		if !ok {
			m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SKIPPED, problem: p})
			return m.err == nil
		}
	}
	return m.beginWork(s, work)
}

// escalate hands the error to a person: in the target state's gate, or in place; or it notes the limitation and goes on.
func (m *machine) escalate(s *instance, c choice, p *workflowv1.Problem) bool {
	esc := c.handler.Action.Escalate
	ev := m.evidence(s, esc.Code, p)
	switch {
	case esc.Continue:
		m.handled(c, p, "escalate", ev)
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SKIPPED, problem: p, limits: true})
		return m.err == nil
	case esc.To != "":
		m.handled(c, p, "escalate", ev)
		m.leaveFrom(s, c, p)
	default:
		m.handled(c, p, "escalate", nil)
		m.askInPlace(s, ev)
	}
	return false
}

// afterUndo is what an undo leaves for the gate of the state that follows it: a person who is asked there has to know what went wrong.
// When the run ends with the undo, nobody is asked.
func afterUndo(c *workflow.CompensateScope, ev *workflowv1.Evidence) *workflowv1.Evidence {
	if c.Then == "" {
		return nil
	}
	return ev
}

func (m *machine) evidence(s *instance, code string, p *workflowv1.Problem) *workflowv1.Evidence {
	op := activeByPath(m.run, s.Path).GetOperation()
	return &workflowv1.Evidence{Code: code, Problem: p, OperationId: op.GetId(), ArgumentsSequence: op.GetArgumentsSequence()}
}

// failState takes up an error of the state itself: a guard, its deadline, a lock, the visit limit. Only actions that need no step apply.
func (m *machine) failState(p *workflowv1.Problem) {
	scopes := []handlerScope{{name: "run", handlers: m.def.Handlers}}
	if st := m.def.States[m.run.GetState()]; st != nil {
		scopes = append([]handlerScope{{name: "state", handlers: st.Handlers}}, scopes...)
	}
	for _, sc := range scopes {
		i := slices.IndexFunc(sc.handlers, func(h *workflow.Handler) bool { return m.matches(h, p, nil, nil) })
		if i >= 0 && m.actOnState(choice{path: sc.name + "/" + strconv.Itoa(i), handler: sc.handlers[i]}, p) {
			return
		}
	}
	m.handled(choice{}, p, "none", nil)
	m.leaveState(&workflowv1.Leaving{Problem: p}, workflow.Action{})
}

func (m *machine) actOnState(c choice, p *workflowv1.Problem) bool {
	act := c.handler.Action
	switch {
	case act.Kind == workflow.ActionTransition:
		m.handled(c, p, "transition", nil)
	case act.Kind == workflow.ActionEscalate && act.Escalate.To != "":
		m.handled(c, p, "escalate", &workflowv1.Evidence{Code: act.Escalate.Code, Problem: p})
	case act.Kind == workflow.ActionCompensate:
		m.handled(c, p, "compensate", afterUndo(act.Compensate, &workflowv1.Evidence{Problem: p}))
	case act.Kind == workflow.ActionFail:
		m.handled(c, p, "fail", nil)
	default:
		return false
	}
	m.leaveState(&workflowv1.Leaving{Problem: p, Handler: c.path}, act)
	return true
}

// abandon ends the run with an error that nobody handled: what it completed is undone first.
func (m *machine) abandon(p *workflowv1.Problem) {
	if m.err == nil {
		m.startCompensation("", "", workflowv1.Outcome_OUTCOME_FAILED, p)
	}
}
