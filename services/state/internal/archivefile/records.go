package archivefile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/timestamppb"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	// format and version stand in the header of each file.
	format  = "signalbox.run-archive"
	version = 1
	// maxRecord is far above the largest record: a commit of 16 MiB with 4 MiB of artifacts put in their places.
	maxRecord = 64 << 20
)

// writer writes the records of a file and what its trailer says.
type writer struct {
	to              io.Writer
	sum             hash.Hash
	records, events uint64
}

func newWriter(to io.Writer) *writer { return &writer{to: to, sum: sha256.New()} }

func (w *writer) put(r *statev1.ArchiveRecord) error {
	_, err := protodelim.MarshalTo(io.MultiWriter(w.to, w.sum), r)
	w.records++
	return err
}

func (w *writer) header(h core.ArchiveHeader) error {
	return w.put(&statev1.ArchiveRecord{Record: &statev1.ArchiveRecord_Header{Header: &statev1.ArchiveHeader{
		Format: format, Version: version, Namespace: h.Namespace, RunId: h.RunID, Sequence: h.Sequence,
		ArchiveTime: timestamppb.New(h.ArchiveTime),
	}}})
}

func (w *writer) record(r core.ArchiveRecord) error {
	out := &statev1.ArchiveRecord{}
	switch {
	case r.Run != nil:
		out.Record = &statev1.ArchiveRecord_Run{Run: r.Run}
	case r.History != nil:
		w.events += uint64(len(r.History.GetEvents()))
		out.Record = &statev1.ArchiveRecord_History{History: r.History}
	case r.Operation != nil:
		out.Record = &statev1.ArchiveRecord_Operation{Operation: r.Operation}
	case r.Escalation != nil:
		out.Record = &statev1.ArchiveRecord_Escalation{Escalation: escalationProto(r.Escalation)}
	case r.Piece != nil:
		out.Record = &statev1.ArchiveRecord_ArtifactPiece{ArtifactPiece: &statev1.ArtifactPiece{
			Digest: r.Piece.Digest, Offset: r.Piece.Offset, Data: r.Piece.Data,
		}}
	}
	return w.put(out)
}

func (w *writer) trailer() error {
	return w.put(&statev1.ArchiveRecord{Record: &statev1.ArchiveRecord_Trailer{Trailer: &statev1.ArchiveTrailer{
		Records: w.records, Events: w.events, Sha256: w.sum.Sum(nil),
	}}})
}

// What can be wrong with a file.
var (
	errNotWhole  = errors.New("the file is not whole: it has no trailer")
	errDamaged   = errors.New("the file is damaged: it does not hold what its trailer says")
	errNoArchive = errors.New("the file is no archive of a run")
)

// readRecords reads a file to its end. It fails with core.DamagedFile when the file is of another format or not whole, in part after some records.
func readRecords(from io.Reader, yield func(core.ArchiveRecord) error) error {
	check := &checked{from: bufio.NewReader(from), sum: sha256.New()}
	var records, events uint64
	var disk *fs.PathError
	for {
		before := check.sum.Sum(nil)
		r := &statev1.ArchiveRecord{}
		err := protodelim.UnmarshalOptions{MaxSize: maxRecord}.UnmarshalFrom(check, r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return damaged(errNotWhole)
		case errors.As(err, &disk): // the disk's doing: nothing is known of the file
			return err
		case err != nil:
			return damaged(fmt.Errorf("it cannot be read: %w", err))
		case records == 0:
			if err := checkHeader(r.GetHeader()); err != nil {
				return err
			}
		case r.GetTrailer() != nil:
			t := r.GetTrailer()
			if t.GetRecords() != records || t.GetEvents() != events || !bytes.Equal(t.GetSha256(), before) {
				return damaged(errDamaged)
			}
			if _, err := check.ReadByte(); !errors.Is(err, io.EOF) {
				return damaged(errDamaged)
			}
			return nil
		default:
			events += uint64(len(r.GetHistory().GetEvents()))
			if err := yield(recordOf(r)); err != nil {
				return err
			}
		}
		records++
	}
}

func damaged(problem error) error { return &core.DamagedFile{Problem: problem} }

func checkHeader(h *statev1.ArchiveHeader) error {
	switch {
	case h.GetFormat() != format:
		return damaged(errNoArchive)
	case h.GetVersion() > version:
		return fmt.Errorf("the file is of version %d of the format, and this binary reads up to %d; use a newer one", h.GetVersion(), version)
	}
	return nil
}

func recordOf(r *statev1.ArchiveRecord) core.ArchiveRecord {
	switch r := r.GetRecord().(type) {
	case *statev1.ArchiveRecord_Run:
		return core.ArchiveRecord{Run: r.Run}
	case *statev1.ArchiveRecord_History:
		return core.ArchiveRecord{History: r.History}
	case *statev1.ArchiveRecord_Operation:
		return core.ArchiveRecord{Operation: r.Operation}
	case *statev1.ArchiveRecord_Escalation:
		return core.ArchiveRecord{Escalation: escalationOf(r.Escalation)}
	case *statev1.ArchiveRecord_ArtifactPiece:
		p := r.ArtifactPiece
		return core.ArchiveRecord{Piece: &core.ArtifactPiece{Digest: p.GetDigest(), Offset: p.GetOffset(), Data: p.GetData()}}
	}
	return core.ArchiveRecord{} // of a later version of the format
}

func escalationProto(e *core.Escalation) *statev1.EscalationRecord {
	out := &statev1.EscalationRecord{
		Id: e.ID, Namespace: e.Namespace, RunId: e.RunID, Workflow: e.Workflow, State: statev1.EscalationState(e.State),
		Opened: e.Opened, Closed: e.Closed, OpenSequence: e.OpenSequence,
	}
	if !e.OpenTime.IsZero() {
		out.OpenTime = timestamppb.New(e.OpenTime)
	}
	if !e.CloseTime.IsZero() {
		out.CloseTime = timestamppb.New(e.CloseTime)
	}
	return out
}

func escalationOf(e *statev1.EscalationRecord) *core.Escalation {
	out := &core.Escalation{
		ID: e.GetId(), Namespace: e.GetNamespace(), RunID: e.GetRunId(), Workflow: e.GetWorkflow(),
		State: core.EscalationState(e.GetState()), Opened: e.GetOpened(), Closed: e.GetClosed(), OpenSequence: e.GetOpenSequence(),
	}
	if e.GetOpenTime() != nil {
		out.OpenTime = e.GetOpenTime().AsTime()
	}
	if e.GetCloseTime() != nil {
		out.CloseTime = e.GetCloseTime().AsTime()
	}
	return out
}

// checked reads and sums up what it has read.
type checked struct {
	from *bufio.Reader
	sum  hash.Hash
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.sum.Write(p[:n])
	return n, err
}

func (c *checked) ReadByte() (byte, error) {
	b, err := c.from.ReadByte()
	if err == nil {
		c.sum.Write([]byte{b})
	}
	return b, err
}
