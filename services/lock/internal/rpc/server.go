// Package rpc offers a store of locks as signalbox.lock.v1.LockService.
package rpc

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

const (
	defaultPage = 100
	maxPage     = 1000
	maxWaiting  = 100
)

// Server implements LockService.
type Server struct {
	lockv1.UnsafeLockServiceServer
	store  core.Store
	log    *slog.Logger
	closed context.Context
}

var _ lockv1.LockServiceServer = (*Server)(nil)

// New returns a server on a store. Its watches end when closed does.
func New(closed context.Context, store core.Store, log *slog.Logger) *Server {
	return &Server{store: store, log: log, closed: closed}
}

// Acquire implements LockServiceServer.
func (s *Server) Acquire(ctx context.Context, in *lockv1.AcquireRequest) (*lockv1.AcquireResponse, error) {
	request, err := requestOf(in).Normalised()
	if err != nil {
		return nil, s.refuse(ctx, err, about{})
	}
	acquisition, err := s.store.Acquire(ctx, request)
	if err != nil {
		return nil, s.refuse(ctx, err, about{id: request.ID})
	}
	return &lockv1.AcquireResponse{Acquisition: acquisitionProto(acquisition)}, nil
}

// Release implements LockServiceServer.
func (s *Server) Release(ctx context.Context, in *lockv1.ReleaseRequest) (*lockv1.ReleaseResponse, error) {
	id := idOf(in.GetOwner(), in.GetAcquisitionId())
	if err := id.Validate(); err != nil {
		return nil, s.refuse(ctx, err, about{})
	}
	token, err := tokenOf("token", in.GetToken())
	if err != nil {
		return nil, s.refuse(ctx, err, about{})
	}
	outcome, err := s.store.Release(ctx, id, token)
	if err != nil {
		return nil, s.refuse(ctx, err, about{id: id})
	}
	return &lockv1.ReleaseResponse{Outcome: outcomes[outcome]}, nil
}

// Get implements LockServiceServer.
func (s *Server) Get(ctx context.Context, in *lockv1.GetRequest) (*lockv1.GetResponse, error) {
	lock, err := s.store.Lock(ctx, in.GetNamespace(), in.GetKey(), maxWaiting)
	if err != nil {
		return nil, s.refuse(ctx, err, about{namespace: in.GetNamespace(), key: in.GetKey()})
	}
	return &lockv1.GetResponse{Lock: &lockv1.Lock{
		Namespace:    lock.Namespace,
		Key:          lock.Key,
		Holders:      acquisitionProtos(lock.Holders),
		Waiting:      acquisitionProtos(lock.Waiting),
		WaitingCount: uint32(lock.WaitingCount),
	}}, nil
}

// List implements LockServiceServer.
func (s *Server) List(ctx context.Context, in *lockv1.ListRequest) (*lockv1.ListResponse, error) {
	filter := core.Filter{Namespace: in.GetNamespace(), RunID: in.GetRunId()}
	if err := filter.Validate(); err != nil {
		return nil, s.refuse(ctx, err, about{})
	}
	limit := int(in.GetPageSize())
	switch {
	case limit < 0 || limit > maxPage:
		return nil, s.refuse(ctx, &core.FieldError{Field: "page_size", Problem: "is not between 0 and 1000"}, about{})
	case limit == 0:
		limit = defaultPage
	}
	page, next, err := s.store.List(ctx, filter, limit, in.GetPageToken())
	if err != nil {
		return nil, s.refuse(ctx, err, about{})
	}
	return &lockv1.ListResponse{Acquisitions: acquisitionProtos(page), NextPageToken: next}, nil
}

// Watch implements LockServiceServer.
func (s *Server) Watch(in *lockv1.WatchRequest, stream grpc.ServerStreamingServer[lockv1.WatchResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	filter := core.Filter{Namespace: in.GetNamespace(), RunID: in.GetRunId()}
	if err := filter.Validate(); err != nil {
		return s.refuse(ctx, err, about{})
	}
	after, err := tokenOf("cursor", in.GetCursor())
	if err != nil {
		return s.refuse(ctx, err, about{})
	}
	err = s.store.Watch(ctx, filter, after, func(batch core.Batch) error { return stream.Send(batchProto(batch)) })
	if s.closed.Err() != nil {
		return closing()
	}
	return s.refuse(ctx, err, about{})
}
