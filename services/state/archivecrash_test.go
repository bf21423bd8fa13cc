package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/archivefile"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/sqlitestore"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

// crashing stops an archive before or after one of its steps, as a crash of the process would.
type crashing struct {
	core.ArchiveStore
	core.ArchiveFiles
	left int
}

var errCrash = errors.New("crash")

func (c *crashing) step() error {
	c.left--
	if c.left < 0 {
		return errCrash
	}
	return nil
}

func (c *crashing) Write(
	ctx context.Context, name string, header core.ArchiveHeader, content func(func(core.ArchiveRecord) error) error,
) (uint64, error) {
	if err := c.step(); err != nil {
		return 0, err
	}
	size, err := c.ArchiveFiles.Write(ctx, name, header, func(add func(core.ArchiveRecord) error) error {
		records := 0
		return content(func(r core.ArchiveRecord) error {
			if records++; records%60 == 0 {
				return errors.Join(c.step(), add(r))
			}
			return add(r)
		})
	})
	return size, errors.Join(err, c.step())
}

func (c *crashing) Retire(ctx context.Context, runs []core.ArchivedRun) ([]core.RunKey, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	left, err := c.ArchiveStore.Retire(ctx, runs)
	return left, errors.Join(err, c.step())
}

func (c *crashing) Purge(ctx context.Context) (bool, error) {
	if err := c.step(); err != nil {
		return false, err
	}
	return c.ArchiveStore.Purge(ctx)
}

type silent struct{}

func (silent) Archived(core.ArchivedRun)        {}
func (silent) ArchiveFailed(core.RunKey, error) {}
func (silent) EventsRemoved(int)                {}

// place is a store and an archive in a folder.
type place struct {
	store *sqlitestore.Store
	files *archivefile.Folder
}

func openPlace(t *testing.T, dir string) place {
	t.Helper()
	store, err := sqlitestore.Open(sqlitestore.Options{Dir: filepath.Join(dir, "state"), Clock: clock.Real(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	files, err := archivefile.Open(filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	return place{store, files}
}

func (p place) close(t *testing.T) {
	t.Helper()
	if err := p.store.Close(); err != nil {
		t.Error(err)
	}
}

var archivedKey = core.RunKey{Namespace: core.DefaultNamespace, RunID: "a"}

// ended puts an ended run into the store that has something of everything, and more of it than one transaction removes.
func (p place) ended(t *testing.T) {
	t.Helper()
	if _, err := p.store.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	run := storetest.NewRun("a")
	run.RequestID, run.RequestDigest = "request", []byte("content")
	for i := range 150 {
		c := run.Next(func(c *core.Commit) {
			c.Operations = []core.Operation{storetest.Operation(fmt.Sprint("o", i), "main/o", 2, false)}
			data := fmt.Appendf(nil, `"value %d"`, i)
			c.Artifacts = []core.Artifact{{Digest: core.Digest(data), Data: data}}
			batch := &workflowv1.HistoryBatch{}
			if err := proto.Unmarshal(c.Events, batch); err != nil {
				t.Fatal(err)
			}
			batch.GetEvents()[0].GetSignalReceived().Value = &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{
				Artifact: &workflowv1.ArtifactRef{Digest: core.Digest(data), SizeBytes: uint64(len(data))},
			}}
			var err error
			if c.Events, err = proto.Marshal(batch); err != nil {
				t.Fatal(err)
			}
			if i == 149 {
				storetest.Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)(c)
			}
		})
		answer := make(chan core.Result, 1)
		if err := p.store.Submit(t.Context(), []*core.Commit{c}, func(r []core.Result) { answer <- r[0] }); err != nil {
			t.Fatal(err)
		}
		if r := <-answer; r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
	}
}

// archived reads what the archive holds of the run.
func (p place) archived(t *testing.T) (all []core.ArchiveRecord) {
	t.Helper()
	archive := core.NewArchive(p.store, p.store, p.files, clock.Real(), silent{})
	err := archive.Read(t.Context(), archivedKey, func(core.ArchivedRun) {}, func(r core.ArchiveRecord) error {
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAnArchivalIsRepeatedAfterACrashAtAnyPoint lets the process die at each step of an archival and goes on with what it left on the disk.
func TestAnArchivalIsRepeatedAfterACrashAtAnyPoint(t *testing.T) {
	dir := t.TempDir()
	before := openPlace(t, dir)
	before.ended(t)
	before.close(t)
	var want []core.ArchiveRecord
	for steps, done := 0, false; !done; steps++ {
		live, after := filepath.Join(t.TempDir(), "live"), filepath.Join(t.TempDir(), "after")
		copyTree(t, dir, live)
		p := openPlace(t, live)
		dying := &crashing{ArchiveStore: p.store, ArchiveFiles: p.files, left: steps}
		_, err := core.NewArchive(dying, p.store, dying, clock.Real(), silent{}).Move(t.Context(), archivedKey)
		if done = err == nil; !done && !errors.Is(err, errCrash) {
			t.Fatalf("after %d steps: %v", steps, err)
		}
		copyTree(t, live, after)
		p.close(t)

		p = openPlace(t, after)
		_, gone := p.store.GetRun(t.Context(), archivedKey.Namespace, archivedKey.RunID)
		if gone != nil && !core.IsArchived(gone) {
			t.Errorf("after %d steps the run is lost: %v", steps, gone)
		}
		if done && gone == nil {
			t.Error("the run is still in the store")
		}
		archive := core.NewArchive(p.store, p.store, p.files, clock.Real(), silent{})
		first, err := archive.Move(t.Context(), archivedKey)
		if err != nil {
			t.Fatalf("after %d steps it cannot be repeated: %v", steps, err)
		}
		if again, err := archive.Move(t.Context(), archivedKey); err != nil || again != first {
			t.Errorf("after %d steps, once more: %+v, %v, want %+v", steps, again, err, first)
		}
		got := p.archived(t)
		if want == nil {
			want = got
			checkArchived(t, want)
		}
		if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("after %d steps: %s", steps, diff)
		}
		p.empty(t, steps)
		p.close(t)
	}
}

// checkArchived checks that the file holds the run, its artifacts in their places.
func checkArchived(t *testing.T, all []core.ArchiveRecord) {
	t.Helper()
	events, operations := 0, 0
	for _, r := range all {
		for _, e := range r.History.GetEvents() {
			want := fmt.Sprintf(`"value %d"`, events/2)
			if value := e.GetSignalReceived().GetValue(); events%2 == 0 && string(value.GetInline()) != want {
				t.Errorf("event %d holds %v, want %s", e.GetSequence(), value, want)
			}
			events++
		}
		if r.Operation != nil {
			operations++
		}
	}
	if events != 300 || operations != 150 || all[0].Run.GetId() != "a" {
		t.Errorf("%d events and %d operations of run %q", events, operations, all[0].Run.GetId())
	}
}

// empty checks that nothing of the run is left.
func (p place) empty(t *testing.T, steps int) {
	t.Helper()
	if more, err := p.store.Purge(t.Context()); err != nil || more {
		t.Errorf("after %d steps something is left: %v", steps, err)
	}
	data := []byte(`"value 7"`)
	if _, _, err := p.store.ReadArtifact(t.Context(), core.DefaultNamespace, core.Digest(data), 0, 1); err == nil {
		t.Errorf("after %d steps an artifact is left", steps)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
