package storetest

import (
	"fmt"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	reasonNotEnded   = errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED
	reasonNoArtifact = errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND
)

func runKey(id string) core.RunKey { return core.RunKey{Namespace: core.DefaultNamespace, RunID: id} }

// succeed ends a run.
var succeed = Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)

// archivable reads a run that can be archived, as its file was written at a time.
func (f *fixture) archivable(t *testing.T, id string, at time.Time) core.ArchivedRun {
	t.Helper()
	run, _, err := f.Archivable(f.ctx, runKey(id))
	if err != nil {
		t.Fatalf("run %s: %v", id, err)
	}
	run.ArchiveTime, run.File, run.Size = at, "file of "+id, 7
	return run
}

// archive retires runs and purges them.
func (f *fixture) archive(t *testing.T, ids ...string) {
	t.Helper()
	var runs []core.ArchivedRun
	for _, id := range ids {
		runs = append(runs, f.archivable(t, id, Start))
	}
	left, err := f.Retire(f.ctx, runs)
	if err != nil || len(left) > 0 {
		t.Fatalf("retire: %v are left, %v", left, err)
	}
	for more := true; more; {
		if more, err = f.Purge(f.ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) notArchivable(t *testing.T, id string, reason errorsv1.ErrorReason) {
	t.Helper()
	_, _, err := f.Archivable(f.ctx, runKey(id))
	wantReason(t, err, reason)
}

func testArchivable(t *testing.T, f *fixture) {
	f.notArchivable(t, "missing", reasonNoRun)
	releasing := NewRun("releasing")
	f.commit(t, releasing.Next())
	f.notArchivable(t, "releasing", reasonNotEnded)
	f.commit(t, releasing.Next(succeed, func(c *core.Commit) { c.Index.Attention = true }))
	f.notArchivable(t, "releasing", reasonNotEnded)
	f.commit(t, releasing.Next(succeed))
	run := f.archivable(t, "releasing", Start)
	wantEqual(t, "sequence", run.Sequence, 6)
	wantEqual(t, "outcome", run.Outcome, workflowv1.Outcome_OUTCOME_SUCCEEDED)

	t.Run("a tree goes when all of it has ended", func(t *testing.T) {
		child := func(id string) *Run { return NewRun(id) }
		in := func(parent string) func(*core.Commit) {
			return func(c *core.Commit) { c.Index.ParentRunID, c.Index.RootRunID = parent, "root" }
		}
		root, one, two := NewRun("root"), child("one"), child("two")
		fork := NewRun("fork")
		f.commit(t, root.Next(), one.Next(in("root")), two.Next(in("one")),
			fork.Next(func(c *core.Commit) { c.Index.ForkedFromRunID = "two" }))
		f.commit(t, root.Next(succeed))
		f.notArchivable(t, "root", reasonNotEnded)
		f.commit(t, one.Next(succeed))
		f.notArchivable(t, "one", reasonNotEnded)
		f.commit(t, two.Next(succeed))
		f.notArchivable(t, "two", reasonNotEnded) // the fork goes on
		f.commit(t, fork.Next(succeed))
		f.archive(t, "root", "two") // the rest goes after its root
		f.archive(t, "one", "fork")
	})
	t.Run("a child waits for its root", func(t *testing.T) {
		root, child := NewRun("root2"), NewRun("child2")
		f.commit(t, root.Next(), child.Next(succeed, func(c *core.Commit) { c.Index.ParentRunID, c.Index.RootRunID = "root2", "root2" }))
		f.notArchivable(t, "child2", reasonNotEnded)
		f.commit(t, root.Next(succeed))
		f.archive(t, "child2")
	})
}

func testRetire(t *testing.T, f *fixture) {
	a, b, open := NewRun("a"), NewRun("b"), NewRun("open")
	a.RequestID, a.RequestDigest = "request", []byte("content")
	first := a.Next(func(c *core.Commit) {
		c.Operations = []core.Operation{Operation("o", "main/o", 1, false)}
		c.Escalations = []core.Escalation{{
			ID: "e", Namespace: c.Namespace, RunID: "a", State: core.EscalationOpen, OpenTime: Start, Opened: &workflowv1.EscalationOpened{},
		}}
	})
	f.commit(t, open.Next(), first)
	for range 300 {
		f.commit(t, a.Next())
	}
	last := a.Next(succeed)
	f.commit(t, last, b.Next(succeed))

	var escalations []string
	if err := f.Escalations(f.ctx, runKey("a"), func(e core.Escalation) error { escalations = append(escalations, e.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	wantList(t, "escalations", escalations, []string{"e"})
	before := f.archivable(t, "b", Start)
	f.commit(t, b.Next(succeed))
	left, err := f.Retire(f.ctx, []core.ArchivedRun{f.archivable(t, "a", Start.Add(time.Hour)), before})
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, "what changed meanwhile is left", left, []core.RunKey{runKey("b")})
	wantEqual(t, "sequence of b", f.sequence(t, "b"), 4)

	for again := range 2 {
		got, err := f.GetArchived(f.ctx, runKey("a"))
		if err != nil {
			t.Fatal(err)
		}
		want := core.ArchivedRun{
			RunKey: runKey("a"), No: got.No, Workflow: a.Workflow, Version: "1.0.0", Outcome: workflowv1.Outcome_OUTCOME_SUCCEEDED,
			Sequence: last.Sequence, EndTime: last.Index.UpdateTime, ArchiveTime: Start.Add(time.Hour), File: "file of a", Size: 7,
		}
		wantEqual(t, "the index", got, want)
		f.gone(t, "a", "request")
		for more := true; more; {
			if more, err = f.Purge(f.ctx); err != nil {
				t.Fatal(err)
			}
		}
		f.commit(t, last) // it is durable
		f.refused(t, a.Next(), reasonVersion)
		f.refused(t, NewRun("a").Next(func(c *core.Commit) { c.ID = "x" }), reasonRunID)
		old := NewRun("c")
		old.RequestID, old.RequestDigest = a.RequestID, a.RequestDigest
		existing := f.refused(t, old.Next(), reasonExists)
		wantEqual(t, "existing run", existing.ExistingRunID+"@"+existing.ExistingVersion, "a@"+last.Index.Version)
		old.Sequence, old.RequestDigest = 0, []byte("other content")
		f.refused(t, old.Next(), reasonReused)
		f.notArchivable(t, "a", reasonNoRun)
		if again == 0 {
			f.Store = f.reopen()
		}
	}
	_, err = f.GetArchived(f.ctx, runKey("open"))
	wantSuggestions(t, err, reasonNoRun, "open")
}

// gone checks that an archived run is found nowhere but in the archive.
func (f *fixture) gone(t *testing.T, id, request string) {
	t.Helper()
	archived := func(what string, err error) {
		t.Helper()
		if !core.IsArchived(err) {
			t.Errorf("%s: %v does not tell of the archive", what, err)
		}
	}
	_, err := f.GetRun(f.ctx, core.DefaultNamespace, id)
	archived("run", err)
	_, err = f.GetRunByRequest(f.ctx, core.DefaultNamespace, request)
	archived("run by request", err)
	_, err = f.ReadHistory(f.ctx, core.DefaultNamespace, id, 1, 10, bigEnough)
	archived("history", err)
	_, _, err = f.ListOperations(f.ctx, core.OperationQuery{Namespace: core.DefaultNamespace, RunID: id}, core.Page{Limit: 10})
	archived("ledger", err)
	_, err = f.LogPosition(f.ctx, core.DefaultNamespace, id, 1)
	archived("position", err)
	operations, _, err := f.ListOperations(f.ctx, core.OperationQuery{Namespace: core.DefaultNamespace}, core.Page{Limit: 10})
	if err != nil || len(operations) > 0 {
		t.Errorf("the namespace's ledger: %v, %v", operations, err)
	}
	_, err = f.GetEscalation(f.ctx, core.DefaultNamespace, "e")
	wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND)
}

// testNumbers checks that what belonged to an archived run never comes to belong to another.
func testNumbers(t *testing.T, f *fixture) {
	start := func(id string) *core.Commit {
		run := NewRun(id)
		run.RequestID = "request of " + id
		return run.Next(succeed)
	}
	f.commit(t, start("a"), start("b"))
	f.archive(t, "b")
	f.Store = f.reopen()
	f.commit(t, start("c"))
	head, err := f.GetRunByRequest(f.ctx, core.DefaultNamespace, "request of c")
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, "run by request", ids(t, []core.RunHead{head}), []string{"c"})
	_, err = f.GetRunByRequest(f.ctx, core.DefaultNamespace, "request of b")
	wantEqual(t, "b is in the archive", core.IsArchived(err), true)
	heads, _, err := f.ListRuns(f.ctx, core.RunQuery{Namespace: core.DefaultNamespace}, core.Page{Limit: 10})
	wantEqual(t, "error", err, nil)
	wantList(t, "runs", ids(t, heads), []string{"c", "a"})
}

func testArchiveLists(t *testing.T, f *fixture) {
	var all []string
	for i := range 6 {
		run := NewRun(fmt.Sprint("run", i))
		run.Workflow, run.StartTime = fmt.Sprint("w", i%2), Start.Add(time.Duration(i/2)*time.Hour) // two end at the same time
		f.commit(t, run.Next(succeed))
		all = append(all, run.ID)
	}
	elsewhere := NewRun("elsewhere")
	elsewhere.Namespace = "other"
	f.commit(t, elsewhere.Next(succeed), NewRun("open").Next())

	for _, limit := range []int{1, 2, 10} {
		ended := pages(t, limit, func(p core.Page) ([]core.RunKey, string, error) {
			return f.EndedRuns(f.ctx, core.DefaultNamespace, Start.Add(90*time.Minute), p)
		})
		wantList(t, "ended", ended, []core.RunKey{runKey("run0"), runKey("run1"), runKey("run2"), runKey("run3")})
	}
	var namespaces []string
	for next := ""; ; {
		var err error
		if next, err = f.NextNamespace(f.ctx, next); err != nil {
			t.Fatal(err)
		}
		if next == "" {
			break
		}
		namespaces = append(namespaces, next)
	}
	wantList(t, "namespaces", namespaces, []string{"default", "other"})
	f.archive(t, all...)

	list := func(workflow string, limit int) (got []string) {
		t.Helper()
		for _, run := range pages(t, limit, func(p core.Page) ([]core.ArchivedRun, string, error) {
			return f.ListArchived(f.ctx, core.DefaultNamespace, workflow, p)
		}) {
			got = append(got, run.RunID)
		}
		return got
	}
	for _, limit := range []int{1, 4, 6} {
		wantList(t, "newest end first", list("", limit), []string{"run5", "run4", "run3", "run2", "run1", "run0"})
		wantList(t, "of a workflow", list("w1", limit), []string{"run5", "run3", "run1"})
	}
	for _, cursor := range []string{"x", "1", "/", "1/x"} {
		_, _, err := f.ListArchived(f.ctx, core.DefaultNamespace, "", core.Page{Limit: 1, Cursor: cursor})
		wantReason(t, err, reasonBadCursor)
	}
}

// testChangesAfterTheEnd checks that a run which changes after its end, as by a disposition, is one that ended when it changed.
func testChangesAfterTheEnd(t *testing.T, f *fixture) {
	at := func(offset time.Duration) func(*core.Commit) {
		return func(c *core.Commit) { c.Index.UpdateTime = Start.Add(offset) }
	}
	ended := func() []core.RunKey {
		t.Helper()
		keys, _, err := f.EndedRuns(f.ctx, core.DefaultNamespace, Start.Add(time.Hour), core.Page{Limit: 10})
		wantEqual(t, "error", err, nil)
		return keys
	}
	run, still := NewRun("a"), NewRun("b")
	f.commit(t, run.Next(succeed, at(0)), still.Next(succeed, at(0)), still.Next(succeed, at(0)))
	wantList(t, "ended", ended(), []core.RunKey{runKey("a"), runKey("b")})
	f.Store = f.reopen()
	f.commit(t, run.Next(succeed, at(2*time.Hour)))
	wantList(t, "since one has changed", ended(), []core.RunKey{runKey("b")})
	f.commit(t, still.Next(succeed, at(0), func(c *core.Commit) { c.Index.Attention = true }))
	wantList(t, "since the other has something to confirm", ended(), nil)
	f.commit(t, still.Next(succeed, at(0)), run.Next(succeed, at(30*time.Minute)))
	wantList(t, "since both are done", ended(), []core.RunKey{runKey("b"), runKey("a")})
	f.archive(t, "a", "b")
	wantList(t, "since they are archived", ended(), nil)
}

// testHeldArtifacts checks that an artifact goes with the last of those that name it.
func testHeldArtifacts(t *testing.T, f *fixture) {
	artifact := func(text string) core.Artifact {
		return core.Artifact{Digest: core.Digest([]byte(text)), Data: []byte(text)}
	}
	own, shared, passed, emitted, uploaded := artifact("own"), artifact("shared"), artifact("passed"), artifact("emitted"), artifact("uploaded")
	naming := func(artifacts ...core.Artifact) func(*core.Commit) {
		return func(c *core.Commit) {
			batch := &workflowv1.HistoryBatch{}
			for _, a := range artifacts {
				batch.Events = append(batch.Events, &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_SignalReceived{
					SignalReceived: &workflowv1.SignalReceived{Value: named(a)},
				}})
			}
			c.Events = marshal(batch)
		}
	}
	storing := func(artifacts ...core.Artifact) func(*core.Commit) {
		return func(c *core.Commit) { c.Artifacts = artifacts }
	}
	if err := f.PutArtifact(f.ctx, core.DefaultNamespace, uploaded); err != nil {
		t.Fatal(err)
	}
	a, b, elsewhere := NewRun("a"), NewRun("b"), NewRun("elsewhere")
	elsewhere.Namespace = "other"
	f.commit(t,
		a.Next(succeed, storing(own, shared, passed, emitted), naming(uploaded), func(c *core.Commit) {
			e := Event("e", "x", c.Sequence)
			e.Record = marshal(&workflowv1.EmittedEvent{Id: "e", Source: "test", Type: "x", Data: named(emitted)})
			c.Outbox = []core.OutboxEvent{e}
		}),
		b.Next(succeed, storing(shared), naming(passed, shared)),
		elsewhere.Next(naming(own)),
		elsewhere.Next(emit("x")))
	has := func(want ...core.Artifact) {
		t.Helper()
		kept := map[string]bool{}
		for _, a := range want {
			kept[a.Digest] = true
		}
		for _, a := range []core.Artifact{own, shared, passed, emitted, uploaded} {
			_, _, err := f.ReadArtifact(f.ctx, core.DefaultNamespace, a.Digest, 0, 10)
			if err != nil && !core.IsReason(err, reasonNoArtifact) {
				t.Fatal(err)
			}
			wantEqual(t, "artifact "+string(a.Data)+" is kept", err == nil, kept[a.Digest])
		}
	}
	has(own, shared, passed, emitted, uploaded)
	_, _, err := f.ReadArtifact(f.ctx, "other", own.Digest, 0, 10)
	wantReason(t, err, reasonNoArtifact) // to name it gives another namespace no right to it
	f.archive(t, "a")
	has(shared, passed, emitted, uploaded)
	f.archive(t, "b")
	has(emitted, uploaded)

	f.commit(t, NewRun("c").Next(emit("y")))
	removed, err := f.RemoveEvents(f.ctx, core.DefaultNamespace, Start.AddDate(1, 0, 0), 10)
	wantEqual(t, "error", err, nil)
	wantEqual(t, "removed", removed, 1)
	has(uploaded)
	f.commit(t, NewRun("d").Next(storing(own))) // it is stored anew
	has(uploaded, own)
}

func named(a core.Artifact) *workflowv1.Payload {
	return &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{
		Artifact: &workflowv1.ArtifactRef{Digest: a.Digest, SizeBytes: uint64(len(a.Data))},
	}}
}

func testRemoveEvents(t *testing.T, f *fixture) {
	at := func(offset time.Duration) func(*core.Commit) {
		return func(c *core.Commit) { c.Index.UpdateTime = Start.Add(offset) }
	}
	late := Start.AddDate(1, 0, 0)
	remove := func(before time.Time, limit, want int) {
		t.Helper()
		removed, err := f.RemoveEvents(f.ctx, core.DefaultNamespace, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "removed", removed, want)
	}
	old, root, child := NewRun("old"), NewRun("root"), NewRun("child")
	f.commit(t, old.Next(emit("x", "x", "x"), at(0)), root.Next(), old.Next(emit("x", "x"), at(time.Hour)),
		child.Next(func(c *core.Commit) { c.Index.ParentRunID, c.Index.RootRunID = "root", "root" }),
		old.Next(emit("x", "x"), at(2*time.Hour)), root.Next(succeed))
	remove(late, 10, 0) // the run that emitted the first goes on
	f.commit(t, old.Next(succeed))
	remove(Start, 10, 0)
	remove(late, 2, 2)
	wantList(t, "events", f.events(t, core.EventQuery{Limit: 1}), []string{"3 old"})
	remove(late, 10, 1) // the child may read from where its root began
	wantList(t, "what is left", f.events(t, core.EventQuery{}), []string{"4 old", "5 old", "6 old", "7 old"})

	page, err := f.ReadLog(f.ctx, core.LogFilter{Namespace: core.DefaultNamespace}, 2, 1)
	if err != nil || !page.Gap || len(page.Events) != 1 || page.Events[0].Position != 4 {
		t.Errorf("page after what was removed: %+v, %v", page, err)
	}
	if page, err = f.ReadLog(f.ctx, core.LogFilter{}, 3, 1); err != nil || page.Gap || page.Events[0].Position != 4 {
		t.Errorf("page after the last removed: %+v, %v", page, err)
	}
	if page, err = f.ReadLog(f.ctx, core.LogFilter{}, 0, 1); err != nil || page.Gap {
		t.Errorf("first page: %+v, %v", page, err)
	}
	f.commit(t, child.Next(succeed))
	remove(Start.Add(90*time.Minute), 10, 2)
	remove(late, 10, 1) // the last one stays, so that positions go on from it
	f.Store = f.reopen()
	got, err := f.PublishEvent(f.ctx, core.DefaultNamespace, Event("new", "x", 0))
	wantEqual(t, "error", err, nil)
	wantEqual(t, "position", got.Position, 8)
	again, err := f.PublishEvent(f.ctx, core.DefaultNamespace, Event("defaultold@20", "x", 0))
	wantEqual(t, "error", err, nil)
	wantEqual(t, "a removed event is new", again, core.Publication{Position: 9, New: true})
}
