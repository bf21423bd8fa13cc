package core

import (
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// An answer that comes when the run has long ended is on record: the ledger says what is true.
func TestAnAnswerAfterTheEndIsOnRecord(t *testing.T) {
	w := newWorld(t, `api_version: signalbox/v1
metadata: {name: doubtful, version: 1.0.0}
steps:
  - id: a
    tool: {server: desk, tool: draw, arguments: {}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {}}}
    on_error: {handlers: [{types: [unknown-outcome], skip: true}]}
`)
	w.tools.hold("draw")
	w.boot()
	w.start("doubtful", "r1", `{}`)
	w.await("r1", "its call", func(r *workflowv1.Run) bool { return len(r.GetActive()) == 1 })
	at := Attempt{Run: RunKey{Namespace: "default", ID: "r1"}, Operation: "main/a/1", Number: 1}
	w.sched.Results([]AttemptResult{{Attempt: at, Status: SendUnknown, Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, Message: "no answer"}})
	ended := w.over("r1")
	w.reboot() // what it knew of the run is gone
	w.tools.release("draw")
	w.await("r1", "the late answer", func(r *workflowv1.Run) bool { return r.GetSequence() > ended.GetSequence() })
	ops, err := w.store.Operations(w.ctx, at.Run, "")
	if err != nil || len(ops) != 1 || ops[0].GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED || ops[0].GetReceiptSequence() != ended.GetSequence()+1 {
		t.Errorf("ledger %v, %v", ops, err)
	}
	w.replays("r1")
	w.sched.Results([]AttemptResult{
		{Attempt: at, Status: SendAnswered, Output: []byte(`{}`)}, {Attempt: Attempt{Run: RunKey{"default", "nobody"}, Operation: "main/a/1", Number: 1}, Status: SendAnswered},
	})
	w.start("doubtful", "r2", `{}`)
	w.await("r2", "its start", func(*workflowv1.Run) bool { return true })
	if n := w.facts("r1", func(ev *workflowv1.HistoryEvent) bool { return ev.GetReceiptRecorded() != nil }); n != 1 {
		t.Errorf("the answer is on record %d times", n)
	}
}
