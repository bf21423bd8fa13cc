package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	defaultArchivePage = 100
	// archivePartBytes is about the size of one message of an archived run.
	archivePartBytes = 1 << 20
)

// archiveServer is signalbox.state.v1.ArchiveService.
type archiveServer struct {
	statev1.UnsafeArchiveServiceServer
	archive *core.Archive
}

// ArchiveRun archives a run.
func (s *archiveServer) ArchiveRun(ctx context.Context, req *statev1.ArchiveRunRequest) (*statev1.ArchiveRunResponse, error) {
	run, err := s.archive.Move(ctx, core.RunKey{Namespace: namespaceOf(req.GetNamespace()), RunID: req.GetRunId()})
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.ArchiveRunResponse{Archived: archivedProto(run)}, nil
}

// ListArchivedRuns lists the archive.
func (s *archiveServer) ListArchivedRuns(
	ctx context.Context, req *statev1.ListArchivedRunsRequest,
) (*statev1.ListArchivedRunsResponse, error) {
	page, err := pageOf(req, defaultArchivePage)
	if err != nil {
		return nil, Failure(err)
	}
	namespace, err := oneNamespaceOf(req.GetNamespace())
	if err != nil {
		return nil, Failure(err)
	}
	runs, next, err := s.archive.List(ctx, namespace, req.GetWorkflow(), page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListArchivedRunsResponse{NextPageToken: tokenOf(req, next)}
	for _, run := range runs {
		resp.Runs = append(resp.Runs, archivedProto(run))
	}
	return resp, nil
}

func archivedProto(run core.ArchivedRun) *statev1.ArchivedRun {
	return &statev1.ArchivedRun{
		Namespace: run.Namespace, RunId: run.RunID, Workflow: run.Workflow, Version: run.Version, Outcome: run.Outcome,
		EndTime: timeProto(run.EndTime), ArchiveTime: timeProto(run.ArchiveTime), Events: run.Sequence, SizeBytes: run.Size,
	}
}

// GetArchivedRun sends a run from its file.
func (s *archiveServer) GetArchivedRun(req *statev1.GetArchivedRunRequest, stream statev1.ArchiveService_GetArchivedRunServer) error {
	sender := archiveSender{stream: stream, part: &statev1.GetArchivedRunResponse{}}
	key := core.RunKey{Namespace: namespaceOf(req.GetNamespace()), RunID: req.GetRunId()}
	err := s.archive.Read(stream.Context(), key, func(run core.ArchivedRun) { sender.part.Archived = archivedProto(run) }, sender.add)
	if err == nil {
		err = sender.flush()
	}
	return Failure(err)
}

// archiveSender puts small records together.
type archiveSender struct {
	stream statev1.ArchiveService_GetArchivedRunServer
	part   *statev1.GetArchivedRunResponse
	bytes  int
}

func (s *archiveSender) add(r core.ArchiveRecord) error {
	switch {
	case r.Run != nil:
		s.part.Run = r.Run
		return s.flush()
	case r.History != nil:
		for _, e := range r.History.GetEvents() {
			if err := s.room(proto.Size(e)); err != nil {
				return err
			}
			s.part.Events = append(s.part.Events, e)
		}
	case r.Operation != nil:
		if err := s.room(proto.Size(r.Operation)); err != nil {
			return err
		}
		s.part.Operations = append(s.part.Operations, r.Operation)
	case r.Escalation != nil:
		out := escalationProto(*r.Escalation)
		if err := s.room(proto.Size(out)); err != nil {
			return err
		}
		s.part.Escalations = append(s.part.Escalations, out)
	case r.Piece != nil:
		if err := s.flush(); err != nil {
			return err
		}
		s.part.ArtifactPiece = &statev1.ArtifactPiece{Digest: r.Piece.Digest, Offset: r.Piece.Offset, Data: r.Piece.Data}
		return s.flush()
	}
	return nil
}

// room makes room for a record of a size.
func (s *archiveSender) room(size int) error {
	if s.bytes > 0 && s.bytes+size > archivePartBytes {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.bytes += size
	return nil
}

func (s *archiveSender) flush() error {
	if proto.Size(s.part) == 0 {
		return nil
	}
	part := s.part
	s.part, s.bytes = &statev1.GetArchivedRunResponse{}, 0
	return s.stream.Send(part)
}
