package core

import (
	"context"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// MigrateOrder asks for a run to move to another version of its workflow.
type MigrateOrder struct {
	// Run to move, Version to move to; empty: the highest.
	Run     RunKey
	Version string
	// StateMap has the names of states before -> after, where they differ.
	StateMap map[string]string
	// DryRun only checks. By is who asks.
	DryRun bool
	By     string
}

// Migrated is the answer to it.
type Migrated struct {
	// Version and State that the run is at now, or would be.
	Version, State string
	// Moved tells that it was moved; false in a dry run, and when it was there already.
	Moved bool
	// Sequence of the run after it.
	Sequence uint64
}

// MigrateRun moves a run to another version of its workflow, or refuses with what stands in the way.
func (s *Scheduler) MigrateRun(ctx context.Context, o MigrateOrder) (Migrated, error) {
	run, _, err := s.opts.Store.Run(ctx, o.Run)
	if err != nil {
		return Migrated{}, err
	}
	from, err := s.defs.byDigest(ctx, o.Run.Namespace, run.GetDefinitionDigest())
	if err != nil {
		return Migrated{}, err
	}
	to, err := s.opts.Store.Latest(ctx, o.Run.Namespace, run.GetWorkflow(), o.Version)
	if err != nil {
		return Migrated{}, err
	}
	s.defs.keep(to)
	done := Migrated{Version: to.Proto.GetMetadata().GetVersion(), State: run.GetState()}
	if move, _ := diff.CanMove(from, to, o.StateMap, run); move.State != "" {
		done.State = move.State
	}
	done.Sequence, err = s.do(ctx, o.Run, message{
		event: engine.Migrate{To: to, StateMap: o.StateMap, By: o.By, DryRun: o.DryRun},
		led: func(_ *workflowv1.Run, events []*workflowv1.HistoryEvent) {
			for _, ev := range events {
				if e := ev.GetRunMigrated(); e != nil {
					done.Moved = true
				}
			}
		},
	})
	if err != nil {
		return Migrated{}, err
	}
	return done, nil
}

// Upgrade implements engine.Gate for the inputs of this actor. While the definitions cannot be read, the run stays with the one that it has.
func (a *actor) Upgrade(def *workflow.Definition, _ *workflowv1.Run, _ string) *workflow.Definition {
	to, err := a.s.opts.Store.Latest(a.s.ctx, a.key.Namespace, def.Proto.GetMetadata().GetName(), "")
	if err != nil {
		a.s.opts.Logger.Warn("the newest version of a workflow was not read; a run that could move to it stays where it is", "run", a.key.ID, "error", err)
		return nil
	}
	a.s.defs.keep(to)
	a.newest = to
	return to
}

// follow takes the definition that the run is of after an input.
func (a *actor) follow(ev engine.InputEvent, run *workflowv1.Run) {
	if run.GetDefinitionDigest() == a.def.Digest {
		return
	}
	m, asked := ev.(engine.Migrate)
	switch {
	case a.newest != nil && a.newest.Digest == run.GetDefinitionDigest():
		a.def = a.newest
	case asked && m.To.Digest == run.GetDefinitionDigest():
		a.def = m.To
	}
}
