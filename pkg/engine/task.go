package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// offerTask offers an agent step to agents. It reports whether the step has its result.
func (m *machine) offerTask(s *instance, work *workflow.Step) bool {
	scope := m.scopeAt(s)
	args := json.RawMessage(`{}`)
	if work.Agent.Arguments != nil {
		v, err := work.Agent.Arguments.EvalJSON(scope)
		if err != nil {
			return m.failStep(s, m.invalid(s, "agent.arguments", err), failure{})
		}
		args = v
	}
	goal := ""
	if work.Agent.Goal != nil {
		v, err := work.Agent.Goal.EvalJSON(scope)
		if err != nil {
			return m.failStep(s, m.invalid(s, "agent.goal", err), failure{})
		}
		goal = textOf(v)
	}
	gen := m.lastGeneration(s) + 1
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_TaskOffered{TaskOffered: &workflowv1.TaskOffered{
		Task:     &workflowv1.TaskProgress{Id: m.key(s.Path, gen), Agent: work.Agent.Agent, Generation: gen},
		StepPath: s.Path, StepId: s.ID, Goal: goal, Arguments: inline(args), StepDeadline: m.stepDeadline(s),
	}}})
	if m.err == nil {
		m.command(OfferTask{Task: activeByPath(m.run, s.Path).GetTask(), StepPath: s.Path})
	}
	return false
}

// offerAgain ends the claim that stands, if one does, and offers the task to others.
func (m *machine) offerAgain(a *workflowv1.ActiveStep, reason string) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_TaskReleased{TaskReleased: &workflowv1.TaskReleased{
		StepPath: a.GetPath(), Claim: a.GetTask().GetClaims(), Reason: reason,
	}}})
	if a = activeByPath(m.run, a.GetPath()); m.err == nil && offerable(m.run, a) {
		m.command(OfferTask{Task: a.GetTask(), StepPath: a.GetPath()})
	}
}

// offerable reports whether a task may be made known to agents. One that lost its agent is offered again only when each of its calls is
// settled, or in the hands of a person.
func offerable(run *workflowv1.Run, a *workflowv1.ActiveStep) bool {
	underWay := func(op *workflowv1.OpenOperation) bool { return op.GetEscalationId() == "" }
	return a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED && run.GetPause() == nil && !slices.ContainsFunc(a.GetTask().GetOpenCalls(), underWay)
}

// heldOffers are the steps whose task is not offered yet because of its calls, or of a pause.
func heldOffers(run *workflowv1.Run) []string {
	var paths []string
	for _, a := range run.GetActive() {
		if a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED && !offerable(run, a) {
			paths = append(paths, a.GetPath())
		}
	}
	return paths
}

// offerHeld offers the tasks that were held back and need not be any longer.
func (m *machine) offerHeld(paths []string) {
	for _, path := range paths {
		if a := activeByPath(m.run, path); m.err == nil && offerable(m.run, a) {
			m.command(OfferTask{Task: a.GetTask(), StepPath: path})
		}
	}
}

func (m *machine) withdrawTasks() {
	for _, a := range m.run.GetActive() {
		if t := a.GetTask(); t != nil {
			m.command(WithdrawTask{TaskID: t.GetId()})
			for _, c := range t.GetOpenCalls() {
				m.reply(Reply{OperationID: c.GetId(), Failure: staleClaim()})
			}
		}
	}
}

func staleClaim() *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, "this claim of the task is over; claim the task again if it is still offered")
}

func (m *machine) claimTask(ev ClaimTask) error {
	a := activeByPath(m.run, ev.StepPath)
	s, ok := m.stepOf(a)
	if !ok || a.GetTask() == nil || m.ceasing(a.GetPath()) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND, "step %s has no task to claim", ev.StepPath)
	}
	if r := m.pausedRefusal(); r != nil {
		return r
	}
	switch a.GetStatus() {
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED:
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:
		if !ev.Supersede {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND, "task %s is claimed", a.GetTask().GetId())
		}
	default:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND, "task %s is not offered now", a.GetTask().GetId())
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_TaskClaimed{TaskClaimed: &workflowv1.TaskClaimed{
		StepPath: ev.StepPath, Claim: a.GetTask().GetClaims() + 1, TokenDigest: ev.TokenDigest, Worker: ev.Worker,
		WakeTime: m.after(m.workOf(s, a).AttemptTimeout),
	}}})
	return nil
}

// claimed returns the step of a claim, or why the claim does not count.
func (m *machine) claimed(path string, token []byte) (*workflowv1.ActiveStep, *instance, error) {
	a := activeByPath(m.run, path)
	s, ok := m.stepOf(a)
	if !ok || m.workOf(s, a).Agent == nil || len(token) == 0 || !bytes.Equal(a.GetTask().GetTokenDigest(), token) ||
		a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED {
		return nil, nil, staleClaim()
	}
	return a, s, nil
}

func (m *machine) releaseTask(ev ReleaseTask) error {
	a, _, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	m.offerAgain(a, ev.Reason)
	return nil
}

func (m *machine) completeTask(ev CompleteTask) error {
	a, s, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	if err := settledCalls(a); err != nil {
		return err
	}
	out := nullable(ev.Output)
	if !json.Valid(out) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "output is not valid JSON")
	}
	if !m.checkOutput(s, out) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "%s; mend the output and complete the task again", m.outputProblem(s, out))
	}
	m.command(WithdrawTask{TaskID: a.GetTask().GetId()})
	m.succeedStep(s, completion{output: out})
	return nil
}

func settledCalls(a *workflowv1.ActiveStep) error {
	for _, c := range a.GetTask().GetOpenCalls() {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
			"the call %s is not settled yet; repeat it to wait for its outcome, then end the task", c.GetId())
	}
	return nil
}

func (m *machine) failTask(ev FailTask) error {
	a, s, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	if err := settledCalls(a); err != nil {
		return err
	}
	m.taskFailed(s, a, problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, s.Path, "the agent gave up: "+ev.Message, nil))
	return nil
}

// taskFailed takes up the error of an agent step; with a retry left the task is offered again when its time comes.
func (m *machine) taskFailed(s *instance, a *workflowv1.ActiveStep, p *workflowv1.Problem) {
	m.command(WithdrawTask{TaskID: a.GetTask().GetId()})
	if m.failStep(s, p, failure{}) {
		m.goOn(s)
	}
}

// CallIdentity is what makes a call of an agent the same call again.
type CallIdentity struct {
	// OperationID is the entry of the effect ledger.
	OperationID string
	// ArgumentsDigest is the SHA-256 of the arguments in compact form.
	ArgumentsDigest []byte
	// Ordinal counts identical calls since the claim, from 1. 0 with a key of the agent's own.
	Ordinal uint32
	// Key is the agent's own; empty: none.
	Key string
}

// IdentifyCall names a call of a task: by the agent's own key, else by (task, tool, arguments, n-th identical call since the claim).
func IdentifyCall(stepPath string, task *workflowv1.TaskProgress, tool string, args json.RawMessage, ordinal uint32, key string) CallIdentity {
	sum := digest(nullable(args))
	id := CallIdentity{ArgumentsDigest: sum, Ordinal: ordinal, Key: key}
	prefix := fmt.Sprintf("%s/call/%s/", operationID(stepPath, task.GetGeneration()), tool)
	if key != "" {
		id.Ordinal = 0
		id.OperationID = prefix + "key/" + key
		return id
	}
	id.OperationID = fmt.Sprintf("%s%x/%d", prefix, sum[:8], ordinal)
	return id
}

// CallDigest is the digest by which identical calls are counted.
func CallDigest(args json.RawMessage) []byte { return digest(nullable(args)) }
