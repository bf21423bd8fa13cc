package engine_test

import (
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// A person who is asked after an undo is told what the undo answers, just as one to whom an error was escalated.
func TestAnUndoLeavesEvidenceForTheGateAfterIt(t *testing.T) {
	w := begin(t, readStep("", "", on(`{types: ["*"], compensate: {then: ask}}`))+`
	ask:
		max_visits: 2
		steps: [{id: g, human: {roles: [boss], subject: {id: "x"}, decisions: [yes, no], due: 1h}}]
		transitions: [{to: end}]
`)
	w.refuse("s/read")
	w.in("ask")
	ev := w.question(gate).GetEvidence()
	if ev.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR || ev.GetOperationId() != "a/x/1" || ev.GetArgumentsSequence() == 0 {
		t.Errorf("evidence %v", ev)
	}
	w.decideAs(gate, "yes", "")
	w.ends(succeeded)
}
