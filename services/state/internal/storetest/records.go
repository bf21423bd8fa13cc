package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func testLedger(t *testing.T, f *fixture) {
	const intended, succeeded = workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
	const unknown = workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
	a, b := NewRun("a"), NewRun("b")
	with := func(operations ...core.Operation) func(*core.Commit) {
		return func(c *core.Commit) { c.Operations = operations }
	}
	f.commit(t,
		a.Next(with(Operation("s1", "main/s1", intended, false))),
		b.Next(with(Operation("s1", "main/s1", intended, false))),
		a.Next(with(Operation("s2", "main/s2", unknown, true), Operation("s1", "main/s1", succeeded, false))),
		a.Next(with(Operation("s2", "main/s2", succeeded, true))))

	list := func(q core.OperationQuery) (all []string) {
		t.Helper()
		q.Namespace = core.DefaultNamespace
		for _, o := range pages(t, 1, func(p core.Page) ([]core.Operation, string, error) { return f.ListOperations(f.ctx, q, p) }) {
			if !bytes.Equal(o.Record, Operation(o.ID, o.StepPath, o.Status, o.WasUnknown).Record) {
				t.Errorf("record of %s/%s is not the last one committed", o.RunID, o.ID)
			}
			all = append(all, fmt.Sprintf("%s/%s %d", o.RunID, o.ID, o.Status))
		}
		return all
	}
	wantList(t, "all", list(core.OperationQuery{}), []string{"a/s1 2", "a/s2 2", "b/s1 1"})
	wantList(t, "of a run", list(core.OperationQuery{RunID: "a"}), []string{"a/s1 2", "a/s2 2"})
	wantList(t, "of a step", list(core.OperationQuery{StepPath: "main/s1"}), []string{"a/s1 2", "b/s1 1"})
	wantList(t, "of a status", list(core.OperationQuery{Statuses: []workflowv1.OperationStatus{intended, unknown}}), []string{"b/s1 1"})
	wantList(t, "once unknown", list(core.OperationQuery{WasUnknown: true}), []string{"a/s2 2"})

	_, _, err := f.ListOperations(f.ctx, core.OperationQuery{Namespace: core.DefaultNamespace, RunID: "c"}, core.Page{Limit: 1})
	wantReason(t, err, reasonNoRun)
	_, _, err = f.ListOperations(f.ctx, core.OperationQuery{Namespace: core.DefaultNamespace}, core.Page{Limit: 1, Cursor: "?"})
	wantReason(t, err, reasonBadCursor)
}

func testEscalations(t *testing.T, f *fixture) {
	open := func(run *Run, id string) core.Escalation {
		return core.Escalation{
			ID: id, Namespace: run.Namespace, RunID: run.ID, Workflow: run.Workflow, State: core.EscalationOpen, OpenTime: Start, OpenSequence: 2,
			Opened: &workflowv1.EscalationOpened{EscalationId: id, Question: "may I?"},
		}
	}
	with := func(e ...core.Escalation) func(*core.Commit) { return func(c *core.Commit) { c.Escalations = e } }
	a, b := NewRun("a"), NewRun("b")
	f.commit(t, a.Next(with(open(a, "e1"), open(a, "e2"))), b.Next(with(open(b, "e3"))))
	f.commit(t, a.Next(with(core.Escalation{
		ID: "e1", Namespace: a.Namespace, RunID: "a", Workflow: a.Workflow, State: core.EscalationResolved, CloseTime: Start.Add(time.Hour),
		Closed: &workflowv1.EscalationClosed{EscalationId: "e1", Decision: "approve"},
	})))

	e, err := f.GetEscalation(f.ctx, core.DefaultNamespace, "e1")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "state", e.State, core.EscalationResolved)
	wantEqual(t, "what was asked", e.Opened.GetQuestion(), "may I?")
	wantEqual(t, "decision", e.Closed.GetDecision(), "approve")
	wantEqual(t, "opened at", e.OpenTime, Start)
	wantEqual(t, "closed at", e.CloseTime, Start.Add(time.Hour))
	wantEqual(t, "opened by event", e.OpenSequence, 2)
	wantEqual(t, "run", e.RunID, "a")
	_, err = f.GetEscalation(f.ctx, core.DefaultNamespace, "e4")
	wantSuggestions(t, err, errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, "e4")

	list := func(q core.EscalationQuery) (all []string) {
		for _, e := range pages(t, 1, func(p core.Page) ([]core.Escalation, string, error) { return f.ListEscalations(f.ctx, q, p) }) {
			all = append(all, e.ID)
		}
		return all
	}
	wantList(t, "open", list(core.EscalationQuery{State: core.EscalationOpen}), []string{"e2", "e3"})
	wantList(t, "open of a run", list(core.EscalationQuery{State: core.EscalationOpen, RunID: "b"}), []string{"e3"})
	wantList(t, "resolved", list(core.EscalationQuery{Namespace: core.DefaultNamespace, State: core.EscalationResolved}), []string{"e1"})
	wantList(t, "of another namespace", list(core.EscalationQuery{Namespace: "other", State: core.EscalationOpen}), nil)

	foreign := b.Next(with(core.Escalation{ID: "e2", Namespace: b.Namespace, RunID: "b", State: core.EscalationClosed}))
	f.refused(t, foreign, reasonInvalid)
	wantEqual(t, "sequence of the run that was refused", f.sequence(t, "b"), 2)
}

func testArtifacts(t *testing.T, f *fixture) {
	artifact := func(n int) core.Artifact {
		data := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		return core.Artifact{Digest: core.Digest(data), Data: data}
	}
	big, small, empty := artifact(700<<10+5), artifact(40), artifact(0)
	run := NewRun("a")
	f.commit(t, run.Next(func(c *core.Commit) { c.Artifacts = []core.Artifact{big, small} }))
	for _, a := range []core.Artifact{small, empty, small} {
		if err := f.PutArtifact(f.ctx, core.DefaultNamespace, a); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		a        core.Artifact
		from, to int
	}{
		{big, 0, len(big.Data)}, {big, 5, 6}, {big, 256<<10 - 1, 256<<10 + 1}, {big, 256 << 10, 512 << 10}, {big, 700 << 10, len(big.Data)},
		{small, 0, 40}, {small, 39, 40}, {small, 40, 40}, {empty, 0, 0},
	} {
		data, size, err := f.ReadArtifact(f.ctx, core.DefaultNamespace, c.a.Digest, uint64(c.from), max(c.to-c.from, 1))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, c.a.Data[c.from:c.to]) || size != uint64(len(c.a.Data)) {
			t.Errorf("bytes %d to %d of %d: got %d bytes of %d", c.from, c.to, len(c.a.Data), len(data), size)
		}
	}
	data, _, err := f.ReadArtifact(f.ctx, core.DefaultNamespace, small.Digest, 100, 10)
	wantEqual(t, "bytes beyond the end", len(data), 0)
	wantEqual(t, "error beyond the end", err, nil)

	const missing = errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND
	_, _, err = f.ReadArtifact(f.ctx, "other", small.Digest, 0, 1)
	wantReason(t, err, missing)
	_, _, err = f.ReadArtifact(f.ctx, core.DefaultNamespace, core.Digest([]byte("nothing")), 0, 1)
	wantReason(t, err, missing)
	if err := f.PutArtifact(f.ctx, "other", small); err != nil {
		t.Fatal(err)
	}
	if _, _, err = f.ReadArtifact(f.ctx, "other", small.Digest, 0, 1); err != nil {
		t.Error(err)
	}
}
