package simulation_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// locks is the lock service in memory. Its limits: exclusive locks of one key each, and Watch begins with what is held.
type locks struct {
	lockv1.UnimplementedLockServiceServer

	mu       sync.Mutex
	queues   map[string][]*lockv1.Acquisition // the first holds
	revision uint64
	changed  chan struct{}
	granted  []*lockv1.Acquisition
	released map[string]bool
}

func newLocks() *locks {
	return &locks{queues: map[string][]*lockv1.Acquisition{}, changed: make(chan struct{}), released: map[string]bool{}}
}

func (l *locks) register(r grpc.ServiceRegistrar) { lockv1.RegisterLockServiceServer(r, l) }

func (l *locks) find(id string) (key string, place int) {
	for key, q := range l.queues {
		if i := slices.IndexFunc(q, func(a *lockv1.Acquisition) bool { return a.GetAcquisitionId() == id }); i >= 0 {
			return key, i
		}
	}
	return "", -1
}

// grant gives the lock to the first in line.
func (l *locks) grant(key string) {
	q := l.queues[key]
	if len(q) == 0 || q[0].GetState() == lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED {
		return
	}
	l.revision++
	q[0].State = lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED
	q[0].Token = &lockv1.FencingToken{Value: fmt.Sprintf("1.%d", l.revision), Generation: 1, Revision: l.revision}
	l.granted = append(l.granted, q[0])
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *locks) Acquire(_ context.Context, req *lockv1.AcquireRequest) (*lockv1.AcquireResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, key := req.GetAcquisitionId(), req.GetLocks()[0].GetKey()
	if l.released[id] {
		return &lockv1.AcquireResponse{Acquisition: &lockv1.Acquisition{AcquisitionId: id, State: lockv1.AcquisitionState_ACQUISITION_STATE_RELEASED}}, nil
	}
	if k, i := l.find(id); i >= 0 {
		return &lockv1.AcquireResponse{Acquisition: l.queues[k][i]}, nil
	}
	a := &lockv1.Acquisition{Owner: req.GetOwner(), AcquisitionId: id, Locks: req.GetLocks(), State: lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED}
	l.queues[key] = append(l.queues[key], a)
	l.grant(key)
	return &lockv1.AcquireResponse{Acquisition: a}, nil
}

func (l *locks) Release(_ context.Context, req *lockv1.ReleaseRequest) (*lockv1.ReleaseResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released[req.GetAcquisitionId()] = true
	key, i := l.find(req.GetAcquisitionId())
	if i < 0 {
		return &lockv1.ReleaseResponse{Outcome: lockv1.ReleaseOutcome_RELEASE_OUTCOME_NEVER_ACQUIRED}, nil
	}
	if a := l.queues[key][i]; req.GetToken() != "" && a.GetToken().GetValue() != req.GetToken() {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_TOKEN_STALE, "the token of %s is another", req.GetAcquisitionId())
	}
	l.queues[key] = slices.Delete(l.queues[key], i, i+1)
	l.grant(key)
	return &lockv1.ReleaseResponse{Outcome: lockv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED}, nil
}

func (l *locks) List(context.Context, *lockv1.ListRequest) (*lockv1.ListResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	resp := &lockv1.ListResponse{}
	for _, q := range l.queues {
		resp.Acquisitions = append(resp.Acquisitions, q...)
	}
	slices.SortFunc(resp.Acquisitions, func(a, b *lockv1.Acquisition) int {
		return compareText(a.GetAcquisitionId(), b.GetAcquisitionId())
	})
	return resp, nil
}

func (l *locks) Watch(_ *lockv1.WatchRequest, stream lockv1.LockService_WatchServer) error {
	l.mu.Lock()
	at := 0
	l.mu.Unlock()
	for {
		l.mu.Lock()
		news, more := slices.Clone(l.granted[at:]), l.changed
		l.mu.Unlock()
		at += len(news)
		for _, a := range news { // one at a time, as the events of state
			ev := &lockv1.LockEvent{Type: lockv1.LockEventType_LOCK_EVENT_TYPE_GRANTED, Acquisition: a}
			if err := stream.Send(&lockv1.WatchResponse{Events: []*lockv1.LockEvent{ev}}); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
