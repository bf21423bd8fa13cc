package core

import (
	"context"
	"fmt"
	"sync"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// record is what the ledger says of a task's calls. All commits of the run are this scheduler's own, so that what was read once stays
// true as long as what is committed is added.
type record struct {
	mu    sync.Mutex
	whole bool
	ops   map[string]*workflowv1.Operation
}

// load reads the ledger, once.
func (r *record) load(ctx context.Context, store Store, tk *task) error {
	r.mu.Lock()
	whole := r.whole
	r.mu.Unlock()
	if whole {
		return nil
	}
	ops, err := store.Operations(ctx, tk.key, tk.path)
	if err != nil {
		return fmt.Errorf("ledger of task %s: %w", tk.id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		r.keep(op)
	}
	r.whole = true
	return nil
}

// keep keeps an entry, unless a later state of it is known.
func (r *record) keep(op *workflowv1.Operation) {
	if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		return
	}
	if r.ops == nil {
		r.ops = map[string]*workflowv1.Operation{}
	}
	if have := r.ops[op.GetId()]; have.GetUpdateSequence() <= op.GetUpdateSequence() {
		r.ops[op.GetId()] = op
	}
}

// each visits the entries in no order.
func (r *record) each(visit func(*workflowv1.Operation)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range r.ops {
		visit(op)
	}
}

// recordOf is the record of the task of a step; nil: there is none.
func (t *tasks) recordOf(key RunKey, path string) *record {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tk := t.byStep[stepKey{key, path}]; tk != nil {
		return &tk.record
	}
	return nil
}

// recall is the ledger's entry of a call, nil when it has none; false: the ledger is not known.
func (t *tasks) recall(key RunKey, path, id string) (*workflowv1.Operation, bool) {
	r := t.recordOf(key, path)
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops[id], r.whole
}

// note adds what a commit changed.
func (t *tasks) note(key RunKey, op *workflowv1.Operation) {
	if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		return
	}
	if r := t.recordOf(key, op.GetStepPath()); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keep(op)
	}
}

// unlearn lets the ledger of a run's tasks be read again.
func (t *tasks) unlearn(key RunKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tk := range t.byID {
		if tk.key == key {
			tk.record.mu.Lock()
			tk.record.whole, tk.record.ops = false, nil
			tk.record.mu.Unlock()
		}
	}
}
