package rpc

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

var (
	states = map[core.State]lockv1.AcquisitionState{
		core.Queued:   lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED,
		core.Granted:  lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED,
		core.Released: lockv1.AcquisitionState_ACQUISITION_STATE_RELEASED,
	}
	outcomes = map[core.Outcome]lockv1.ReleaseOutcome{
		core.OutcomeReleased:        lockv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED,
		core.OutcomeAlreadyReleased: lockv1.ReleaseOutcome_RELEASE_OUTCOME_ALREADY_RELEASED,
		core.OutcomeNeverAcquired:   lockv1.ReleaseOutcome_RELEASE_OUTCOME_NEVER_ACQUIRED,
	}
	eventTypes = map[core.EventType]lockv1.LockEventType{
		core.EventQueued:   lockv1.LockEventType_LOCK_EVENT_TYPE_QUEUED,
		core.EventGranted:  lockv1.LockEventType_LOCK_EVENT_TYPE_GRANTED,
		core.EventReleased: lockv1.LockEventType_LOCK_EVENT_TYPE_RELEASED,
	}
	modes = map[core.Mode]lockv1.LockMode{
		core.Exclusive: lockv1.LockMode_LOCK_MODE_EXCLUSIVE,
		core.Shared:    lockv1.LockMode_LOCK_MODE_SHARED,
	}
	modeOf = map[lockv1.LockMode]core.Mode{
		lockv1.LockMode_LOCK_MODE_UNSPECIFIED: core.Exclusive,
		lockv1.LockMode_LOCK_MODE_EXCLUSIVE:   core.Exclusive,
		lockv1.LockMode_LOCK_MODE_SHARED:      core.Shared,
	}
)

func requestOf(in *lockv1.AcquireRequest) core.Request {
	request := core.Request{ID: idOf(in.GetOwner(), in.GetAcquisitionId())}
	for _, claim := range in.GetLocks() {
		request.Claims = append(request.Claims, core.Claim{Key: claim.GetKey(), Mode: modeOf[claim.GetMode()], Permits: int(claim.GetPermits())})
	}
	return request
}

func idOf(owner *lockv1.Owner, acquisitionID string) core.ID {
	return core.ID{Owner: core.Owner{Namespace: owner.GetNamespace(), RunID: owner.GetRunId()}, Name: acquisitionID}
}

// tokenOf reads a token or cursor; empty is the zero token.
func tokenOf(field, text string) (core.Token, error) {
	if text == "" {
		return core.Token{}, nil
	}
	token, ok := core.ParseToken(text)
	if !ok || token.IsZero() {
		return core.Token{}, &core.FieldError{Field: field, Problem: "was not made by this service; hand back unchanged what it gave"}
	}
	return token, nil
}

func acquisitionProtos(in []core.Acquisition) []*lockv1.Acquisition {
	out := make([]*lockv1.Acquisition, len(in))
	for i, a := range in {
		out[i] = acquisitionProto(a)
	}
	return out
}

func acquisitionProto(a core.Acquisition) *lockv1.Acquisition {
	out := &lockv1.Acquisition{
		Owner: &lockv1.Owner{
			Namespace: a.ID.Owner.Namespace,
			Kind:      &lockv1.Owner_RunId{RunId: a.ID.Owner.RunID},
		},
		AcquisitionId: a.ID.Name,
		State:         states[a.State],
		Position:      uint32(a.Position),
	}
	for _, claim := range a.Claims {
		said := &lockv1.LockClaim{Key: claim.Key, Mode: modes[claim.Mode]}
		if claim.Permits > 1 {
			said.Permits = uint32(claim.Permits)
		}
		out.Locks = append(out.Locks, said)
	}
	if a.State == core.Granted { // before the grant the token would be a promise that nobody may act on
		out.Token = &lockv1.FencingToken{Value: a.Token.String(), Generation: a.Token.Generation, Revision: a.Token.Revision}
	}
	if a.State != core.Released {
		out.RequestedAt = timestamppb.New(a.RequestedAt)
	}
	return out
}

func batchProto(batch core.Batch) *lockv1.WatchResponse {
	out := &lockv1.WatchResponse{Snapshot: batch.Snapshot}
	if !batch.Cursor.IsZero() {
		out.Cursor = batch.Cursor.String()
	}
	for _, event := range batch.Events {
		out.Events = append(out.Events, &lockv1.LockEvent{
			Type: eventTypes[event.Type], Acquisition: acquisitionProto(event.Acquisition),
		})
	}
	return out
}
