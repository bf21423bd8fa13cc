package archivefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/testing/protocmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const fileName = "default/2026/11/22/0000000007-case-17.sbrun.zst"

func header() core.ArchiveHeader {
	return core.ArchiveHeader{
		RunKey: core.RunKey{Namespace: "default", RunID: "case-17"}, Sequence: 4, ArchiveTime: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
	}
}

// records are those of a run whose workflow tells runs apart.
func records(workflow string) []core.ArchiveRecord {
	events := func(from, to uint64) *workflowv1.HistoryBatch {
		batch := &workflowv1.HistoryBatch{}
		for sequence := from; sequence <= to; sequence++ {
			batch.Events = append(batch.Events, &workflowv1.HistoryEvent{Sequence: sequence})
		}
		return batch
	}
	return []core.ArchiveRecord{
		{Run: &workflowv1.Run{Id: "case-17", Workflow: workflow}},
		{History: events(1, 3)},
		{Piece: &core.ArtifactPiece{Digest: "sha256:12", Offset: 5, Data: bytes.Repeat([]byte(workflow), 1000)}},
		{History: events(4, 4)},
		{Operation: &workflowv1.Operation{Id: "o", Tool: "pay"}},
		{Escalation: &core.Escalation{
			ID: "e", Namespace: "default", RunID: "case-17", Workflow: workflow, State: core.EscalationResolved, OpenSequence: 3,
			Opened: &workflowv1.EscalationOpened{Question: "may I?"}, Closed: &workflowv1.EscalationClosed{Decision: "yes"},
			OpenTime: time.Unix(5, 0).UTC(), CloseTime: time.Unix(6, 0).UTC(),
		}},
	}
}

func content(all []core.ArchiveRecord) func(add func(core.ArchiveRecord) error) error {
	return func(add func(core.ArchiveRecord) error) error {
		for _, r := range all {
			if err := add(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func read(t *testing.T, f *Folder, name string) (all []core.ArchiveRecord, err error) {
	t.Helper()
	err = f.Read(t.Context(), name, func(r core.ArchiveRecord) error {
		all = append(all, r)
		return nil
	})
	return all, err
}

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	f := openFolder(t, dir)
	for _, workflow := range []string{"first", "second"} { // the second replaces the first
		want := records(workflow)
		size, err := f.Write(t.Context(), fileName, header(), content(want))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, fileName))
		if err != nil || uint64(info.Size()) != size {
			t.Errorf("size %d of %v, %v", size, info, err)
		}
		got, err := read(t, f, fileName)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	broken := errors.New("broken")
	if _, err := f.Write(t.Context(), fileName, header(), func(func(core.ArchiveRecord) error) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got, err := read(t, f, fileName); err != nil || got[0].Run.GetWorkflow() != "second" {
		t.Errorf("after a failure: %v, %v", got, err)
	}
	drafts, err := os.ReadDir(filepath.Join(dir, draftFolder))
	if err != nil || len(drafts) > 0 {
		t.Errorf("drafts %v, %v", drafts, err)
	}
	stop := errors.New("stop")
	if err := f.Read(t.Context(), fileName, func(core.ArchiveRecord) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	_, err = read(t, f, "default/missing")
	if !core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND) || !strings.Contains(err.Error(), "default/missing") {
		t.Errorf("error %v", err)
	}
}

func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	if _, err := f.Write(t.Context(), fileName, header(), content(records("w"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var found *core.DamagedFile
		if _, err := read(t, f, fileName); !errors.As(err, &found) || strings.Contains(found.Error(), dir) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range whole {
		damaged(fmt.Sprint("cut after ", n), whole[:n])
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x20
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		// A bit of the frame's own header may mean nothing; what is read must be right then.
		if got, err := read(t, f, fileName); err == nil && gocmp.Diff(records("w"), got, protocmp.Transform()) != "" {
			t.Errorf("byte %d flipped: other records are read", i)
		}
	}
	damaged("something behind", append(bytes.Clone(whole), compress(t, []byte("more"))...))
	damaged("another format", compress(t, record(t, &statev1.ArchiveHeader{Format: "x", Version: 1})))
	newer := record(t, &statev1.ArchiveHeader{Format: format, Version: version + 1})
	if err := os.WriteFile(path, compress(t, newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, f, fileName); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a newer version: %v", err)
	}
}

func record(t *testing.T, h *statev1.ArchiveHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, &statev1.ArchiveRecord{Record: &statev1.ArchiveRecord_Header{Header: h}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t *testing.T, data []byte) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = encoder.Close() }()
	return encoder.EncodeAll(data, nil)
}

// TestPowerLossLeavesTheOldFileOrTheNew takes the power away at every step of a write that replaces a file.
func TestPowerLossLeavesTheOldFileOrTheNew(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for steps, done := 0, false; !done; steps++ {
		for attempt := range 20 {
			disk := newLossyDisk()
			f, err := open("/data/archive", disk)
			if err != nil {
				t.Fatal(err)
			}
			if err := disk.mkdirAll("/data"); err != nil {
				t.Fatal(err)
			}
			if err := disk.syncFolder("/"); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(t.Context(), fileName, header(), content(records("old"))); err != nil {
				t.Fatal(err)
			}
			other := strings.Replace(fileName, "22", "23", 1)
			disk.left = steps
			_, replaced := f.Write(t.Context(), fileName, header(), content(records("new")))
			_, added := f.Write(t.Context(), other, header(), content(records("other")))
			done = added == nil
			found := disk.afterPowerLoss(map[bool]*rand.Rand{true: random}[attempt > 0])
			again, err := open("/data/archive", found)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(t, again, fileName)
			if err != nil {
				t.Fatalf("after %d steps: %v", steps, err)
			}
			if workflow := got[0].Run.GetWorkflow(); replaced == nil && workflow != "new" {
				t.Errorf("after %d steps: a file that was written is %s", steps, workflow)
			}
			_, err = read(t, again, other)
			missing := core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND)
			if err != nil && (added == nil || !missing) {
				t.Errorf("after %d steps: the other file: %v", steps, err)
			}
			for path := range found.names {
				if strings.Contains(path, draftFolder) {
					t.Errorf("after %d steps: draft %s is left", steps, path)
				}
			}
		}
	}
}

func TestFilesCanBeReadWithOtherTools(t *testing.T) {
	dir := t.TempDir()
	if _, err := openFolder(t, dir).Write(t.Context(), fileName, header(), content(records("w"))); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	plain, err := io.ReadAll(decoder)
	if err != nil || !bytes.Contains(plain[:40], []byte(format)) {
		t.Errorf("the stream does not begin with its format: %q, %v", plain[:min(40, len(plain))], err)
	}
}
