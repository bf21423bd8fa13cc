package engine_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// A spent retry budget keeps no keyed write in doubt: neither when its answer was lost, nor when a later attempt did not get through.
func TestNoRetryBudgetDoesNotLeaveAKeyedWriteInDoubt(t *testing.T) {
	w := oneCall(t, "keyed", on(`{types: [timeout], retry: {max_attempts: 3, jitter: none}}`))
	op := w.call("s/keyed")
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 1, Type: timeout, Unknown: true, NoRetryBudget: true})
	w.waits(backingOff)
	w.wake()
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 2, Type: timeout, NoRetryBudget: true})
	w.waits(backingOff)
	w.wake()
	w.answer("s/keyed", `1`)
	w.ends(succeeded)
}
