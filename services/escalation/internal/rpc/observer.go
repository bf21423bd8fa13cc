package rpc

import (
	"context"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

// What became of an answer that was not refused. A refused one has the reason of errors/v1 in lower case, for example
// "decision_stale", or "cancelled" when the call ended before it was known.
const (
	ResultRecorded = "recorded"
	ResultRepeated = "repeated"
	resultUnknown  = "cancelled"
)

// Answered is what became of an answer.
type Answered struct {
	// Namespace and EscalationID name what was answered.
	Namespace, EscalationID string
	// Decision that was given.
	Decision string
	// By is who gave it. Empty when it was refused and nobody was named.
	By string
	// Result tells whether it counts.
	Result string
	// Kind of the escalation, for example "gate". Empty when it was refused.
	Kind string
	// Waited is how long the escalation was open; only with ResultRecorded.
	Waited time.Duration
}

// Observer is told of every answer. It must be safe for concurrent use.
type Observer interface {
	// Answered is called once for each answer, before its client is.
	Answered(ctx context.Context, answered Answered)
}

func accepted(answer core.Answer, resolution core.Resolution) Answered {
	result := ResultRecorded
	if resolution.Repeated {
		result = ResultRepeated
	}
	return Answered{
		Namespace: answer.Namespace, EscalationID: answer.EscalationID, Decision: answer.Decision, By: resolution.DecidedBy,
		Result: result, Kind: kindName(resolution.Record.Opened.GetKind()), Waited: resolution.Waited,
	}
}

func refused(answer core.Answer, err error) Answered {
	result := resultUnknown
	if found, ok := errs.From(err); ok {
		result = strings.ToLower(errs.ReasonName(found.Reason()))
	}
	return Answered{Namespace: answer.Namespace, EscalationID: answer.EscalationID, Decision: answer.Decision, By: answer.DecidedBy, Result: result}
}
