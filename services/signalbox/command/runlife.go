package command

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// ofManyHelp is said by each command that takes one run or a filter.
const ofManyHelp = `
With --filter in place of RUN it is done to all runs of a filter, which is that of run list; those that have ended are passed over. The batch
goes on by itself in the suite, also when this command is interrupted or the suite restarts; progress is shown until it is through. Runs for
which it was refused are listed, and end the command with exit code 4.`

func (a *App) runCancel(s *suite) *cobra.Command {
	reason := ""
	var (
		wait waitFlags
		many batchFlags
	)
	cmd := &cobra.Command{
		Use:   "cancel {RUN|--filter FILTER}",
		Short: "Ask a run to end; what it completed is undone first",
		Long:  "Asks a run to end. What it completed is undone first; a second cancel changes nothing.\n" + ofManyHelp,
		Example: `  signalbox run cancel 0198c7d2-1f3e-7a44 --reason 'the customer called off' --wait
  signalbox run cancel --filter 'workflow = "import" AND status = RUNNING' --reason 'bad data'`,
		Args: between(0, "RUN"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in words")
	cmd.Flags().BoolVar(&wait.wait, "wait", false, "wait until the run has ended")
	wait.bindPatience(cmd)
	many.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		if batch, err := many.wanted(cmd, args); err != nil {
			return err
		} else if batch {
			return a.startBatch(ctx, s, many, &schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_CANCEL, Reason: reason})
		}
		brief, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().CancelRun(brief, &schedulerv1.CancelRunRequest{Namespace: s.namespace(), RunId: args[0], Reason: reason})
		if err != nil {
			return err
		}
		if !wait.wait {
			return a.say(response, func() string {
				return fmt.Sprintf("%s is %s", response.GetRun().GetId(), render.Standing(response.GetRun()))
			})
		}
		return a.waitRun(ctx, s, args[0], wait.patience, func(run *workflowv1.Run) bool {
			// The end that was asked for is no failure.
			return run.GetOutcome() == workflowv1.Outcome_OUTCOME_CANCELLED || render.Succeeded(run.GetOutcome())
		})
	})
	return cmd
}

func (a *App) runPause(s *suite) *cobra.Command {
	reason := ""
	var many batchFlags
	cmd := &cobra.Command{
		Use:   "pause {RUN|--filter FILTER}",
		Short: "Let a run begin nothing new until it is resumed",
		Long: `Stops new dispatch of a run and nothing else: what is under way is settled, and reads, signals, decisions and edits go on. Its deadline
goes on too.
` + ofManyHelp,
		Example: `  signalbox run pause 0198c7d2-1f3e-7a44 --reason 'the studio is down'
  signalbox run pause --filter 'workflow = "game-cards"'`,
		Args: between(0, "RUN"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in words")
	many.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		if batch, err := many.wanted(cmd, args); err != nil {
			return err
		} else if batch {
			return a.startBatch(ctx, s, many, &schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_PAUSE, Reason: reason})
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().PauseRun(ctx, &schedulerv1.PauseRunRequest{Namespace: s.namespace(), RunId: args[0], Reason: reason, RequestId: uuid.NewString()})
		if err != nil {
			return err
		}
		return a.say(response, func() string { return fmt.Sprintf("%s is paused; signalbox run resume %s ends that", args[0], args[0]) })
	})
	return cmd
}

func (a *App) runResume(s *suite) *cobra.Command {
	var many batchFlags
	cmd := &cobra.Command{
		Use:   "resume {RUN|--filter FILTER}",
		Short: "End the pause of a run",
		Long:  "Ends the pause of a run. It goes on where it stands.\n" + ofManyHelp,
		Example: `  signalbox run resume 0198c7d2-1f3e-7a44
  signalbox run resume --filter 'paused = true'`,
		Args: between(0, "RUN"),
	}
	many.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		if batch, err := many.wanted(cmd, args); err != nil {
			return err
		} else if batch {
			return a.startBatch(ctx, s, many, &schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_RESUME})
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().ResumeRun(ctx, &schedulerv1.ResumeRunRequest{Namespace: s.namespace(), RunId: args[0], RequestId: uuid.NewString()})
		if err != nil {
			return err
		}
		return a.say(response, func() string { return args[0] + " goes on" })
	})
	return cmd
}
