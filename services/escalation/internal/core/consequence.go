package core

import (
	"fmt"
	"maps"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The engine's own decisions, by the kind of escalation that offers them.
const (
	decisionRetry         = "retry"          // error, undo failed
	decisionProvideOutput = "provide_output" // error
	decisionSkip          = "skip"           // error
	decisionRollBack      = "roll_back"      // error
	decisionAbort         = "abort"          // error
	decisionHappened      = "happened"       // unknown outcome
	decisionDidNotHappen  = "did_not_happen" // unknown outcome
	decisionUndo          = "undo"           // unknown outcome
	decisionDoneByHand    = "done_by_hand"   // undo failed
	decisionGiveUp        = "give_up"        // undo failed
)

// question is what consequences are told of.
type question struct {
	record     *Record
	run        *workflowv1.Run
	definition *workflowv1.WorkflowDefinition // only for a gate
	operation  *workflowv1.Operation          // nil: none is concerned
}

// consequences tells, for each allowed decision, what the run will do.
func (q question) consequences() map[string]string {
	told := make(map[string]string, len(q.record.Opened.GetDecisions()))
	for _, decision := range q.record.Opened.GetDecisions() {
		told[decision] = q.consequence(decision) + q.quorumNote()
	}
	return told
}

func (q question) consequence(decision string) string {
	text := ""
	switch q.record.Opened.GetKind() {
	case workflowv1.EscalationKind_ESCALATION_KIND_GATE:
		text = gateConsequence(q.definition, q.record.Opened.GetStepPath(), decision)
	case workflowv1.EscalationKind_ESCALATION_KIND_ERROR:
		text = q.afterError(decision)
	case workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME:
		text = q.afterUnknownOutcome(decision)
	case workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED:
		text = q.afterFailedUndo(decision)
	}
	if text == "" {
		// A newer engine may offer decisions that this binary has no words for.
		return "the run takes up the decision and goes on"
	}
	return text
}

// quorumNote says when one answer is not enough.
func (q question) quorumNote() string {
	if q.record.quorum() == 1 {
		return ""
	}
	return fmt.Sprintf("; it counts once %d people have given this same answer", q.record.quorum())
}

func (q question) afterError(decision string) string {
	switch decision {
	case decisionRetry:
		return fmt.Sprintf("%s is tried again with the same arguments", q.subject())
	case decisionProvideOutput:
		return fmt.Sprintf("the value that you give is checked against the schema and becomes the output of step %s, and the run goes on", q.step())
	case decisionSkip:
		return fmt.Sprintf("step %s is marked skipped with output null, and the run goes on; it can end no better than %s",
			q.step(), outcomeName(workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION))
	case decisionRollBack:
		return q.undoing() + ", and the run ends " + outcomeName(workflowv1.Outcome_OUTCOME_COMPENSATED)
	case decisionAbort:
		return fmt.Sprintf("the run ends %s and nothing is undone; %s", outcomeName(workflowv1.Outcome_OUTCOME_FAILED), q.standing())
	}
	return ""
}

func (q question) afterUnknownOutcome(decision string) string {
	switch decision {
	case decisionHappened:
		return fmt.Sprintf("%s counts as done and is never sent again; the value that you give, else null, becomes its output", q.subject())
	case decisionDidNotHappen:
		return fmt.Sprintf("%s counts as not done and is sent again once the lost attempt can no longer take effect", q.subject())
	case decisionUndo:
		return fmt.Sprintf("%s counts as done, and the run undoes it and what it completed before, the last first", q.subject())
	}
	return ""
}

func (q question) afterFailedUndo(decision string) string {
	switch decision {
	case decisionRetry:
		return fmt.Sprintf("the undo of step %s is sent again", q.step())
	case decisionDoneByHand:
		return fmt.Sprintf("you have undone step %s by hand: it counts as undone, and the rest of the undo goes on", q.step())
	case decisionGiveUp:
		return fmt.Sprintf("the effect of step %s stays; the rest of the undo goes on and the run ends %s",
			q.step(), outcomeName(workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED))
	}
	return ""
}

// step names the step in question.
func (q question) step() string { return q.record.Opened.GetStepPath() }

// subject names what is tried, or was: the tool call where there is one, else the step.
func (q question) subject() string {
	if q.operation.GetTool() == "" {
		return "step " + q.step()
	}
	return fmt.Sprintf("the call of %s/%s", q.operation.GetServer(), q.operation.GetTool())
}

// undoing says how much an undo of the whole run would take back.
func (q question) undoing() string {
	var count uint32
	for _, stack := range q.run.GetUndo() {
		count += stack.GetCount()
	}
	switch count {
	case 0:
		return "nothing that the run completed can be undone"
	case 1:
		return "the one completed step that can be undone is undone"
	}
	return fmt.Sprintf("%d completed steps are undone, the last first", count)
}

// standing names the steps whose effect would stay.
func (q question) standing() string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(q.run.GetSteps())) {
		if q.run.GetSteps()[id].GetHoldsEffect() {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "no step has left an effect"
	}
	return "the effects of " + andList(ids) + " stay"
}
