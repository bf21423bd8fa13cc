package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// person answers the escalations of lost transfers. They see what anyone at the desk sees: the envelope, and the shop's tools.
type person struct {
	w                *world
	happened, didNot atomic.Int64
}

// serve answers until ctx ends.
func (p *person) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		inbox, err := p.w.inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{PageSize: 500})
		if err != nil && !away(err) && ctx.Err() == nil {
			return fmt.Errorf("person: inbox: %w", err)
		}
		for _, rec := range inbox.GetEscalations() {
			if err := p.answer(ctx, rec.GetId()); err != nil && !away(err) && ctx.Err() == nil {
				return fmt.Errorf("person: escalation %s: %w", rec.GetId(), err)
			}
		}
		_ = pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// answer answers one escalation, or leaves it for later when nobody can know yet.
func (p *person) answer(ctx context.Context, id string) error {
	got, err := p.w.inbox.GetEnvelope(ctx, &escalationv1.GetEnvelopeRequest{EscalationId: id})
	if err != nil {
		return err
	}
	env := got.GetEnvelope()
	if kind := env.GetRecord().GetOpened().GetKind(); kind != workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME {
		return fmt.Errorf("a person is asked about %s: %s", kind, env.GetRecord().GetOpened().GetQuestion())
	}
	looked := time.Now()
	found, err := p.find(ctx, env)
	if later(err) {
		return nil // the desk is down
	}
	if err != nil {
		return err
	}
	req := &escalationv1.ResolveRequest{
		EscalationId: id, Decision: "happened", DecidedBy: "sam", Comment: "it is in the list", Value: found, RequestId: "happened-" + id,
		SubjectDigest: env.GetRecord().GetOpened().GetSubjectDigest(),
	}
	if found == nil {
		if until, ok := landsUntil(env); !ok || looked.Before(until) {
			return nil // it may still land
		}
		req.Decision, req.Comment, req.RequestId = "did_not_happen", "it is not in the list", "did-not-"+id
	}
	_, err = p.w.inbox.Resolve(ctx, req)
	if err == nil {
		if found != nil {
			p.happened.Add(1)
		} else {
			p.didNot.Add(1)
		}
	}
	for _, settled := range []errorsv1.ErrorReason{
		errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE,
		errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED,
	} {
		if errs.Is(err, settled) {
			return nil
		}
	}
	return err
}

// find looks for the transfer that the envelope is about.
func (p *person) find(ctx context.Context, env *escalationv1.Envelope) (json.RawMessage, error) {
	call := env.GetFailingCall()
	var args struct {
		Summary string `json:"summary"`
	}
	if err := json.Unmarshal(call.GetArguments(), &args); err != nil || call.GetOperation().GetTool() != "transfer_to_human_agents" {
		return nil, fmt.Errorf("the envelope's failing call is %s(%s)", call.GetOperation().GetTool(), call.GetArguments())
	}
	question, err := json.Marshal(map[string]any{"contains": args.Summary, "limit": 200})
	if err != nil {
		return nil, err
	}
	resp, err := p.w.tools.CallTool(ctx, &gatewayv1.CallToolRequest{Server: call.GetOperation().GetServer(), Tool: "list_transfers", Arguments: question})
	if err != nil || resp.GetIsError() {
		return nil, err
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(resp.GetOutput(), &list); err != nil || len(list.Items) == 0 {
		return nil, err
	}
	return list.Items[0], nil
}

// landsUntil is when the call in question can no longer take effect, as the envelope shows it.
func landsUntil(env *escalationv1.Envelope) (time.Time, bool) {
	id := env.GetFailingCall().GetOperation().GetId()
	for _, a := range env.GetRun().GetActive() {
		for _, op := range append(slices.Clone(a.GetTask().GetOpenCalls()), a.GetOperation()) {
			if op.GetId() == id && op.GetSettleTime() != nil {
				return op.GetSettleTime().AsTime(), true
			}
		}
	}
	return time.Time{}, false
}

// operator closes a tool server's breaker once they see that the server answers again, instead of waiting for the trial calls.
type operator struct {
	w      *world
	server string
	closed atomic.Int64
}

func (o *operator) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := o.look(ctx); err != nil && !away(err) && ctx.Err() == nil {
			return fmt.Errorf("operator: %w", err)
		}
		_ = pause(ctx, 100*time.Millisecond)
	}
	return nil
}

func (o *operator) look(ctx context.Context) error {
	list, err := o.w.recovery.ListBreakers(ctx, &recoveryv1.ListBreakersRequest{Server: o.server, OnlyTroubled: true})
	if err != nil {
		return err
	}
	for _, b := range list.GetBreakers() {
		if b.GetState() == recoveryv1.BreakerState_BREAKER_STATE_CLOSED {
			continue // held closed
		}
		if _, err := o.w.tools.CallTool(ctx, &gatewayv1.CallToolRequest{Server: o.server, Tool: "list_all_product_types"}); err != nil {
			return nil //nolint:nilerr // it does not answer yet
		}
		if _, err := o.w.recovery.ForceBreaker(ctx, &recoveryv1.ForceBreakerRequest{
			Breaker: b.GetRef(), Force: recoveryv1.BreakerForce_BREAKER_FORCE_CLOSED, Duration: durationpb.New(time.Second), Reason: "it answers",
			RequestId: fmt.Sprintf("close-%d", o.closed.Load()),
		}); err != nil {
			return err
		}
		o.closed.Add(1)
	}
	return nil
}
