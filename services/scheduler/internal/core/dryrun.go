package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// ToolCatalogue knows the tools of the tool servers.
type ToolCatalogue interface {
	// Tools lists all that can be read now, and the servers whose tools cannot, with the reason in words.
	Tools(ctx context.Context) (tools []*workflowv1.ToolDeclaration, unavailable map[string]string, err error)
}

// ToolReader calls a READ tool outside of any run; *Scheduler does.
type ToolReader interface {
	// ReadTool calls it once, in the name of a run that there is not. A call that failed is a *dryrun.CallError.
	ReadTool(ctx context.Context, namespace string, c dryrun.Call) (output []byte, isError bool, err error)
}

// DryRunOrder asks what a run would do.
type DryRunOrder struct {
	Namespace string
	// Workflow and Version name a registered definition; Source is one that is not, and File what findings call it.
	Workflow, Version, File string
	Source                  []byte
	// OutputsOfRun is a run whose recorded outputs are used; empty: none.
	OutputsOfRun string
	// CallReads lets READ tools really be called.
	CallReads bool
	// Options are input, outputs, decisions and failures.
	Options dryrun.Options
}

// DryRuns plays runs to see what they would do.
type DryRuns struct {
	store     Store
	catalogue ToolCatalogue
	reader    ToolReader
	clock     clock.Clock
	seats     chan struct{}
}

// maxDryRuns bounds how many are played at once: each may take a processor for a while.
const maxDryRuns = 4

// NewDryRuns makes it.
func NewDryRuns(store Store, catalogue ToolCatalogue, reader ToolReader, c clock.Clock) *DryRuns {
	return &DryRuns{store: store, catalogue: catalogue, reader: reader, clock: c, seats: make(chan struct{}, maxDryRuns)}
}

// DefinitionInvalid is a definition that cannot be played, because it could not be registered.
type DefinitionInvalid struct {
	Findings workflow.Findings
	// Unavailable are servers whose tools could not be read: a tool may be called unknown that is only away.
	Unavailable map[string]string
}

// Error names the first finding.
func (e *DefinitionInvalid) Error() string {
	return fmt.Sprintf("the definition has %d errors, the first: %s", len(e.Findings.Errors()), e.Findings.Errors()[0])
}

// Run plays a run. Nothing is kept, and nothing is called but READ tools, where that is asked for.
func (d *DryRuns) Run(ctx context.Context, o DryRunOrder) (*dryrun.Result, error) {
	select {
	case d.seats <- struct{}{}:
		defer func() { <-d.seats }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	def, err := d.definition(ctx, o)
	if err != nil {
		return nil, err
	}
	opts := o.Options
	if o.OutputsOfRun != "" {
		if opts.Recorded, err = d.recorded(ctx, RunKey{Namespace: o.Namespace, ID: o.OutputsOfRun}); err != nil {
			return nil, err
		}
	}
	id := newCommitID() // it names nothing that is kept: tool servers see it in what they are told of a call
	opts.Namespace, opts.RunID, opts.Start = o.Namespace, "dry-run."+id, d.clock.Now()
	opts.Workflows = byDigest{store: d.store, namespace: o.Namespace}
	if o.CallReads {
		opts.Reader = reads{reader: d.reader, namespace: o.Namespace}
	}
	return dryrun.Run(ctx, def, opts)
}

// definition is the one that is named, or the one that is given.
func (d *DryRuns) definition(ctx context.Context, o DryRunOrder) (*workflow.Definition, error) {
	switch {
	case o.Workflow == "" && len(o.Source) == 0:
		return nil, invalidArgument("workflow: name a registered workflow, or give a definition as source")
	case o.Workflow != "" && len(o.Source) > 0:
		return nil, invalidArgument("source: it excludes workflow; give one or the other")
	case o.Workflow != "":
		return d.store.Latest(ctx, o.Namespace, o.Workflow, o.Version)
	case o.Version != "":
		return nil, invalidArgument("version: it is for a registered workflow; leave it out")
	}
	tools, unavailable, err := d.catalogue.Tools(ctx)
	if err != nil {
		return nil, err
	}
	var unread error
	registered := workflow.WorkflowsFunc(func(namespace, name, version string) (*workflow.Definition, bool) {
		if namespace == "" {
			namespace = o.Namespace
		}
		def, err := d.store.Latest(ctx, namespace, name, version)
		if err != nil && !errors.Is(err, ErrNotFound) {
			unread = err
		}
		return def, err == nil
	})
	def, findings := workflow.Check(cmp.Or(o.File, "definition"), o.Source, workflow.NewCatalog(tools), registered)
	switch {
	case unread != nil:
		return nil, unread
	case def == nil:
		return nil, &DefinitionInvalid{Findings: findings, Unavailable: unavailable}
	}
	return def, nil
}

// recorded are the outputs that a run has on record.
func (d *DryRuns) recorded(ctx context.Context, key RunKey) (map[string]json.RawMessage, error) {
	if _, _, err := d.store.Run(ctx, key); err != nil {
		return nil, err
	}
	var events []*workflowv1.HistoryEvent
	var large []uint64
	err := d.store.History(ctx, key, 0, func(ev *workflowv1.HistoryEvent) error {
		if ev.GetStepCompleted() == nil && ev.GetOperationSucceeded() == nil && ev.GetOutcomeSettled() == nil {
			return nil
		}
		for _, p := range payloads(ev, nil) {
			if (*p).GetArtifact() != nil {
				large = append(large, ev.GetSequence())
				return nil
			}
		}
		events = append(events, ev)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(large) > 0 {
		full, err := d.store.Events(ctx, key, large)
		if err != nil {
			return nil, err
		}
		events = append(events, full...)
		slices.SortFunc(events, func(a, b *workflowv1.HistoryEvent) int { return cmp.Compare(a.GetSequence(), b.GetSequence()) })
	}
	return dryrun.Recorded(events), nil
}

// byDigest finds the definitions of sub-workflows. One that cannot be found gives a sample of its result.
type byDigest struct {
	store     Store
	namespace string
}

func (b byDigest) Workflow(ctx context.Context, digest string) (*workflow.Definition, error) {
	def, err := b.store.Definition(ctx, b.namespace, digest)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return def, err
}

// reads calls READ tools in the name of a run that there is not.
type reads struct {
	reader    ToolReader
	namespace string
}

func (r reads) Read(ctx context.Context, c dryrun.Call) (json.RawMessage, bool, error) {
	return r.reader.ReadTool(ctx, r.namespace, c)
}

func invalidArgument(message string) error {
	return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: message}
}
