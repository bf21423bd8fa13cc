package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/durationpb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// taskView is a claimed task as agents see it.
type taskView struct {
	Claimed      bool            `json:"claimed"`
	TaskID       string          `json:"task_id,omitempty"`
	ClaimToken   string          `json:"claim_token,omitempty"`
	MCPURL       string          `json:"mcp_url,omitempty"`
	RunID        string          `json:"run_id,omitempty"`
	Workflow     string          `json:"workflow,omitempty"`
	Version      string          `json:"version,omitempty"`
	State        string          `json:"state,omitempty"`
	Step         string          `json:"step,omitempty"`
	Goal         string          `json:"goal,omitempty"`
	Arguments    json.RawMessage `json:"arguments,omitempty"`
	Tools        []toolView      `json:"tools,omitempty"`
	Budget       *budgetView     `json:"budget,omitempty"`
	CallsMade    uint32          `json:"calls_made,omitempty"`
	PriorCalls   []priorView     `json:"prior_calls,omitempty"`
	LeaseSeconds float64         `json:"lease_seconds,omitempty"`
	Deadline     string          `json:"deadline,omitempty"`
	OutputSchema json.RawMessage `json:"output_schema,omitempty"`
	Next         string          `json:"next,omitempty"`
}

// toolView is a tool that a task may call.
type toolView struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"`
}

type budgetView struct {
	MaxTurns     uint32  `json:"max_turns,omitempty"`
	MaxTokens    uint64  `json:"max_tokens,omitempty"`
	MaxToolCalls uint32  `json:"max_tool_calls,omitempty"`
	MaxCostUSD   float64 `json:"max_cost_usd,omitempty"`
}

// priorView is a call that an earlier claim made.
type priorView struct {
	Tool   string `json:"tool"`
	Status string `json:"status"`
}

const (
	tokenProperty  = `"claim_token":{"type":"string","minLength":1,"description":"The claim_token that task_claim returned. It is a secret."}`
	failProperties = `"message":{"type":"string","minLength":1,"maxLength":2048,"description":"What went wrong, in words."}`
	beatProperties = `"progress":{"type":"string","maxLength":1024,"description":"How far you are, in words."},` +
		`"turns":{"type":"integer","minimum":0,"maximum":4294967295,"description":"Turns of the model used so far."},` +
		`"tokens":{"type":"integer","minimum":0,"description":"Tokens used so far."},` +
		`"cost_usd":{"type":"number","minimum":0,"description":"Cost so far, in US dollars."}`
	keyProperty = `"key":{"type":"string","maxLength":256,"description":"Optional. Your own name for this call: the same key answers from the record. ` +
		`Give one to every call that changes something and that you might repeat when its answer is lost: without a key the repetition is another call."}`
)

// taskTools are the tools about tasks for those who name the claim in each call.
func (f *Face) taskTools() []tool {
	return []tool{
		{
			name: "task_claim", check: true, run: f.taskClaim,
			schema: object(`"agent"`, `"agent":{"type":"string","minLength":1,"description":"Name of the agent, as workflows name it."},`+
				`"worker":{"type":"string","maxLength":128,"description":"Your own stable name. When you were restarted, the task that you held comes back first."},`+
				`"namespace":{"type":"string","maxLength":63,"description":"Namespace of the workflows to work for. Default \"default\"."},`+
				`"run_id":{"type":"string","description":"Only the task of this run."},`+waitProperty),
			description: "Waits for a task for an agent and claims it. Returns its goal, arguments, tools and budget, and the claim_token to act with.",
		},
		{
			name: "task_call", check: true, run: f.taskCall,
			schema: object(`"claim_token","tool"`, tokenProperty+
				`,"tool":{"type":"string","minLength":1,"description":"The tool, as server/tool or server__tool."}`+
				`,"arguments":{"type":"object","description":"The tool's arguments."},`+keyProperty),
			description: "Calls a tool within a claimed task. A call that was made before, by you or by who had the task before you, is answered from the record. " +
				"Within one claim, the same call again counts as another one unless both carry the same key.",
		},
		{
			name: "task_complete", check: true, run: f.taskComplete,
			schema:      object(`"claim_token"`, tokenProperty+`,"output":{"description":"The task's output, as its output_schema asks. Default null."}`),
			description: "Ends a claimed task with its output; the workflow goes on with it.",
		},
		{
			name: "task_heartbeat", check: true, run: f.taskHeartbeat, schema: object(`"claim_token"`, tokenProperty+","+beatProperties),
			description: "Keeps a claim alive while you work without calling tools.",
		},
		{
			name: "task_release", check: true, run: f.taskRelease, schema: object(`"claim_token"`, tokenProperty),
			description: "Gives a claimed task back, for another agent to do.",
		},
		{
			name: "task_fail", check: true, run: f.taskFail, schema: object(`"claim_token","message"`, tokenProperty+","+failProperties),
			description: "Ends a claimed task as failed; the workflow decides what follows.",
		},
	}
}

// taskInput is what the task tools take.
type taskInput struct {
	Agent       string          `json:"agent"`
	Namespace   string          `json:"namespace"`
	Worker      string          `json:"worker"`
	RunID       string          `json:"run_id"`
	WaitSeconds *float64        `json:"wait_seconds"`
	ClaimToken  string          `json:"claim_token"`
	Tool        string          `json:"tool"`
	Arguments   json.RawMessage `json:"arguments"`
	Key         string          `json:"key"`
	Output      json.RawMessage `json:"output"`
	Message     string          `json:"message"`
	Progress    string          `json:"progress"`
	Turns       uint32          `json:"turns"`
	Tokens      uint64          `json:"tokens"`
	CostUSD     float64         `json:"cost_usd"`
}

func (f *Face) taskClaim(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	longest := max(wait(args.WaitSeconds), time.Millisecond)
	polled, err := f.backend.Work.PollTask(ctx, &schedulerv1.PollTaskRequest{
		Namespace: args.Namespace, Agent: args.Agent, Worker: args.Worker, RunId: args.RunID, Timeout: durationpb.New(longest),
	})
	if err != nil {
		return nil, err
	}
	if polled.GetTask() == nil {
		return answer(taskView{Next: fmt.Sprintf("There is no task for %q now. Call task_claim again to wait on.", args.Agent)})
	}
	return answer(f.viewTask(ctx, polled.GetTask()))
}

func (f *Face) viewTask(ctx context.Context, task *schedulerv1.ClaimedTask) taskView {
	view := taskView{
		Claimed: true, TaskID: task.GetTaskId(), ClaimToken: task.GetClaimToken(), MCPURL: f.TaskURL(task.GetClaimToken()), RunID: task.GetRunId(),
		Workflow: task.GetWorkflow(), Version: task.GetVersion(), State: task.GetState(), Step: task.GetStepPath(), Goal: task.GetGoal(),
		Arguments: task.GetArguments(), CallsMade: task.GetCallsMade(), LeaseSeconds: task.GetLease().AsDuration().Seconds(),
		Deadline: timeText(task.GetDeadline()), OutputSchema: task.GetOutputSchema(),
		Next: "Work towards the goal with task_call, within the budget. Each call keeps the claim alive; otherwise call task_heartbeat. If the answer to " +
			"a call is lost, repeat the call only with the key that it carried; without one, claim the task again and make its calls from the first, which " +
			"answers from the record. End with task_complete, task_fail or task_release.",
	}
	if b := task.GetBudget(); b != nil {
		view.Budget = &budgetView{MaxTurns: b.GetMaxTurns(), MaxTokens: b.GetMaxTokens(), MaxToolCalls: b.GetMaxToolCalls(), MaxCostUSD: b.GetMaxCostUsd()}
	}
	for _, prior := range task.GetPriorCalls() {
		view.PriorCalls = append(view.PriorCalls, priorView{Tool: prior.GetTool(), Status: lower(prior.GetStatus().String(), "OPERATION_STATUS_")})
	}
	for _, declared := range f.allowed(ctx, task) {
		view.Tools = append(view.Tools, toolView{
			Name: declared.GetServer() + "/" + declared.GetName(), Description: declared.GetDescription(), InputSchema: declared.GetInputSchema(),
		})
	}
	return view
}

// allowed are the tools that a task may call, as far as they are known. One whose server is away is listed by its name alone.
func (f *Face) allowed(ctx context.Context, task *schedulerv1.ClaimedTask) []*workflowv1.ToolDeclaration {
	var all []*workflowv1.ToolDeclaration
	for _, name := range task.GetAllowedTools() {
		server, toolName, _ := strings.Cut(name, "/")
		declared, err := f.backend.Catalogue.Tool(ctx, server, toolName)
		if err != nil {
			declared = &workflowv1.ToolDeclaration{Server: server, Name: toolName, Description: "Not known at the moment: " + err.Error()}
		}
		all = append(all, declared)
	}
	return all
}

func (f *Face) taskCall(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	if !strings.Contains(args.Tool, "/") {
		args.Tool = strings.Replace(args.Tool, "__", "/", 1)
	}
	if args.Key == "" {
		args.Key = in.key
	}
	return f.callTool(ctx, args.ClaimToken, args.Tool, args.Arguments, args.Key)
}

// callTool makes a call of a task. It gives up before most clients do, and says how to get the answer then.
func (f *Face) callTool(ctx context.Context, token, name string, arguments []byte, key string) (*mcp.CallToolResult, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	called, err := f.backend.Work.CallTool(ctx, &schedulerv1.CallToolRequest{ClaimToken: token, Tool: name, Arguments: arguments, Key: key})
	if err != nil {
		return nil, err
	}
	result := passed(called.GetOutput(), called.GetIsError())
	result.Meta = mcp.Meta{"signalbox.dev/operation": called.GetOperationId(), "signalbox.dev/replayed": called.GetReplayed()}
	return result, nil
}

func (f *Face) taskComplete(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	completed, err := f.backend.Work.CompleteTask(ctx, &schedulerv1.CompleteTaskRequest{ClaimToken: args.ClaimToken, Output: args.Output})
	return f.ended(args.ClaimToken, completed.GetSequence(), err, "The task is completed. Call task_claim for another one.")
}

func (f *Face) taskFail(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	failed, err := f.backend.Work.FailTask(ctx, &schedulerv1.FailTaskRequest{ClaimToken: args.ClaimToken, Message: args.Message})
	return f.ended(args.ClaimToken, failed.GetSequence(), err, "The task has failed, and its workflow decides what follows. Call task_claim for another one.")
}

func (f *Face) taskRelease(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	released, err := f.backend.Work.ReleaseTask(ctx, &schedulerv1.ReleaseTaskRequest{ClaimToken: args.ClaimToken})
	return f.ended(args.ClaimToken, released.GetSequence(), err, "The task is given back. Call task_claim for another one.")
}

// ended answers the end of a claim and takes down its endpoint.
func (f *Face) ended(token string, sequence uint64, err error, next string) (*mcp.CallToolResult, error) {
	if err != nil {
		return nil, err
	}
	f.tasks.drop(token)
	return answer(map[string]any{"sequence": sequence, "next": next})
}

func (f *Face) taskHeartbeat(ctx context.Context, in input) (*mcp.CallToolResult, error) {
	var args taskInput
	if err := in.decode(&args); err != nil {
		return nil, err
	}
	beat, err := f.backend.Work.HeartbeatTask(ctx, &schedulerv1.HeartbeatTaskRequest{
		ClaimToken: args.ClaimToken, Progress: args.Progress, Turns: args.Turns, Tokens: args.Tokens, CostUsd: args.CostUSD,
	})
	if err != nil {
		return nil, err
	}
	return answer(map[string]any{"lease_seconds": beat.GetLease().AsDuration().Seconds()})
}
