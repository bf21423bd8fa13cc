package wording_test

import (
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// Every kind of step, and everything that an open step can wait for, has words of its own.
func TestEveryKindHasWords(t *testing.T) {
	unknown := wording.Step(&workflowv1.Step{})
	kinds := (&workflowv1.Step{}).ProtoReflect().Descriptor().Oneofs().ByName("do").Fields()
	for i := range kinds.Len() {
		step := &workflowv1.Step{}
		step.ProtoReflect().Set(kinds.Get(i), step.ProtoReflect().NewField(kinds.Get(i)))
		if words := wording.Step(step); words == unknown {
			t.Errorf("%s: %q", kinds.Get(i).Name(), words)
		}
	}
	unknown = wording.Activity(-1)
	for number, name := range workflowv1.ActivityStatus_name {
		if words := wording.Activity(workflowv1.ActivityStatus(number)); number != 0 && words == unknown {
			t.Errorf("%s has no words", name)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		wording.Enum(workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE): "idempotent_write",
		wording.Enum(workflowv1.Effect_EFFECT_UNSPECIFIED):      "",
		wording.Enum(workflowv1.Effect(99)):                     "#99",
		wording.Duration(72 * time.Hour):                        "72h",
		wording.Duration(90 * time.Minute):                      "1h30m",
		wording.Duration(90 * time.Second):                      "1m30s",
		wording.Handler(&workflowv1.ErrorHandler{
			Types: []string{"*"}, Retry: &workflowv1.RetryPolicy{MaxAttempts: 3},
			Then: &workflowv1.ErrorHandler_Compensate{Compensate: &workflowv1.CompensateAction{Scope: "money", Then: "ask"}},
		}): "any error: 3 tries, then undoes scope money and goes to ask",
		wording.Join(&workflowv1.ParallelStep{Join: workflowv1.Join_JOIN_QUORUM, Quorum: 1, CancelRest: true}): "1 of 0, cancel the rest",
		wording.Events(&workflowv1.WaitEvent{AllOf: []*workflowv1.EventFilter{{Type: "a"}, {Type: "b"}}}):      "a and b",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
