package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// runView is a run as agents see it.
type runView struct {
	RunID    string          `json:"run_id"`
	Workflow string          `json:"workflow,omitempty"`
	Version  string          `json:"version,omitempty"`
	Status   string          `json:"status"`
	State    string          `json:"state,omitempty"`
	Outcome  string          `json:"outcome,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Problem  string          `json:"problem,omitempty"`
	Summary  string          `json:"summary,omitempty"`
	Waits    []waitView      `json:"waits,omitempty"`
	// Next says what can be done now.
	Next string `json:"next,omitempty"`
}

// waitView is one thing that a run waits for.
type waitView struct {
	Step  string `json:"step,omitempty"`
	What  string `json:"what"`
	Owner string `json:"owner,omitempty"`
	Since string `json:"since,omitempty"`
	Until string `json:"until,omitempty"`
}

func viewRun(run *workflowv1.Run) runView {
	view := runView{
		RunID: run.GetId(), Workflow: run.GetWorkflow(), Version: run.GetVersion(), State: run.GetState(),
		Status: lower(run.GetStatus().String(), "RUN_STATUS_"), Problem: run.GetProblem().GetMessage(),
	}
	if run.GetOutcome() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		view.Outcome = lower(run.GetOutcome().String(), "OUTCOME_")
	}
	return view
}

// lower writes an enum's value as agents see it.
func lower(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

func timeText(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// payload is a value, or where it is kept.
func payload(value *workflowv1.Payload) json.RawMessage {
	switch kind := value.GetValue().(type) {
	case *workflowv1.Payload_Inline:
		return kind.Inline
	case *workflowv1.Payload_Artifact:
		return fmt.Appendf(nil, `{"artifact":%q,"size_bytes":%d}`, kind.Artifact.GetDigest(), kind.Artifact.GetSizeBytes())
	default:
		return nil
	}
}

const runIDProperty = `"run_id":{"type":"string","minLength":1,"description":"The run, as the call that started it returned it."}`

// waitProperty is how long a tool may wait.
var waitProperty = fmt.Sprintf(`"wait_seconds":{"type":"number","minimum":0,"maximum":%v,"description":"Longest wait. Default %v."}`,
	longestWait.Seconds(), defaultWait.Seconds())

func object(required, properties string) json.RawMessage {
	return json.RawMessage(`{"type":"object","additionalProperties":false,"required":[` + required + `],"properties":{` + properties + `}}`)
}

// runTools are the tools about runs.
func (f *Face) runTools() []tool {
	return []tool{
		{
			name: "run_status", reads: true, check: true, schema: object(`"run_id"`, runIDProperty), run: f.runStatus,
			description: "Tells where a run is, without waiting.",
		},
		{
			name: "run_wait", reads: true, check: true, schema: object(`"run_id"`, runIDProperty+","+waitProperty), run: f.runWait,
			description: "Waits until a run has ended, and returns its outcome and result. When it has not ended in time, call it again.",
		},
		{
			name: "run_why", reads: true, check: true, schema: object(`"run_id"`, runIDProperty), run: f.runWhy,
			description: "Tells what a run waits for, who can end that wait, and since when.",
		},
		{
			name: "run_cancel", check: true, run: f.runCancel,
			schema:      object(`"run_id"`, runIDProperty+`,"reason":{"type":"string","maxLength":1024,"description":"Why, in words."}`),
			description: "Asks a run to end. What it has done is undone first, where its workflow says how.",
		},
		{
			name: "run_signal", check: true, run: f.runSignal,
			schema: object(`"run_id","name"`, runIDProperty+
				`,"name":{"type":"string","minLength":1,"maxLength":128,"description":"Name of the signal."}`+
				`,"value":{"description":"What it carries; any JSON. Default null."}`+
				`,"request_id":{"type":"string","maxLength":128,"description":"Give the same value again to send the same signal once."}`),
			description: "Sends input to a run that waits for it.",
		},
	}
}

// runInput is what the run tools take.
type runInput struct {
	RunID       string          `json:"run_id"`
	WaitSeconds *float64        `json:"wait_seconds"`
	Reason      string          `json:"reason"`
	Name        string          `json:"name"`
	Value       json.RawMessage `json:"value"`
	RequestID   string          `json:"request_id"`
}

// wait returns how long to wait.
func wait(seconds *float64) time.Duration {
	if seconds == nil {
		return defaultWait
	}
	return min(time.Duration(*seconds*float64(time.Second)), longestWait)
}

func (f *Face) explain(ctx context.Context, in input) (runView, *schedulerv1.ExplainRunResponse, error) {
	var args runInput
	if err := in.decode(&args); err != nil {
		return runView{}, nil, err
	}
	explained, err := f.backend.Runs.ExplainRun(ctx, &schedulerv1.ExplainRunRequest{RunId: args.RunID})
	if err != nil {
		return runView{}, nil, err
	}
	view := viewRun(explained.GetRun())
	view.Summary = explained.GetSummary()
	return view, explained, nil
}

func (f *Face) runStatus(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	view, _, err := f.explain(ctx, in)
	if err != nil {
		return nil, err
	}
	return answer(view)
}

func (f *Face) runWhy(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	view, explained, err := f.explain(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, w := range explained.GetWaits() {
		view.Waits = append(view.Waits, waitView{
			Step: w.GetStepPath(), What: w.GetWhat(), Owner: w.GetOwner(), Since: timeText(w.GetSince()), Until: timeText(w.GetUntil()),
		})
	}
	return answer(view)
}

func (f *Face) runWait(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args runInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	return f.awaitRun(ctx, args.RunID, wait(args.WaitSeconds))
}

// awaitRun waits for the end of a run and tells how it stands then. A run that ended badly is a tool's error: the model should notice.
func (f *Face) awaitRun(ctx context.Context, runID string, longest time.Duration) (*mcp.CallToolResult, error) {
	if longest <= 0 {
		// The contract takes an unset time for its default, so no wait at all is a very short one.
		longest = time.Millisecond
	}
	waited, err := f.backend.Runs.WaitRun(ctx, &schedulerv1.WaitRunRequest{RunId: runID, Timeout: durationpb.New(longest)})
	if err != nil {
		return nil, err
	}
	view := viewRun(waited.GetRun())
	view.RunID = runID
	if !waited.GetEnded() {
		view.Next = fmt.Sprintf("The run has not ended and goes on by itself. Call run_wait with run_id %q to wait on, or run_why to see what it waits for.", runID)
		return answer(view)
	}
	view.Result = payload(waited.GetResult())
	result, err := answer(view)
	if err == nil {
		result.IsError = endedBadly(waited.GetRun().GetOutcome())
	}
	return result, err
}

func endedBadly(outcome workflowv1.Outcome) bool {
	switch outcome {
	case workflowv1.Outcome_OUTCOME_FAILED, workflowv1.Outcome_OUTCOME_TIMED_OUT, workflowv1.Outcome_OUTCOME_CANCELLED,
		workflowv1.Outcome_OUTCOME_COMPENSATED, workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED:
		return true
	default:
		return false
	}
}

func (f *Face) runCancel(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args runInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	cancelled, err := f.backend.Runs.CancelRun(ctx, &schedulerv1.CancelRunRequest{RunId: args.RunID, Reason: args.Reason})
	if err != nil {
		return nil, err
	}
	view := viewRun(cancelled.GetRun())
	if cancelled.GetRun().GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		view.Next = "The run has been asked to end, and undoes what it has done. Call run_wait to see it end."
	}
	return answer(view)
}

func (f *Face) runSignal(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args runInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	if args.RequestID == "" {
		args.RequestID = in.key
	}
	signalled, err := f.backend.Runs.SignalRun(ctx, &schedulerv1.SignalRunRequest{
		RunId: args.RunID, Name: args.Name, Value: args.Value, RequestId: args.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return answer(map[string]any{"run_id": args.RunID, "sequence": signalled.GetSequence()})
}
