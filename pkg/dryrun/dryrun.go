package dryrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// The sources of outputs.
const (
	// SourceGiven is Options.Outputs.
	SourceGiven = "given"
	// SourceRecorded is Options.Recorded.
	SourceRecorded = "recorded"
	// SourceCalled is a READ tool that was really called.
	SourceCalled = "called"
	// SourceDryRunOutput is the definition's dry_run_output.
	SourceDryRunOutput = "dry_run_output"
	// SourceSample is a value made of the schema.
	SourceSample = "sample"
	// SourceNull is null: there is no schema, or no sample could be made of it.
	SourceNull = "null"
	// SourceEmitted is an event that the run itself had emitted.
	SourceEmitted = "emitted"
	// SourcePlayed is a sub-workflow that was played too.
	SourcePlayed = "dry_run"
)

// Options of a dry run. The zero value works.
type Options struct {
	// Namespace and RunID of the run. Empty: "default" and "dry-run".
	Namespace, RunID string
	// Start is where the clock begins.
	Start time.Time
	// Input of the run. Empty: made of its schema.
	Input json.RawMessage
	// Outputs by step id. For a step that waits for an event it is the event, or only its data.
	Outputs map[string]json.RawMessage
	// Recorded outputs of another run, by step path and by step id: see Recorded. They come after Outputs.
	Recorded map[string]json.RawMessage
	// Decisions by step id: of human gates, and of what a person is asked where something went wrong.
	Decisions map[string]string
	// Failures to inject.
	Failures []Failure
	// Reader calls READ tools. Nil: none is called.
	Reader Reader
	// Workflows finds sub-workflows. Nil: their results are samples.
	Workflows Workflows
	// MaxEvents bounds the events, those of sub-workflows included. 0: 10,000.
	MaxEvents int
}

const defaultMaxEvents = 10_000

// Failure makes attempts of a step fail.
type Failure struct {
	// StepID names the step; that of a fallback by its own id.
	StepID string
	// Type of the error as authors spell it.
	Type string
	// Times is how many attempts fail. 0: all.
	Times int
	// Undo lets the step's undo fail instead.
	Undo bool
}

// Reader calls READ tools.
type Reader interface {
	// Read calls a tool once. An error of the tool itself is an output with isError. Where the call fails, the error may be a *CallError.
	Read(ctx context.Context, c Call) (output json.RawMessage, isError bool, err error)
}

// Call is a call of a READ tool.
type Call struct {
	// Definition that calls it: its secrets go with the call. RunID is that of the run, or of the sub-workflow's.
	Definition *workflow.Definition
	RunID      string
	// Server and Tool name the tool as the catalogue does.
	Server, Tool string
	// StepPath is the step that calls it, OperationID what the run knows the call by, Attempt counts from 1.
	StepPath, OperationID string
	Attempt               uint32
	// Arguments is a JSON object.
	Arguments json.RawMessage
	// Timeout is how long it may take.
	Timeout time.Duration
}

// CallError is a call that failed.
type CallError struct {
	// Type of the error, as a real run would have it.
	Type errorsv1.ErrorType
	// Message in words.
	Message string
}

// Error returns the message.
func (e *CallError) Error() string { return e.Message }

// Workflows finds definitions of sub-workflows.
type Workflows interface {
	// Workflow returns the definition of a digest, or nil when it is not known.
	Workflow(ctx context.Context, digest string) (*workflow.Definition, error)
}

// Result is what would happen.
type Result struct {
	// Events are the history, Run is the head after it, Operations the ledger in the order of the first change.
	Events     []*workflowv1.HistoryEvent
	Run        *workflowv1.Run
	Operations []*workflowv1.Operation
	// Result of the run; nil: none.
	Result json.RawMessage
	// Sources tells where each step's output came from, by step id; those of a sub-workflow's steps as "step/inner".
	Sources map[string]string
	// Waits are what the run would wait for, when it would not end.
	Waits []engine.Wait
}

// Run plays a run of a definition until it ends, or would wait for something that only somebody outside can end. What is wrong with the
// options is an *engine.Refusal.
func Run(ctx context.Context, def *workflow.Definition, o Options) (*Result, error) {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.RunID == "" {
		o.RunID = "dry-run"
	}
	if o.MaxEvents <= 0 {
		o.MaxEvents = defaultMaxEvents
	}
	failures, err := check(def, &o)
	if err != nil {
		return nil, err
	}
	if len(o.Input) == 0 {
		if o.Input, err = madeInput(def); err != nil {
			return nil, err
		}
	}
	left := o.MaxEvents
	p := newPlayer(def, &o, failures, o.Start, &left)
	err = p.play(ctx, engine.Start{Namespace: o.Namespace, RunID: o.RunID, Input: o.Input, StartedBy: player0})
	if err != nil {
		return nil, err
	}
	return p.result(), nil
}

func madeInput(def *workflow.Definition) (json.RawMessage, error) {
	if def.Input == nil {
		return json.RawMessage("{}"), nil
	}
	v, err := Sample(def.Input)
	if err != nil {
		return nil, invalid("input: it cannot be made of its schema; give one")
	}
	return v, nil
}

func (p *player) result() *Result {
	r := &Result{Events: p.events, Run: p.run(), Sources: p.sources, Waits: p.waits()}
	for _, id := range p.order {
		r.Operations = append(r.Operations, p.rows[id])
	}
	if seq := p.run().GetEndSequence(); seq != 0 {
		r.Result = p.Event(seq).GetRunEnded().GetResult().GetInline()
	}
	return r
}

// waits are what the run waits for, and the sub-workflows that it waits for.
func (p *player) waits() []engine.Wait {
	waits := engine.Explain(p.def, p.run())
	for i, w := range waits {
		waits[i].What += p.hint(w.StepPath)
	}
	for _, c := range p.run().GetChildren() {
		if q := p.children[c.GetRunId()]; q != nil {
			waits = append(waits, q.waits()...)
		}
	}
	if *p.left <= 0 && p.parent == nil {
		waits = append(waits, engine.Wait{
			What: fmt.Sprintf("nothing: the dry run was given up after %d events", p.opts.MaxEvents), Owner: "the definition", Since: p.now,
		})
	}
	return waits
}

// hint says how a dry run could be brought past something that it waits for.
func (p *player) hint(path string) string {
	a := p.active(path)
	s := engine.Work(p.def, a)
	switch {
	case s == nil || p.parent != nil:
	case a.GetEventWait() != nil:
		return "; no event that could be made up meets its condition: give one as the output of " + s.ID
	case p.stuck[a.GetEscalationId()]:
		return "; to go on in the dry run, give a decision for " + s.ID
	}
	return ""
}

// Recorded are the outputs of a history, by step path and by step id, for Options.Recorded. Payloads must be there in full.
func Recorded(events []*workflowv1.HistoryEvent) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	bySequence := map[uint64]json.RawMessage{}
	for _, ev := range events {
		if s := ev.GetOutcomeSettled(); s.GetOutput() != nil {
			bySequence[ev.GetSequence()] = s.GetOutput().GetInline()
		}
		if s := ev.GetOperationSucceeded(); s.GetOutput() != nil {
			bySequence[ev.GetSequence()] = s.GetOutput().GetInline()
		}
		c := ev.GetStepCompleted()
		if c.GetStatus() != workflowv1.StepStatus_STEP_STATUS_SUCCEEDED {
			continue
		}
		v := json.RawMessage(c.GetOutput().GetInline())
		if seq := c.GetReusedSequence(); seq != 0 {
			v = bySequence[seq]
		}
		if len(v) == 0 {
			v = json.RawMessage("null")
		}
		bySequence[ev.GetSequence()] = v
		out[c.GetStepPath()], out[c.GetStepId()] = v, v
	}
	return out
}

// isRefusal reports whether an input was not taken, and nothing changed.
func isRefusal(err error) bool {
	var r *engine.Refusal
	return errors.As(err, &r)
}
