package engine_test

import (
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// The error of a step that a fallback answered is the one that was answered, also when the fallback's step was tried more than once.
func TestTheErrorThatAFallbackAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		step  string
		drive func(*world)
	}{
		"at once": {`{id: f, set: {values: {n: "1"}}}`, func(*world) {}},
		"retried": {`{id: f, tool: {server: other, tool: read}, ` + on(`{types: [unavailable], retry: {jitter: none}}`) + `}`, func(w *world) {
			w.fail("other/read", unavailable)
			if got := w.run().GetActive()[0].GetProblem().GetType(); got != unavailable {
				t.Errorf("the last error is %s", got)
			}
			w.wake()
			w.answer("other/read", `"f"`)
		}},
		"retried before it was sent": {`{id: f, tool: {server: other, tool: read}, ` + on(`{types: [circuit-open], retry: {jitter: none}}`) + `}`, func(w *world) {
			w.after(time.Hour)
			w.answer("other/read", `"f"`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, compile(t, readStep(on(`{types: [timeout], fallback: {step: `+tc.step+`}}`), "", "")))
			if name == "retried before it was sent" {
				w.breaker["other"] = w.now.Add(time.Minute)
			}
			w.give(engine.Start{Namespace: "default", RunID: "r1"})
			w.fail("s/read", timeout)
			tc.drive(w)
			w.ends(succeeded)
			if got := w.step("x", done).GetProblem().GetType(); got != timeout {
				t.Errorf("the error that was answered is %s", got)
			}
		})
	}
}
