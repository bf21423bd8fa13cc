package batches

import (
	"context"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Runs steers runs; *core.Scheduler does.
type Runs interface {
	// CancelRun asks a run to end.
	CancelRun(ctx context.Context, key core.RunKey, c engine.Cancel) (*workflowv1.Run, error)
	// PauseRun lets a run begin nothing new.
	PauseRun(ctx context.Context, key core.RunKey, p engine.Pause) (uint64, error)
	// ResumeRun ends a run's pause.
	ResumeRun(ctx context.Context, key core.RunKey, u engine.Unpause) (uint64, error)
	// MigrateRun moves a run to another version of its workflow, or refuses with what stands in the way.
	MigrateRun(ctx context.Context, o core.MigrateOrder) (core.Migrated, error)
}

// Steer is Steering by what a client can do to a run.
func Steer(r Runs) Steering { return steering{r} }

type steering struct{ runs Runs }

func (s steering) Cancel(ctx context.Context, run core.RunKey, reason, by string) error {
	_, err := s.runs.CancelRun(ctx, run, engine.Cancel{Reason: reason, RequestedBy: by})
	return err
}

func (s steering) Pause(ctx context.Context, run core.RunKey, reason, by string) error {
	_, err := s.runs.PauseRun(ctx, run, engine.Pause{Reason: reason, By: by})
	return err
}

func (s steering) Resume(ctx context.Context, run core.RunKey, by string) error {
	_, err := s.runs.ResumeRun(ctx, run, engine.Unpause{By: by})
	return err
}

func (s steering) Migrate(ctx context.Context, run core.RunKey, m Move, by string) (Place, error) {
	done, err := s.runs.MigrateRun(ctx, core.MigrateOrder{Run: run, Version: m.Version, StateMap: m.StateMap, DryRun: m.DryRun, By: by})
	return Place{Version: done.Version, State: done.State}, err
}
