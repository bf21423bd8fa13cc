package gatewayclient

import (
	"slices"
	"testing"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// listener notes what it is told.
type listener struct {
	core.DispatchSink
	told    []string
	results []core.AttemptResult
}

func (l *listener) Disconnected() { l.told = append(l.told, "disconnected") }

func (l *listener) Results(r []core.AttemptResult) {
	l.told, l.results = append(l.told, "results"), append(l.results, r...)
}

// A gateway that stops takes nothing more: that comes before what is to be sent again because of it.
func TestAStoppingGatewayCountsAsGone(t *testing.T) {
	l := &listener{}
	ref := &gatewayv1.AttemptRef{Namespace: "default", RunId: "r", OperationId: "main/a/1", Attempt: 1}
	tell(l, &gatewayv1.DispatchResponse{Results: []*gatewayv1.AttemptResult{
		{Attempt: ref, Status: gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, GatewayStopping: true},
		{Attempt: ref, Status: gatewayv1.SendStatus_SEND_STATUS_ANSWERED},
	}})
	if !slices.Equal(l.told, []string{"disconnected", "results"}) || !l.results[0].Ours || l.results[1].Ours {
		t.Errorf("told %v, %+v", l.told, l.results)
	}
	l = &listener{}
	tell(l, &gatewayv1.DispatchResponse{Results: []*gatewayv1.AttemptResult{{Attempt: ref, Status: gatewayv1.SendStatus_SEND_STATUS_NOT_SENT}}})
	if !slices.Equal(l.told, []string{"results"}) || l.results[0].Ours {
		t.Errorf("told %v, %+v", l.told, l.results)
	}
}
