package diff

import (
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// locks checks the locks of the state that the run is in: what it holds or asks for is declared alike, and a run whose steps have begun
// holds all that the state takes.
func (m *mover) locks(target *workflow.State) {
	waiting := false
	asked := map[string]bool{}
	for _, hold := range m.run.GetLocks() {
		if hold.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_RELEASING || hold.GetState() != m.run.GetState() || hold.GetStepPath() != "" {
			continue
		}
		asked[hold.GetName()] = true
		waiting = waiting || hold.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING
		if problem := lockDiffers(stateLocks(m.from, m.run.GetState()), target.Locks, hold.GetName()); problem != "" {
			m.block(Obstacle{
				Kind: KindLock, Path: hold.GetName(), Message: fmt.Sprintf("the run holds or asks for lock %q of state %q, which %s", hold.GetName(), target.Name, problem),
				Mend: "wait until the run has left the state",
			})
		}
	}
	for _, use := range target.Locks {
		if asked[use.Name] || waiting && later(target.Locks, use, asked) {
			continue
		}
		m.block(lockLacking(m.to, target, use, m.run.GetState()))
	}
}

func lockLacking(to *workflow.Definition, target *workflow.State, use *workflow.LockUse, state string) Obstacle {
	return Obstacle{
		Kind: KindLock, Path: use.Name,
		Message: fmt.Sprintf("state %q takes lock %q in %s, which a run in %q does not hold", target.Name, use.Name, version(to), state),
		Mend:    "move runs before they enter the state, or after they have left it",
	}
}

// later tells that a lock comes after those that are asked for, so that a run that waits for them takes it in its turn.
func later(order []*workflow.LockUse, use *workflow.LockUse, asked map[string]bool) bool {
	for _, other := range order {
		if asked[other.Name] && other.Rank >= use.Rank {
			return false
		}
	}
	return true
}

func stateLocks(d *workflow.Definition, state string) []*workflow.LockUse {
	if s := d.States[state]; s != nil {
		return s.Locks
	}
	return nil
}

// lockDiffers tells how a lock that is held is another one in the new definition; empty: it is the same.
func lockDiffers(before, after []*workflow.LockUse, name string) string {
	was, is := lockNamed(before, name), lockNamed(after, name)
	switch {
	case is == nil:
		return "does not take it any more"
	case was == nil:
		return ""
	case source(was.Key) != source(is.Key):
		return fmt.Sprintf("has another key: `%s` instead of `%s`", source(is.Key), source(was.Key))
	case was.Shared != is.Shared:
		return "takes it shared in one definition and alone in the other"
	case was.Permits != is.Permits:
		return fmt.Sprintf("has %d permits instead of %d", is.Permits, was.Permits)
	default:
		return ""
	}
}

func lockNamed(uses []*workflow.LockUse, name string) *workflow.LockUse {
	for _, use := range uses {
		if use.Name == name {
			return use
		}
	}
	return nil
}

func source(e *workflow.Expr) string {
	if e == nil {
		return ""
	}
	return e.Source
}

// stepLocks tells how the locks of an open step differ.
func (m *mover) stepLocks(is *workflow.Step, a *workflowv1.ActiveStep) []string {
	was, _ := m.from.Step(is.ID)
	if was == nil {
		return nil
	}
	var problems []string
	held := map[string]bool{}
	for _, hold := range m.run.GetLocks() {
		if hold.GetStepPath() != a.GetPath() || hold.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_RELEASING {
			continue
		}
		held[hold.GetName()] = true
		if problem := lockDiffers(was.Locks, is.Locks, hold.GetName()); problem != "" {
			problems = append(problems, fmt.Sprintf("holds or asks for lock %q, which %s", hold.GetName(), problem))
		}
	}
	if a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK || a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED {
		return problems
	}
	for _, use := range is.Locks {
		if !held[use.Name] {
			problems = append(problems, fmt.Sprintf("takes lock %q in %s, which it does not hold", use.Name, version(m.to)))
		}
	}
	return problems
}
