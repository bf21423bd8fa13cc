package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// tokenVariable holds the secret of a claim, which does not belong on a command line.
const tokenVariable = "SIGNALBOX_TASK_TOKEN"

func (a *App) taskCommand() *cobra.Command {
	return a.client("task", "Work on agent tasks, as an agent would",
		`An agent claims a task, calls tools within it and completes it. A claim has a secret token, which the other commands take from
`+tokenVariable+` or --token; it is dead once the claim is over.`,
		a.taskList, a.taskClaim, a.taskCall, a.taskHeartbeat, a.taskComplete, a.taskFail, a.taskRelease)
}

func (s *suite) agents() gatewayv1.AgentServiceClient {
	return gatewayv1.NewAgentServiceClient(s.conn("gateway"))
}

func (a *App) taskList(s *suite) *cobra.Command {
	var page pageFlags
	agent := ""
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List open agent tasks, oldest first",
		Example: "  signalbox task list\n  signalbox task list --agent researcher",
		Args:    Exactly(),
	}
	cmd.Flags().StringVar(&agent, "agent", "", "only tasks of this `agent`")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request := &schedulerv1.ListTasksRequest{Namespace: s.namespace(), Agent: agent, PageSize: page.size, PageToken: page.token}
		return list(ctx, s, schedulerv1.NewAgentWorkServiceClient(s.conn("scheduler")).ListTasks, request, listing[*schedulerv1.ListTasksResponse, *schedulerv1.TaskSummary]{
			none: "no open tasks", columns: []string{"task", "agent", "run", "step", "claimed by", "since"},
			entries: (*schedulerv1.ListTasksResponse).GetTasks,
			row: func(task *schedulerv1.TaskSummary) []string {
				return []string{
					task.GetTaskId(), task.GetAgent(), task.GetRunId(), task.GetStepPath(), claimedBy(task),
					render.Ago(task.GetSince().AsTime(), a.Clock.Now()),
				}
			},
		})
	})
	return cmd
}

func claimedBy(task *schedulerv1.TaskSummary) string {
	switch {
	case !task.GetClaimed():
		return "-"
	case task.GetWorker() == "":
		return "(nameless)"
	default:
		return task.GetWorker()
	}
}

func (a *App) taskClaim(s *suite) *cobra.Command {
	var request gatewayv1.ClaimTaskRequest
	patience := 30 * time.Second
	cmd := &cobra.Command{
		Use:   "claim AGENT",
		Short: "Wait for a task of an agent and claim it",
		Long: `Waits for a task of an agent, claims it and prints it with the token of the claim. When there is none in time the exit code is 7.
A worker that was restarted gives the --worker name it had and gets its own task back at once.`,
		Example: `  signalbox task claim researcher --worker me
  export SIGNALBOX_TASK_TOKEN=$(signalbox task claim researcher -o json | jq -r .task.claim_token)`,
		Args: Exactly("AGENT"),
	}
	cmd.Flags().StringVar(&request.Worker, "worker", "", "stable `name` of who claims")
	cmd.Flags().StringVar(&request.RunId, "run", "", "only a task of this `run`")
	cmd.Flags().DurationVar(&patience, "for", patience, "longest `time` to wait for a task; at most 5m")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		request.Namespace, request.Agent, request.Timeout = s.namespace(), args[0], durationpb.New(patience)
		ctx, cancel := context.WithTimeout(ctx, patience+s.flags.timeout)
		defer cancel()
		response, err := s.agents().ClaimTask(ctx, &request)
		if err != nil {
			return err
		}
		if response.GetTask() == nil {
			return cli.WithExit(cli.ExitTimeout, fmt.Errorf("no task for agent %s within %v", args[0], patience))
		}
		return a.say(response, func() string { return render.Task(response, a.Clock.Now()) })
	})
	return cmd
}

// claim takes the token from the flag or the environment.
func (s *suite) claim(cmd *cobra.Command, token *string) {
	cmd.Flags().StringVar(token, "token", "", "token of the claim (default: "+tokenVariable+")")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *token == "" {
			*token = s.variable(tokenVariable)
		}
		if *token == "" {
			return misuse(cmd, "the token of the claim is missing; set %s to the claim_token of `signalbox task claim`", tokenVariable)
		}
		return run(cmd, args)
	}
}

func (a *App) taskCall(s *suite) *cobra.Command {
	var (
		arguments valueFlags
		request   schedulerv1.CallToolRequest
	)
	cmd := &cobra.Command{
		Use:   "call SERVER/TOOL",
		Short: "Call a tool within the task",
		Long: `Calls a tool within the task, through the effect ledger: a call that is made again after a crash answers from the record and is not
repeated. An answer that is the tool's own error ends the command with exit code 4.`,
		Example: "  signalbox task call desk/get_order_details -f order_id=1001",
		Args:    Exactly("SERVER/TOOL"),
	}
	arguments.bind(cmd.Flags(), "arguments", "the tool's arguments")
	cmd.Flags().StringVar(&request.Key, "key", "", "your own key of this call (default: made of the tool, the arguments and a count)")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if request.Arguments, err = arguments.read(cmd, a.In); err != nil {
			return err
		}
		request.Tool = args[0]
		// A tool may take its time, and giving up here would not stop it.
		response, err := s.agents().CallTaskTool(ctx, &gatewayv1.CallTaskToolRequest{Request: &request})
		if err != nil {
			return err
		}
		answer := response.GetResponse()
		if answer.GetReplayed() {
			a.output.Note("answered from the record; the call was not repeated")
		}
		return a.answer(answer, answer.GetOutput(), answer.GetIsError())
	})
	s.claim(cmd, &request.ClaimToken)
	return cmd
}

func (a *App) taskHeartbeat(s *suite) *cobra.Command {
	var request schedulerv1.HeartbeatTaskRequest
	cmd := &cobra.Command{
		Use:     "heartbeat",
		Short:   "Keep the claim alive",
		Example: "  signalbox task heartbeat --progress 'two of three sources read' --turns 4",
		Args:    Exactly(),
	}
	cmd.Flags().StringVar(&request.Progress, "progress", "", "how far the work is, in words")
	cmd.Flags().Uint32Var(&request.Turns, "turns", 0, "turns of the model used so far")
	cmd.Flags().Uint64Var(&request.Tokens, "tokens", 0, "tokens used so far")
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.agents().HeartbeatTask(ctx, &gatewayv1.AgentServiceHeartbeatTaskRequest{Request: &request})
		if err != nil {
			return err
		}
		return a.say(response.GetResponse(), func() string {
			return "the claim lives for " + render.Duration(response.GetResponse().GetLease().AsDuration())
		})
	})
	s.claim(cmd, &request.ClaimToken)
	return cmd
}

func (a *App) taskComplete(s *suite) *cobra.Command {
	var (
		output  valueFlags
		request schedulerv1.CompleteTaskRequest
	)
	cmd := &cobra.Command{
		Use:     "complete",
		Short:   "End the task with its output",
		Example: "  signalbox task complete -f summary='order is on its way' -f confident:=true",
		Args:    Exactly(),
	}
	output.bind(cmd.Flags(), "result", "the task's output")
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) (err error) {
		if request.Output, err = output.read(cmd, a.In); err != nil {
			return err
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.agents().CompleteTask(ctx, &gatewayv1.AgentServiceCompleteTaskRequest{Request: &request})
		if err != nil {
			return err
		}
		return a.say(response.GetResponse(), func() string { return fmt.Sprintf("completed, event %d", response.GetResponse().GetSequence()) })
	})
	s.claim(cmd, &request.ClaimToken)
	return cmd
}

func (a *App) taskFail(s *suite) *cobra.Command {
	var request schedulerv1.FailTaskRequest
	cmd := &cobra.Command{
		Use:     "fail MESSAGE",
		Short:   "End the task with an error",
		Example: "  signalbox task fail 'the order does not exist'",
		Args:    some("MESSAGE"),
	}
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		request.Message = strings.Join(args, " ")
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.agents().FailTask(ctx, &gatewayv1.AgentServiceFailTaskRequest{Request: &request})
		if err != nil {
			return err
		}
		return a.say(response.GetResponse(), func() string { return fmt.Sprintf("failed, event %d", response.GetResponse().GetSequence()) })
	})
	s.claim(cmd, &request.ClaimToken)
	return cmd
}

func (a *App) taskRelease(s *suite) *cobra.Command {
	var request schedulerv1.ReleaseTaskRequest
	cmd := &cobra.Command{
		Use:     "release",
		Short:   "Give the task back, to be offered again",
		Example: "  signalbox task release",
		Args:    Exactly(),
	}
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.agents().ReleaseTask(ctx, &gatewayv1.AgentServiceReleaseTaskRequest{Request: &request})
		if err != nil {
			return err
		}
		return a.say(response.GetResponse(), func() string { return fmt.Sprintf("released, event %d", response.GetResponse().GetSequence()) })
	})
	s.claim(cmd, &request.ClaimToken)
	return cmd
}
