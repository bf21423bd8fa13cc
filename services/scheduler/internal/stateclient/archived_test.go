package stateclient

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// attic is a state service that has archived the run of request "q"; lost: and lost its file.
type attic struct {
	statev1.RunServiceClient
	statev1.ArchiveServiceClient
	lost bool
}

func (a *attic) GetRun(_ context.Context, req *statev1.GetRunRequest, _ ...grpc.CallOption) (*statev1.GetRunResponse, error) {
	refusal := errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "gone")
	if req.GetRequestId() == "q" {
		refusal = refusal.With("archived_run_id", "f")
	}
	return nil, refusal
}

func (a *attic) GetArchivedRun(
	_ context.Context, req *statev1.GetArchivedRunRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[statev1.GetArchivedRunResponse], error) {
	return &atticStream{run: req.GetRunId(), lost: a.lost}, nil
}

type atticStream struct {
	grpc.ServerStreamingClient[statev1.GetArchivedRunResponse]
	run  string
	lost bool
}

func (a *atticStream) Recv() (*statev1.GetArchivedRunResponse, error) {
	if a.lost {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "the file is lost")
	}
	return &statev1.GetArchivedRunResponse{Run: &workflowv1.Run{Id: a.run}}, nil
}

// A request that has started a run which is archived by now is known: nothing is started under it again.
func TestRunByRequestFindsItInTheArchive(t *testing.T) {
	state := &attic{}
	c := &Client{runs: state, archive: state}
	if run, err := c.RunByRequest(t.Context(), "default", "q"); err != nil || run.GetId() != "f" {
		t.Errorf("%v, %v", run, err)
	}
	if run, err := c.RunByRequest(t.Context(), "default", "other"); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("%v, %v", run, err)
	}
	state.lost = true
	if run, err := c.RunByRequest(t.Context(), "default", "q"); err == nil || errors.Is(err, core.ErrNotFound) {
		t.Errorf("%v, %v", run, err)
	}
}
