package rpc

import (
	"context"
	"errors"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/batches"
)

// Steering lets a batch do what a client can do to a run, in the name of whoever started it.
type Steering struct{ control *Control }

var _ batches.Steering = (*Steering)(nil)

// NewSteering makes it.
func NewSteering(c *Control) *Steering { return &Steering{control: c} }

// Cancel implements batches.Steering.
func (s *Steering) Cancel(ctx context.Context, run core.RunKey, reason, by string) error {
	_, err := s.control.CancelRun(as(ctx, by), &schedulerv1.CancelRunRequest{Namespace: run.Namespace, RunId: run.ID, Reason: reason})
	return coreError(err)
}

// Pause implements batches.Steering.
func (s *Steering) Pause(ctx context.Context, run core.RunKey, reason, by string) error {
	_, err := s.control.PauseRun(as(ctx, by), &schedulerv1.PauseRunRequest{Namespace: run.Namespace, RunId: run.ID, Reason: reason})
	return coreError(err)
}

// Resume implements batches.Steering.
func (s *Steering) Resume(ctx context.Context, run core.RunKey, by string) error {
	_, err := s.control.ResumeRun(as(ctx, by), &schedulerv1.ResumeRunRequest{Namespace: run.Namespace, RunId: run.ID})
	return coreError(err)
}

// Migrate implements batches.Steering.
func (s *Steering) Migrate(ctx context.Context, run core.RunKey, m batches.Move, by string) (batches.Place, error) {
	resp, err := s.control.MigrateRun(as(ctx, by), &schedulerv1.MigrateRunRequest{
		Namespace: run.Namespace, RunId: run.ID, Version: m.Version, StateMap: m.StateMap, DryRun: m.DryRun,
	})
	return batches.Place{Version: resp.GetVersion(), State: resp.GetState()}, coreError(err)
}

func as(ctx context.Context, by string) context.Context {
	return authn.NewContext(ctx, authn.Identity{Subject: by})
}

// coreError gives a refusal the meaning that core knows.
func coreError(err error) error {
	told, ok := errs.From(err)
	if !ok {
		return err
	}
	switch told.Reason() {
	case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED, errorsv1.ErrorReason_ERROR_REASON_DRAINING:
		return errors.Join(core.ErrAway, err)
	case errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND:
		return errors.Join(core.ErrNotFound, err)
	case errorsv1.ErrorReason_ERROR_REASON_INTERNAL:
		return err
	}
	return &engine.Refusal{Reason: told.Reason(), Message: told.Error()}
}
