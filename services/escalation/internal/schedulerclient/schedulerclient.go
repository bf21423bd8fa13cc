// Package schedulerclient hands decisions to the scheduler, which commits them in the run that asked.
package schedulerclient

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

// Client decides by way of one connection. It is safe for concurrent use.
type Client struct {
	control schedulerv1.RunControlServiceClient
}

var _ core.Scheduler = (*Client)(nil)

// New returns a client of the scheduler at the other end of conn, which stays the caller's to close.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{control: schedulerv1.NewRunControlServiceClient(conn)}
}

// Decide is as of core.Scheduler.
func (c *Client) Decide(ctx context.Context, decision core.Decision) error {
	_, err := c.control.DecideEscalation(ctx, &schedulerv1.DecideEscalationRequest{
		Namespace: decision.Run.Namespace, RunId: decision.Run.ID, EscalationId: decision.EscalationID,
		Decision: decision.Decision, DecidedBy: decision.DecidedBy, Comment: decision.Comment, Value: decision.Value,
		SubjectDigest: decision.SubjectDigest, RequestId: decision.RequestID,
	})
	if err != nil {
		return fmt.Errorf("decide escalation %q in run %q: %w", decision.EscalationID, decision.Run.ID, err)
	}
	return nil
}
