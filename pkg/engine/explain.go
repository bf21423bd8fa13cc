package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Wait is one thing that a run waits for.
type Wait struct {
	// StepPath is the step that waits; empty: the run or its state.
	StepPath string
	// What is waited for, in words.
	What string
	// Owner is who can end the wait.
	Owner string
	// Since when, and until when it ends by time (zero: never).
	Since, Until time.Time
	// Status is the kind, for programs.
	Status workflowv1.ActivityStatus
}

// Explain tells what a run waits for. A run that has not ended always waits for something that has a name and an owner.
func Explain(def *workflow.Definition, run *workflowv1.Run) []Wait {
	waits := explainPause(run)
	for _, h := range run.GetLocks() {
		switch h.GetStatus() {
		case workflowv1.LockStatus_LOCK_STATUS_WAITING:
			waits = append(waits, Wait{What: fmt.Sprintf("lock %s (%s)", h.GetName(), h.GetKey()), Owner: "the lock's holder: signalbox lock list",
				Since: stamp(h.GetSince()), Until: stamp(h.GetDeadline())})
		case workflowv1.LockStatus_LOCK_STATUS_RELEASING:
			waits = append(waits, Wait{What: fmt.Sprintf("the release of lock %s (%s) to be confirmed", h.GetName(), h.GetKey()), Owner: "lock service", Since: stamp(h.GetSince())})
		}
	}
	for _, a := range run.GetActive() {
		waits = append(waits, explainStep(def, run, a)...)
	}
	// What a step with branches waits for are the steps in them: these come first.
	slices.SortStableFunc(waits, func(a, b Wait) int { return branching(a) - branching(b) })
	for _, p := range run.GetPendingDecisions() {
		if activeByPath(run, p.GetStepPath()) == nil {
			waits = append(waits, Wait{StepPath: p.GetStepPath(), What: "a person's disposition, escalation " + p.GetEscalationId(), Owner: people(run, p.GetEscalationId()), Since: stamp(p.GetSince()), Until: stamp(p.GetDueTime())})
		}
	}
	waits = explainFork(explainChildren(waits, run), run)
	if len(waits) == 0 && run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		waits = append(waits, Wait{What: "its scheduler", Owner: "scheduler", Since: stamp(run.GetUpdateTime())})
	}
	return waits
}

func stamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func explainStep(def *workflow.Definition, run *workflowv1.Run, a *workflowv1.ActiveStep) []Wait {
	w := Wait{StepPath: a.GetPath(), Since: stamp(a.GetSince()), Until: stamp(a.GetWakeTime()), Status: a.GetStatus()}
	op := a.GetOperation()
	tool := op.GetServer() + "/" + op.GetTool()
	switch a.GetStatus() {
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT:
		w.What, w.Owner = "a free slot of its tool server", serverOf(def, a)
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING:
		w.What, w.Owner, w.Until = fmt.Sprintf("the answer of %s (attempt %d)", tool, op.GetAttempt()), "tool server "+op.GetServer(), stamp(op.GetDeadline())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF:
		w.What, w.Owner = "its next attempt; the last failed: "+a.GetProblem().GetMessage(), "the clock"
		if a.GetProblem() == nil {
			w.What = "the time at which it may go out"
		}
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE:
		w.What, w.Owner = "the time to ask whether "+tool+" happened", "the clock"
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_PROBING:
		w.What, w.Owner = "the probe that tells whether "+tool+" happened", "tool server "+op.GetProbe().GetServer()
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED:
		w.What, w.Owner = "a person's decision, escalation "+a.GetEscalationId()+": "+a.GetProblem().GetMessage(), people(run, a.GetEscalationId())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN:
		w.What, w.Owner = "a person's decision, escalation "+a.GetEscalationId()+votesWords(run, a.GetEscalationId()), people(run, a.GetEscalationId())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED:
		w.What, w.Owner = "an agent to claim its task", "agent "+a.GetTask().GetAgent()
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:
		w.What, w.Owner = fmt.Sprintf("its agent (claim %d, %d calls so far)", a.GetTask().GetClaims(), a.GetTask().GetCalls()), "agent "+worker(a.GetTask())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE:
		w.What, w.Owner = "the cache's answer about "+a.GetCacheKey(), "recovery service"
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED:
		w.What, w.Owner = "the end of the run's pause", "whoever resumes it: signalbox run resume "+run.GetId()
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK:
		w.What, w.Owner = "its locks", "their holders: signalbox lock list"
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CHILD:
		w.What, w.Owner = childWords(run, a)
		w.Until = stamp(a.GetDeadline())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT:
		w.What, w.Owner = eventWords(a.GetEventWait())
		w.Until = stamp(a.GetDeadline())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME:
		w.What, w.Owner = "a moment", "the clock"
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING:
		explainComposite(run, a, &w)
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_GATHERING:
		w.What, w.Owner = "the outputs of its items to be put together", "scheduler service"
	default:
		w.What, w.Owner = "its scheduler", "scheduler"
	}
	if a.GetUndoSequence() != 0 {
		w.What = "undoing " + a.GetStepId() + ": " + w.What
	}
	waits := []Wait{w}
	for _, c := range a.GetTask().GetOpenCalls() {
		waits = append(waits, explainCall(run, a, c))
	}
	return waits
}

func branching(w Wait) int {
	if w.Status == workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING {
		return 1
	}
	return 0
}

// explainComposite tells how far the branches or items have come. A step without any that is open waits for its scheduler to go on.
func explainComposite(run *workflowv1.Run, a *workflowv1.ActiveStep, w *Wait) {
	c := a.GetComposite()
	what := "branches"
	if len(c.GetItemsDigest()) > 0 {
		what = "items"
	}
	w.What, w.Owner, w.Until = fmt.Sprintf("its %s: %d of %d have ended, %d failed, %d are under way", what,
		c.GetSucceeded()+c.GetFailed()+c.GetCancelled(), c.GetTotal(), c.GetFailed(), openBranches(c)), "the steps in them", stamp(a.GetDeadline())
	if openBranches(c) == 0 || !anyInside(run, a.GetPath()) {
		w.Owner = "scheduler"
	}
}

// anyInside reports whether a step of a composite's branches or items is open.
func anyInside(run *workflowv1.Run, path string) bool {
	return slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool {
		return len(a.GetPath()) > len(path) && strings.HasPrefix(a.GetPath(), path)
	})
}

func explainCall(run *workflowv1.Run, a *workflowv1.ActiveStep, c *workflowv1.OpenOperation) Wait {
	w := Wait{StepPath: a.GetPath(), Since: stamp(c.GetIntentTime()), Until: stamp(c.GetWakeTime()), Owner: "tool server " + c.GetServer()}
	tool := c.GetServer() + "/" + c.GetTool()
	switch {
	case c.GetEscalationId() != "":
		w.What, w.Owner = "a person's decision whether the agent's call of "+tool+" happened, escalation "+c.GetEscalationId(), people(run, c.GetEscalationId())
	case c.GetProbe() != nil:
		w.What = "the probe that tells whether the agent's call of " + tool + " happened"
	case inFlight(c):
		w.What, w.Until = fmt.Sprintf("the answer to the agent's call of %s (attempt %d)", tool, c.GetAttempt()), stamp(c.GetDeadline())
	default:
		w.What, w.Owner = "the next attempt of the agent's call of "+tool, "the clock"
	}
	return w
}

func serverOf(def *workflow.Definition, a *workflowv1.ActiveStep) string {
	if s, ok := stepByRecord(def, a.GetStepId()); ok && s.Tool != nil {
		return "tool server " + s.Tool.Server
	}
	return "tool server"
}

// people are the roles that may answer an escalation.
func people(run *workflowv1.Run, escalation string) string {
	for _, p := range run.GetPendingDecisions() {
		if p.GetEscalationId() == escalation && len(p.GetRoles()) > 0 {
			return strings.Join(p.GetRoles(), ", ")
		}
	}
	return "people"
}

func worker(t *workflowv1.TaskProgress) string {
	if t.GetWorker() == "" {
		return t.GetAgent()
	}
	return t.GetAgent() + ", worker " + t.GetWorker()
}

// Summary is Explain in a sentence.
func Summary(run *workflowv1.Run, waits []Wait) string {
	switch {
	case run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED && len(waits) == 0:
		return "Ended: " + strings.ToLower(strings.TrimPrefix(run.GetOutcome().String(), "OUTCOME_")) + problemWords(run) + "."
	case len(waits) == 0:
		return "Waits for nothing."
	}
	s := fmt.Sprintf("In state %s, waits for %s (%s).", run.GetState(), waits[0].What, waits[0].Owner)
	if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_COMPENSATING {
		s = fmt.Sprintf("Undoes what it did; waits for %s (%s).", waits[0].What, waits[0].Owner)
	}
	if n := len(waits) - 1; n > 0 {
		s += fmt.Sprintf(" And for %d more.", n)
	}
	return s
}

func problemWords(run *workflowv1.Run) string {
	if run.GetProblem() == nil {
		return ""
	}
	return " (" + run.GetProblem().GetMessage() + ")"
}
