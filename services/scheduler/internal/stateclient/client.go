// Package stateclient is the scheduler's store: the state service.
package stateclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Client implements core.Store.
type Client struct {
	runs        statev1.RunServiceClient
	shards      statev1.ShardServiceClient
	definitions statev1.DefinitionServiceClient
	artifacts   statev1.ArtifactServiceClient
	events      statev1.EventServiceClient
	archive     statev1.ArchiveServiceClient
	commits     *commits
	clock       clock.Clock
	logger      *slog.Logger
	compiled    cache
	lookups     reads[*workflow.Definition]
}

var _ core.Store = (*Client)(nil)

// New makes a client; nothing is called before Serve or the first method.
func New(conn grpc.ClientConnInterface, c clock.Clock, logger *slog.Logger) *Client {
	runs := statev1.NewRunServiceClient(conn)
	return &Client{
		runs: runs, shards: statev1.NewShardServiceClient(conn), definitions: statev1.NewDefinitionServiceClient(conn),
		artifacts: statev1.NewArtifactServiceClient(conn), events: statev1.NewEventServiceClient(conn),
		archive: statev1.NewArchiveServiceClient(conn),
		commits: newCommits(runs, c), clock: c, logger: logger,
	}
}

// Serve keeps the commit stream open until ctx ends.
func (c *Client) Serve(ctx context.Context) {
	c.commits.run(ctx, func(err error) { c.logger.Warn("the commit stream to state broke; it is opened again", "error", err) })
}

// Commit implements core.Store.
func (c *Client) Commit(ctx context.Context, d *core.Commit) error {
	m := message(d)
	if err := c.unload(ctx, m); err != nil {
		return err
	}
	return c.commits.commit(ctx, m)
}

// ClaimShards implements core.Store. It tries again while state is away.
func (c *Client) ClaimShards(ctx context.Context, owner string) ([]uint64, error) {
	req := &statev1.ClaimShardsRequest{Owner: owner}
	for i := range uint32(core.Shards) {
		req.Shards = append(req.Shards, i)
	}
	var resp *statev1.ClaimShardsResponse
	err := c.patiently(ctx, func() (err error) {
		resp, err = c.shards.ClaimShards(ctx, req)
		return err
	})
	return resp.GetEpochs(), err
}

// LoadAttention implements core.Store.
func (c *Client) LoadAttention(ctx context.Context, each func(uint32, *workflowv1.Run)) error {
	req := &statev1.LoadAttentionRequest{}
	for i := range uint32(core.Shards) {
		req.Shards = append(req.Shards, i)
	}
	seen := map[string]bool{}
	return c.patiently(ctx, func() error {
		stream, err := c.shards.LoadAttention(ctx, req)
		if err != nil {
			return err
		}
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, r := range resp.GetRuns() {
				run := &workflowv1.Run{}
				if err := proto.Unmarshal(r.GetHead(), run); err != nil {
					return fmt.Errorf("head of a run in shard %d: %w", r.GetShard(), err)
				}
				if key := run.GetNamespace() + "/" + run.GetId(); !seen[key] {
					seen[key] = true
					each(r.GetShard(), run)
				}
			}
		}
	})
}

// patiently tries again while state is away.
func (c *Client) patiently(ctx context.Context, call func() error) error {
	var refused error
	away := clock.ReconnectPauses.Retry(ctx, c.clock, func(func()) error {
		err := call()
		if errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE) {
			return err
		}
		refused = err
		return nil
	}, nil)
	if away != nil {
		return away
	}
	return refused
}

// Run implements core.Store.
func (c *Client) Run(ctx context.Context, key core.RunKey) (*workflowv1.Run, uint32, error) {
	resp, err := c.runs.GetRun(ctx, &statev1.GetRunRequest{Namespace: key.Namespace, RunId: key.ID})
	if err != nil {
		return nil, 0, known(err)
	}
	return resp.GetRun(), resp.GetShard(), nil
}

// RunByRequest implements core.Store.
func (c *Client) RunByRequest(ctx context.Context, namespace, requestID string) (*workflowv1.Run, error) {
	resp, err := c.runs.GetRun(ctx, &statev1.GetRunRequest{Namespace: namespace, RequestId: requestID})
	if err == nil {
		return resp.GetRun(), nil
	}
	if refusal, ok := errs.From(err); ok && refusal.Metadata()[metaArchivedRun] != "" {
		return c.archivedHead(ctx, namespace, refusal.Metadata()[metaArchivedRun])
	}
	return nil, known(err)
}

// metaArchivedRun is where state's refusal of an archived run names it.
const metaArchivedRun = "archived_run_id"

// archivedHead reads the head of a run in the archive. That its file is lost is no core.ErrNotFound: the run was there.
func (c *Client) archivedHead(ctx context.Context, namespace, runID string) (*workflowv1.Run, error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	stream, err := c.archive.GetArchivedRun(ctx, &statev1.GetArchivedRunRequest{Namespace: namespace, RunId: runID})
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if first.GetRun() == nil {
		return nil, fmt.Errorf("the archive gives run %s without its head", runID)
	}
	return first.GetRun(), nil
}

// NotFound is state's own word that something is not there, which also matches core.ErrNotFound.
type NotFound struct{ Err error }

// Error is state's message, near match included.
func (e *NotFound) Error() string { return e.Err.Error() }

// Unwrap returns state's error.
func (e *NotFound) Unwrap() []error { return []error{e.Err, core.ErrNotFound} }

// Away is the news that state cannot be reached now, which also matches core.ErrAway.
type Away struct{ Err error }

// Error is what the call ended with.
func (e *Away) Error() string { return e.Err.Error() }

// Unwrap returns the call's error.
func (e *Away) Unwrap() []error { return []error{e.Err, core.ErrAway} }

// known gives an error of state the meaning that core knows.
func known(err error) error {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_DRAINING:
		return &Away{Err: err}
	case errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND,
		errorsv1.ErrorReason_ERROR_REASON_VERSION_NOT_FOUND, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND:
		return &NotFound{Err: err}
	}
	return err
}

// Operations implements core.Store.
func (c *Client) Operations(ctx context.Context, key core.RunKey, stepPath string) ([]*workflowv1.Operation, error) {
	req := &statev1.ListOperationsRequest{Namespace: key.Namespace, RunId: key.ID, StepPath: stepPath}
	var ops []*workflowv1.Operation
	for {
		resp, err := c.runs.ListOperations(ctx, req)
		if err != nil {
			return nil, known(err)
		}
		for _, e := range resp.GetEntries() {
			ops = append(ops, e.GetOperation())
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return ops, nil
		}
	}
}
