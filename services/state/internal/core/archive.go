package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// ArchivedRun is a run that is in the archive, or about to be.
type ArchivedRun struct {
	RunKey
	// No is the run's number in the store; no two runs ever have the same.
	No int64
	// Workflow, Version and Outcome are those of the run.
	Workflow, Version string
	Outcome           workflowv1.Outcome
	// Sequence of its last event.
	Sequence uint64
	// EndTime is when it ended, as its head says, or when it changed last if that says nothing; ArchiveTime when it was archived.
	EndTime, ArchiveTime time.Time
	// File holds it; Size is its size.
	File string
	Size uint64
}

// ArchiveStore moves runs from the store into the index of the archive.
type ArchiveStore interface {
	// Archivable reads an ended run all of whose tree has ended, and has nothing left to confirm. ArchiveTime, File and Size are not set.
	// Refuses with RunNotFound, RunArchived and RunNotEnded.
	Archivable(ctx context.Context, key RunKey) (run ArchivedRun, head []byte, err error)
	// Escalations calls yield with every escalation of a run.
	Escalations(ctx context.Context, key RunKey, yield func(Escalation) error) error
	// Retire removes runs whose files are written, and puts them into the index instead, all in one transaction. Left as they are, and
	// reported, are those that have changed since they were read or whose tree goes on. What is many in a run may stay in the store
	// for Purge, where nobody finds it.
	Retire(ctx context.Context, runs []ArchivedRun) (left []RunKey, err error)
	// Purge removes some of what stayed behind, in a short transaction, and tells whether there is more.
	Purge(ctx context.Context) (more bool, err error)
	// GetArchived reads the index. Refuses with RunNotFound.
	GetArchived(ctx context.Context, key RunKey) (ArchivedRun, error)
	// ListArchived lists the index, newest end first. Runs of an empty workflow: all.
	ListArchived(ctx context.Context, namespace, workflow string, page Page) (runs []ArchivedRun, next string, err error)
	// EndedRuns lists runs of a namespace that have ended, have nothing left to confirm and have not changed since a time, oldest change first.
	EndedRuns(ctx context.Context, namespace string, before time.Time, page Page) (runs []RunKey, next string, err error)
	// RemoveEvents removes the first events of a namespace's log, at most limit, as long as they were committed before a time. It keeps the
	// last one, and all that a run which has not ended, or its tree's root, can still read from its start.
	RemoveEvents(ctx context.Context, namespace string, before time.Time, limit int) (removed int, err error)
	// NextNamespace returns the first namespace after the given one that has ended runs or events; empty when there is none.
	NextNamespace(ctx context.Context, after string) (string, error)
}

// ArchiveFiles keeps the files of the archive.
type ArchiveFiles interface {
	// Write makes a file of what content adds. When it returns, the file and its name are durable; before, the name has either nothing or the
	// whole file that it had.
	Write(ctx context.Context, name string, header ArchiveHeader, content func(add func(ArchiveRecord) error) error) (size uint64, err error)
	// Read calls yield with the records of a file, in order, and fails with DamagedFile when the file does not hold what was written, in part after some of them. It refuses with
	// ArchiveFileMissing.
	Read(ctx context.Context, name string, yield func(ArchiveRecord) error) error
}

// ArchiveHeader says what a file of the archive holds.
type ArchiveHeader struct {
	RunKey
	Sequence    uint64
	ArchiveTime time.Time
}

// ArchiveRecord is one of the things that a file of the archive holds. Exactly one field is set.
type ArchiveRecord struct {
	Run        *workflowv1.Run
	History    *workflowv1.HistoryBatch
	Operation  *workflowv1.Operation
	Escalation *Escalation
	Piece      *ArtifactPiece
}

// ArtifactPiece is some of the bytes of an artifact.
type ArtifactPiece struct {
	Digest string
	Offset uint64
	Data   []byte
}

// Archive moves ended runs out of the store into files.
type Archive struct {
	store    ArchiveStore
	source   ArchiveSource
	files    ArchiveFiles
	clock    clock.Clock
	observer ArchiveObserver
	// moving is held while runs are moved, so that no two calls write one file.
	moving sync.Mutex
}

// ArchiveSource reads what a run consists of.
type ArchiveSource interface {
	RunStore
	OperationStore
	ArtifactStore
}

// ArchiveObserver counts what the archive does.
type ArchiveObserver interface {
	// Archived is told of each run that was moved.
	Archived(run ArchivedRun)
	// ArchiveFailed is told of each that was not, though it should have been.
	ArchiveFailed(key RunKey, err error)
	// EventsRemoved is told how many events retention has removed.
	EventsRemoved(n int)
}

// NewArchive makes the archive over its parts.
func NewArchive(store ArchiveStore, source ArchiveSource, files ArchiveFiles, c clock.Clock, observer ArchiveObserver) *Archive {
	return &Archive{store: store, source: source, files: files, clock: c, observer: observer}
}

// Move archives a run. For one that is archived already it returns what the index says. It refuses with RunNotFound and RunNotEnded.
func (a *Archive) Move(ctx context.Context, key RunKey) (ArchivedRun, error) {
	a.moving.Lock()
	defer a.moving.Unlock()
	run, err := a.write(ctx, key)
	if IsArchived(err) {
		run, err := a.store.GetArchived(ctx, key)
		return run, errors.Join(err, a.Purge(ctx))
	}
	if err != nil {
		return ArchivedRun{}, err
	}
	left, err := a.store.Retire(ctx, []ArchivedRun{run})
	if err != nil {
		return ArchivedRun{}, err
	}
	if len(left) > 0 {
		return ArchivedRun{}, runChanged(key)
	}
	a.observer.Archived(run)
	return run, a.Purge(ctx)
}

// moveMany archives runs that retention has chosen. What cannot be archived now is left for later.
func (a *Archive) moveMany(ctx context.Context, keys []RunKey) error {
	a.moving.Lock()
	defer a.moving.Unlock()
	var written []ArchivedRun
	for _, key := range keys {
		run, err := a.write(ctx, key)
		switch {
		case err == nil:
			written = append(written, run)
		case ctx.Err() != nil:
			return ctx.Err()
		case RefusalOf(err) == nil:
			a.observer.ArchiveFailed(key, err)
		}
	}
	if len(written) == 0 {
		return nil
	}
	left, err := a.store.Retire(ctx, written)
	if err != nil {
		return err
	}
	stays := map[RunKey]bool{}
	for _, key := range left {
		stays[key] = true
	}
	for _, run := range written {
		if !stays[run.RunKey] {
			a.observer.Archived(run)
		}
	}
	return a.Purge(ctx)
}

// Purge removes what was left behind by runs that were archived.
func (a *Archive) Purge(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = a.store.Purge(ctx); err != nil {
			return err
		}
	}
	return nil
}

// List lists the archive, newest end first.
func (a *Archive) List(ctx context.Context, namespace, workflow string, page Page) ([]ArchivedRun, string, error) {
	return a.store.ListArchived(ctx, namespace, workflow, page)
}

// Read calls first with what the index says of a run, and yield with what its file holds. It refuses with RunNotFound, ArchiveFileMissing
// and ArchiveDamaged.
func (a *Archive) Read(ctx context.Context, key RunKey, first func(ArchivedRun), yield func(ArchiveRecord) error) error {
	run, err := a.store.GetArchived(ctx, key)
	if err != nil {
		return err
	}
	first(run)
	err = a.files.Read(ctx, run.File, yield)
	var damaged *DamagedFile
	if errors.As(err, &damaged) {
		return archiveDamaged(run, damaged)
	}
	return err
}

// DamagedFile is the error of a file of the archive that does not hold what was written to it. Problem says so in words that name no path.
type DamagedFile struct{ Problem error }

// Error returns the problem.
func (d *DamagedFile) Error() string { return d.Problem.Error() }

// Unwrap returns the problem.
func (d *DamagedFile) Unwrap() error { return d.Problem }

// write makes the file of a run.
func (a *Archive) write(ctx context.Context, key RunKey) (ArchivedRun, error) {
	run, head, err := a.store.Archivable(ctx, key)
	if err != nil {
		return run, err
	}
	record := &workflowv1.Run{}
	if err := proto.Unmarshal(head, record); err != nil {
		return run, err
	}
	if ended := record.GetEndTime(); ended != nil {
		run.EndTime = ended.AsTime()
	}
	run.ArchiveTime = a.clock.Now().UTC().Round(0)
	run.File = fileOf(run)
	header := ArchiveHeader{RunKey: key, Sequence: run.Sequence, ArchiveTime: run.ArchiveTime}
	run.Size, err = a.files.Write(ctx, run.File, header, func(add func(ArchiveRecord) error) error {
		c := archiver{archive: a, key: key, last: run.Sequence, add: add, pieces: map[string]bool{}}
		return c.all(ctx, record)
	})
	return run, err
}

// fileOf names the file of a run: by namespace and day, so that no folder grows without end, and by the run's number, which is unique; the rest is
// for people.
func fileOf(run ArchivedRun) string {
	return fmt.Sprintf("%s/%s/%010d-%s.sbrun.zst", folderOf(run.Namespace), run.EndTime.UTC().Format("2006/01/02"), run.No,
		readable(run.RunID, maxReadable))
}

const maxReadable = 80

// readable replaces what file systems may not take and cuts what is too long.
func readable(text string, most int) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, text)
	return safe[:min(len(safe), most)]
}

// folderOf names the folder of a namespace: as it is where that is plain, else so that no two namespaces share one.
func folderOf(namespace string) string {
	if namespace == readable(namespace, maxReadable) && !strings.HasPrefix(namespace, ".") && !strings.HasPrefix(namespace, "~") {
		return namespace
	}
	return "~" + readable(namespace, 20) + "-" + strings.TrimPrefix(Digest([]byte(namespace)), "sha256:")[:16]
}

// What one batch of an archived history holds of its artifacts at most; larger ones come in pieces.
const (
	maxInPlace      = 1 << 20
	maxBatchInPlace = 4 << 20
	pieceBytes      = 256 << 10
	archivePage     = 500
	archiveBytes    = 1 << 20
)

// archiver adds one run to a file.
type archiver struct {
	archive *Archive
	key     RunKey
	last    uint64
	add     func(ArchiveRecord) error
	// pieces are the artifacts that are in the file in pieces.
	pieces map[string]bool
	// inPlace counts the bytes put into the batch at hand.
	inPlace uint64
}

func (c *archiver) all(ctx context.Context, run *workflowv1.Run) error {
	if err := c.add(ArchiveRecord{Run: run}); err != nil {
		return err
	}
	if err := c.history(ctx); err != nil {
		return err
	}
	if err := c.operations(ctx); err != nil {
		return err
	}
	return c.archive.store.Escalations(ctx, c.key, func(e Escalation) error { return c.add(ArchiveRecord{Escalation: &e}) })
}

func (c *archiver) history(ctx context.Context) error {
	for from := uint64(1); from <= c.last; {
		h, err := c.archive.source.ReadHistory(ctx, c.key.Namespace, c.key.RunID, from, archivePage, archiveBytes)
		if err != nil {
			return err
		}
		if len(h.Rows) == 0 {
			return fmt.Errorf("the history of run %q ends before event %d of %d", c.key.RunID, from, c.last)
		}
		for _, row := range h.Rows {
			if err := c.batch(ctx, row); err != nil {
				return err
			}
			from = row.Last + 1
		}
	}
	return nil
}

func (c *archiver) batch(ctx context.Context, row HistoryRow) error {
	batch := &workflowv1.HistoryBatch{}
	if err := proto.Unmarshal(row.Events, batch); err != nil {
		return err
	}
	c.inPlace = 0
	err := VisitPayloads(batch.ProtoReflect(), func(p *workflowv1.Payload) error { return c.payload(ctx, p) })
	if err != nil {
		return err
	}
	return c.add(ArchiveRecord{History: batch})
}

// payload puts the bytes of an artifact in its place when they are few, else into the file by themselves. An artifact that is gone stays a name:
// a run must not stay for ever because of it.
func (c *archiver) payload(ctx context.Context, p *workflowv1.Payload) error {
	ref := p.GetArtifact()
	if ref == nil || c.pieces[ref.GetDigest()] {
		return nil
	}
	data, size, err := c.archive.source.ReadArtifact(ctx, c.key.Namespace, ref.GetDigest(), 0, pieceBytes)
	if err != nil {
		return unlessMissing(err)
	}
	if size > maxInPlace || c.inPlace+size > maxBatchInPlace {
		return c.inPieces(ctx, ref.GetDigest(), data, size)
	}
	c.inPlace += size
	for uint64(len(data)) < size {
		more, _, err := c.archive.source.ReadArtifact(ctx, c.key.Namespace, ref.GetDigest(), uint64(len(data)), pieceBytes)
		if err != nil || len(more) == 0 {
			return cutShort(ref.GetDigest(), uint64(len(data)), size, err)
		}
		data = append(data, more...)
	}
	p.Value = &workflowv1.Payload_Inline{Inline: data}
	return nil
}

func unlessMissing(err error) error {
	if IsReason(err, errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND) {
		return nil
	}
	return err
}

func (c *archiver) inPieces(ctx context.Context, digest string, data []byte, size uint64) error {
	c.pieces[digest] = true
	for offset := uint64(0); offset < size; {
		if err := c.add(ArchiveRecord{Piece: &ArtifactPiece{Digest: digest, Offset: offset, Data: data}}); err != nil {
			return err
		}
		if offset += uint64(len(data)); offset >= size {
			return nil
		}
		var err error
		data, _, err = c.archive.source.ReadArtifact(ctx, c.key.Namespace, digest, offset, pieceBytes)
		if err != nil || len(data) == 0 {
			return cutShort(digest, offset, size, err)
		}
	}
	return nil
}

// cutShort says that an artifact could not be read to its end; err may be nil.
func cutShort(digest string, got, size uint64, err error) error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("artifact %s ends after %d of %d bytes: %w", digest, got, size, err)
}

func (c *archiver) operations(ctx context.Context) error {
	query := OperationQuery{Namespace: c.key.Namespace, RunID: c.key.RunID}
	for page := (Page{Limit: archivePage}); ; {
		entries, next, err := c.archive.source.ListOperations(ctx, query, page)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			operation := &workflowv1.Operation{}
			if err := proto.Unmarshal(entry.Record, operation); err != nil {
				return err
			}
			if err := c.add(ArchiveRecord{Operation: operation}); err != nil {
				return err
			}
		}
		if page.Cursor = next; next == "" {
			return nil
		}
	}
}
