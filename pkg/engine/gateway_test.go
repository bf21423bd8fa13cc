package engine_test

import (
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// loseGateway ends the gateway that sent the open call of a tool.
func (w *world) loseGateway(tool string) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.call(tool)
	w.give(engine.Unanswered{
		OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: unavailable, Message: "the gateway has ended", Unknown: true, Resend: true,
	})
	return op
}

// loseAndFindOut ends the gateway of a call, and lets the probe tell that the call did nothing, where there is a probe.
func (w *world) loseAndFindOut(tool string) {
	w.t.Helper()
	w.loseGateway("s/" + tool)
	if tool == "probed" {
		w.answer("s/find", `{"found":false}`)
		w.wake() // until it cannot land any more
		w.answer("s/find", `{"found":false}`)
	}
	w.waits(backingOff)
	if d := w.wake(); d != 0 {
		w.t.Fatalf("it was tried again after %s", d)
	}
}

// That our own processes end is no failure of the tool: what may be repeated is, whatever the handlers say, and their retry is not spent.
func TestGatewaysThatEndSpendNoRetry(t *testing.T) {
	for name, handlers := range map[string]string{
		"no handler": "", "no retry": on(`{types: [tool-error], skip: true}`), "one retry": on(`{types: [unavailable], retry: {max_attempts: 2, jitter: none}}`),
	} {
		for _, tool := range []string{"read", "put", "keyed", "probed"} {
			t.Run(tool+" with "+name, func(t *testing.T) {
				w := oneCall(t, tool, handlers)
				for range 3 {
					w.loseAndFindOut(tool)
				}
				if name == "one retry" {
					w.fail("s/"+tool, unavailable)
					w.wake()
				}
				w.answer("s/"+tool, `1`)
				w.ends(succeeded)
			})
		}
	}
}

// A call may be what ends the gateways: past a bound it counts as any failure.
func TestGatewaysThatEndAgainAndAgain(t *testing.T) {
	for _, tool := range []string{"read", "probed"} {
		w := oneCall(t, tool, on(`{types: [unavailable], skip: true}`))
		for range 10 {
			w.loseAndFindOut(tool)
		}
		w.loseGateway("s/" + tool)
		if tool == "probed" {
			w.answer("s/find", `{"found":false}`)
			w.wake()
			w.answer("s/find", `{"found":false}`)
		}
		w.ends(succeeded)
		w.step("x", skipped)
	}
}

// A write that nobody can tell about stays with a person: whose fault it is that the answer was lost changes nothing.
func TestAGatewayThatEndsLeavesAWriteInDoubt(t *testing.T) {
	w := oneCall(t, "write", on(`{types: [unavailable], retry: {max_attempts: 3, jitter: none}}`))
	w.loseGateway("s/write")
	w.question(onUnknown)
}

// Nor does it cost an undo its tries.
func TestGatewaysThatEndSpendNoTryOfAnUndo(t *testing.T) {
	w := begin(t, "steps:\n\t- id: x\n\t\ttool: {server: s, tool: write}\n\t\tcompensate: {tool: {server: s, tool: put}, retry: {max_attempts: 2, jitter: none}}\n\t- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [tool-error], compensate: {}}]}}\n")
	w.answer("s/write", `1`)
	w.refuse("s/read")
	for range 3 {
		w.loseAndFindOut("put")
	}
	w.fail("s/put", unavailable)
	w.wake()
	w.answer("s/put", `1`)
	w.ends(compensated)
}
