package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// DryRun implements RunControlService.
func (c *Control) DryRun(ctx context.Context, req *schedulerv1.DryRunRequest) (*schedulerv1.DryRunResponse, error) {
	order := core.DryRunOrder{
		Namespace: namespace(req.GetNamespace()), Workflow: req.GetWorkflow(), Version: req.GetVersion(), Source: req.GetSource(), File: req.GetFile(),
		OutputsOfRun: req.GetOutputsOfRun(), CallReads: req.GetCallReads(),
		Options: dryrun.Options{Input: req.GetInput(), Decisions: req.GetDecisions(), Outputs: map[string]json.RawMessage{}},
	}
	for id, v := range req.GetOutputs() {
		order.Options.Outputs[id] = v
	}
	for _, f := range req.GetFailures() {
		order.Options.Failures = append(order.Options.Failures, dryrun.Failure{
			StepID: f.GetStepId(), Type: f.GetType(), Times: int(f.GetTimes()), Undo: f.GetUndo(),
		})
	}
	result, err := c.dryRuns.Run(ctx, order)
	if err != nil {
		return nil, dryRunFailure(err)
	}
	return dryRunResponse(result)
}

// maxDryRunBytes bounds what a dry run answers, so that every client can take it.
const maxDryRunBytes = 12 << 20

func dryRunResponse(r *dryrun.Result) (*schedulerv1.DryRunResponse, error) {
	resp := &schedulerv1.DryRunResponse{Events: r.Events, Run: r.Run, Sources: r.Sources}
	if r.Result != nil {
		resp.Result = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: r.Result}}
	}
	for _, w := range r.Waits {
		resp.Waits = append(resp.Waits, wait(w))
	}
	size := 0
	for _, ev := range r.Events {
		if size += proto.Size(ev); size > maxDryRunBytes {
			return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE,
				"the history of the dry run is larger than %d bytes; give a smaller input, or smaller outputs", maxDryRunBytes)
		}
	}
	return resp, nil
}

func wait(w engine.Wait) *schedulerv1.Wait {
	return &schedulerv1.Wait{
		StepPath: w.StepPath, What: w.What, Owner: w.Owner, Since: timestamp(w.Since), Until: timestamp(w.Until), Status: w.Status,
	}
}

// maxFindingsTold is how many findings an error names, so that it fits into what every client takes as an error.
const maxFindingsTold = 20

// dryRunFailure also tells what is wrong with a definition, place by place.
func dryRunFailure(err error) error {
	var bad *core.DefinitionInvalid
	if !errors.As(err, &bad) {
		return failure(err)
	}
	var fields []errs.FieldViolation
	broken := bad.Findings.Errors()
	for _, f := range broken[:min(len(broken), maxFindingsTold)] {
		fields = append(fields, errs.FieldViolation{Field: f.Path, Problem: f.String()})
	}
	if n := len(broken) - len(fields); n > 0 {
		fields = append(fields, errs.FieldViolation{Field: "source", Problem: fmt.Sprintf("… and %d more: signalbox workflow lint shows all", n)})
	}
	if away := slices.Sorted(maps.Keys(bad.Unavailable)); len(away) > 0 {
		fields = append(fields, errs.FieldViolation{Field: "source", Problem: "the tools of these servers could not be read: " + strings.Join(away, ", ")})
	}
	lines := []string{"source: the definition cannot be played:"}
	for _, f := range fields {
		lines = append(lines, f.Problem)
	}
	e := errs.New(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "%s", strings.Join(lines, "\n"))
	for _, f := range fields {
		e.Field(f.Field, f.Problem)
	}
	return e
}
