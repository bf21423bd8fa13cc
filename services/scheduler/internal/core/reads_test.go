package core

import (
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// A gateway answers an attempt that it knows from its memory. So an agent's READ that failed and is called again must not be sent under
// numbers of attempts that failed: it would fail for ever, with old news, after its tool server is back.
func TestARepeatedReadIsSentAnew(t *testing.T) {
	r := newRig(t)
	r.sending()
	r.recovery.EXPECT().Assess(gomock.Any(), gomock.Any()).AnyTimes()
	r.start()
	key := RunKey{Namespace: "default", ID: "r1"}
	call := engine.InvokeRead{StepPath: "s/x", Operation: &workflowv1.OpenOperation{
		Id: "s/x/call", Attempt: 1, Server: "desk", Tool: "look", Effect: workflowv1.Effect_EFFECT_READ, Incarnation: "g1",
		IntentTime: timestamppb.New(r.clock.Now()), Deadline: timestamppb.New(r.clock.Now().Add(time.Minute)),
	}}
	seen := map[uint32]bool{}
	next := func() Invocation {
		t.Helper()
		inv := <-r.sent
		if seen[inv.Attempt.Number] {
			t.Fatalf("attempt %d was sent before", inv.Attempt.Number)
		}
		seen[inv.Attempt.Number] = true
		return inv
	}
	for range 2 { // the agent calls, is refused, and calls again
		r.sched.invokeRead(key, &workflowv1.Run{DefinitionDigest: r.def.Digest}, call)
		for try := range maxReadTries {
			inv := next()
			r.sched.Results([]AttemptResult{{Attempt: inv.Attempt, Status: SendNotSent, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "refused"}})
			if try < maxReadTries-1 {
				r.clock.Advance(time.Minute)
			}
		}
	}
	r.sched.invokeRead(key, &workflowv1.Run{DefinitionDigest: r.def.Digest}, call)
	r.sched.Results([]AttemptResult{{Attempt: next().Attempt, Status: SendNotSent, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE}})
	r.clock.Advance(time.Minute)
	next()
}
