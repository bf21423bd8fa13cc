package core

import (
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// carryOut gives one command.
func (s *Scheduler) carryOut(key RunKey, run *workflowv1.Run, c engine.Command, events map[uint64]*workflowv1.HistoryEvent) {
	switch c := c.(type) {
	case engine.Invoke:
		s.invoke(key, run, c, events)
	case engine.InvokeRead:
		s.invokeRead(key, run, c)
	case engine.Attach:
		s.attach(key, c)
	case engine.OfferTask:
		s.tasks.offer(key, run, c)
	case engine.WithdrawTask:
		s.tasks.withdraw(c.TaskID)
	case engine.AcquireLock:
		s.opts.Locks.Acquire(key, c.Hold)
	case engine.ReleaseLock:
		s.opts.Locks.Release(key, c.Hold)
	case engine.Subscribe:
		s.router.subscribe(key, c.StepPath, c.Wait)
	case engine.Unsubscribe:
		s.router.unsubscribe(key, c.StepPath)
	case engine.StartChild:
		s.startChild(key, c)
	case engine.CancelChild:
		s.cancelChild(key, c)
	case engine.UndoChild:
		s.undoChild(key, c)
	case engine.CedeUndo:
		s.cedeUndo(key, c)
	case engine.LookUpCache:
		s.lookUpCache(key, run.GetWorkflow(), c)
	case engine.StoreCache:
		s.storeCache(key, run.GetWorkflow(), c)
	case engine.Proceed:
		s.post(key, engine.Continue{}, nil)
	case engine.Gather:
		s.gather(key, c)
	default:
		s.opts.Logger.Error("a command is not known, and the run may wait for it for ever", "run", key.ID, "command", fmt.Sprintf("%T", c))
	}
}
