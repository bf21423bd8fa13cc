package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

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
	now        time.Time
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

// quorumNote says when the definition asks for more than one answer.
func (q question) quorumNote() string {
	if q.record.quorum() == 1 {
		return ""
	}
	return fmt.Sprintf("; %d people are asked to give this same answer", q.record.quorum())
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
		return fmt.Sprintf("%s counts as done and is never sent again; the value that you give, else null, is checked against the schema and becomes its output",
			q.subject())
	case decisionDidNotHappen:
		return fmt.Sprintf("%s counts as not done and is tried anew%s", q.subject(), q.settlingNote())
	case decisionUndo:
		return fmt.Sprintf("%s counts as done and is undone with everything in its rollback scope (without one: in the run), the last first, and the run ends %s",
			q.subject(), outcomeName(workflowv1.Outcome_OUTCOME_COMPENSATED))
	}
	return ""
}

// settlingNote says until when nobody can know that a lost attempt has no effect.
func (q question) settlingNote() string {
	for _, active := range q.run.GetActive() {
		for _, open := range slices.Concat(active.GetTask().GetOpenCalls(), []*workflowv1.OpenOperation{active.GetOperation()}) {
			settled := open.GetSettleTime()
			if open.GetId() == q.operation.GetId() && settled != nil && q.now.Before(settled.AsTime()) {
				return fmt.Sprintf("; this is refused until %s, as the lost attempt can still take effect", settled.AsTime().UTC().Format(time.RFC3339))
			}
		}
	}
	return ""
}

// afterFailedUndo tells it for an undo that waits for the answer, and for one that did not: then the question names no step, as none is
// open any more, and the answer is a disposition for the record.
func (q question) afterFailedUndo(decision string) string {
	waits := q.record.Opened.GetStepPath() != ""
	switch {
	case decision == decisionRetry:
		return fmt.Sprintf("the undo of step %s is sent again", q.step())
	case decision == decisionDoneByHand && waits:
		return fmt.Sprintf("you have undone step %s by hand: it counts as undone, and the rest of the undo goes on", q.step())
	case decision == decisionDoneByHand:
		return fmt.Sprintf("it is recorded that you have undone step %s by hand; the run has gone on already", q.step())
	case decision == decisionGiveUp && waits:
		return fmt.Sprintf("the effect of step %s stays; the rest of the undo goes on, and then the run %s", q.step(), q.afterUndo())
	case decision == decisionGiveUp:
		return fmt.Sprintf("it is recorded that the effect of step %s stays; the run has gone on already", q.step())
	}
	return ""
}

// afterUndo tells where the run goes once an undo with a failure in it is over.
func (q question) afterUndo() string {
	if then := q.run.GetCompensation().GetThen(); then != "" {
		return "goes to state " + then
	}
	return "ends " + outcomeName(workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED)
}

// step names the step in question: that of the question itself, else that of the operation.
func (q question) step() string {
	if path := q.record.Opened.GetStepPath(); path != "" {
		return path
	}
	return q.operation.GetStepPath()
}

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
