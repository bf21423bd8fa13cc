package sqlitestore

import (
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// runState is what the writer needs of a run to judge its next commit and to find out which indexes that commit touches.
type runState struct {
	no        int64
	shard     uint32
	sequence  uint64
	commitID  string
	status    workflowv1.RunStatus
	attention bool
	workflow  string
	// updated is the time of its last commit. inTree is whether it has a place in a tree, paused whether it is among the paused runs.
	updated        int64
	inTree, paused bool
}

func (r *runState) ended() bool { return r.status == workflowv1.RunStatus_RUN_STATUS_ENDED }

// open is whether it goes on, or has something left to confirm.
func (r *runState) open() bool { return !r.ended() || r.attention }

// runCache keeps the states of the runs that moved last. As there is one writer, what it holds is what the database holds. It is two
// generations of at most limit runs: the older one is dropped when the younger is full, and a run that is found in it is young again.
type runCache struct {
	limit      int
	young, old map[core.RunKey]*runState
}

func newRunCache(limit int) *runCache {
	c := &runCache{limit: limit}
	c.clear()
	return c
}

func (c *runCache) clear() {
	c.young, c.old = map[core.RunKey]*runState{}, nil
}

func (c *runCache) get(key core.RunKey) *runState {
	if state := c.young[key]; state != nil {
		return state
	}
	state := c.old[key]
	if state != nil {
		delete(c.old, key)
		c.put(key, state)
	}
	return state
}

func (c *runCache) put(key core.RunKey, state *runState) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[core.RunKey]*runState, len(c.young))
	}
	c.young[key] = state
}

// drop forgets a run.
func (c *runCache) drop(key core.RunKey) {
	delete(c.young, key)
	delete(c.old, key)
}
