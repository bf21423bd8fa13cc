package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) runCommand() *cobra.Command {
	return a.client("run", "Start runs, look at them and steer them",
		"A run is one execution of a workflow. It survives the crash of every process, and its history says all that ever happened in it.",
		a.runStart, a.runList, a.runGet, a.runWatch, a.runWait, a.runHistory, a.runReplay, a.runWhy, a.runOperations, a.runSignal, a.runCancel,
		a.runPause, a.runResume, a.runEdit, a.runCheckpoints, a.runFork, a.runMigrate, a.runArchive)
}

func (s *suite) runs() statev1.RunServiceClient { return statev1.NewRunServiceClient(s.conn("state")) }

func (s *suite) control() schedulerv1.RunControlServiceClient {
	return schedulerv1.NewRunControlServiceClient(s.conn("scheduler"))
}

func (a *App) runList(s *suite) *cobra.Command {
	var page pageFlags
	filter := ""
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Long: `Lists runs, newest first. The filter is AIP-160 over workflow, version, state, status (RUNNING, COMPENSATING, ENDED), outcome
(SUCCEEDED, FAILED …), start_time, update_time, paused, and parent and root (ids of runs). --namespace "*" lists all namespaces.`,
		Example: `  signalbox run list
  signalbox run list --filter 'workflow = "order-status" AND status = RUNNING'
  signalbox run list --filter 'parent = "0198c7d2-1f3e-7a44"'      # its sub-workflows
  signalbox run list --filter 'outcome = FAILED AND start_time > "2026-11-01T00:00:00Z"' -o json`,
		Args: Exactly(),
	}
	cmd.Flags().StringVar(&filter, "filter", "", "only runs that the `filter` holds for")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request := &statev1.ListRunsRequest{Namespace: s.namespace(), Filter: filter, PageSize: page.size, PageToken: page.token}
		return list(ctx, s, s.runs().ListRuns, request, listing[*statev1.ListRunsResponse, *workflowv1.Run]{
			none: "no runs", columns: []string{"run", "workflow", "status", "state", "waits for", "started", "took"},
			entries: (*statev1.ListRunsResponse).GetRuns, row: a.runRow,
		})
	})
	return cmd
}

func (a *App) runRow(run *workflowv1.Run) []string {
	now := a.Clock.Now()
	end, waits := now, ""
	if run.GetEndTime() != nil {
		end = run.GetEndTime().AsTime()
	}
	for _, step := range run.GetActive() {
		if waits != "" {
			waits += ", "
		}
		waits += render.Activity(step.GetStatus())
	}
	return []string{
		run.GetId(), run.GetWorkflow() + "@" + run.GetVersion(), a.standing(run), run.GetState(), waits,
		render.Ago(run.GetStartTime().AsTime(), now), cli.Age(end.Sub(run.GetStartTime().AsTime())),
	}
}

// standing marks where a run is.
func (a *App) standing(run *workflowv1.Run) string {
	standing := render.Standing(run)
	switch {
	case run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED:
		return standing
	case render.Succeeded(run.GetOutcome()):
		return a.output.Styled(cli.Good, standing)
	default:
		return a.output.Styled(cli.Bad, standing)
	}
}

func (a *App) runGet(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "get RUN",
		Aliases: []string{"show"},
		Short:   "Show where a run is",
		Example: "  signalbox run get 0198c7d2-1f3e-7a44\n  signalbox run get 0198c7d2-1f3e-7a44 -o json | jq .counters",
		Args:    Exactly("RUN"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.runs().GetRun(ctx, &statev1.GetRunRequest{Namespace: s.namespace(), RunId: args[0]})
			if err != nil {
				return err
			}
			return a.say(response.GetRun(), func() string { return sheet(render.Run(response.GetRun(), a.Clock.Now())) })
		}),
	}
}

func (a *App) runReplay(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:   "replay RUN",
		Short: "Fold a run's history again and compare",
		Long: `Folds the whole history of a run again and compares the result with the stored run and its ledger, byte for byte. A difference
ends the command with exit code 4.`,
		Example: "  signalbox run replay 0198c7d2-1f3e-7a44",
		Args:    Exactly("RUN"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			// A long history takes its time.
			response, err := s.control().ReplayRun(ctx, &schedulerv1.ReplayRunRequest{Namespace: s.namespace(), RunId: args[0]})
			if err != nil {
				return err
			}
			err = a.say(response, func() string {
				if response.GetIdentical() {
					return fmt.Sprintf("identical: %s fold to the stored run, byte for byte", count(int(response.GetEvents()), "event"))
				}
				return fmt.Sprintf("different after %s: %s", count(int(response.GetEvents()), "event"), render.Clean(response.GetDifference()))
			})
			if err == nil && !response.GetIdentical() {
				return cli.WithExit(cli.ExitRefused, nil)
			}
			return err
		}),
	}
}

func (a *App) runWhy(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "why RUN",
		Short:   "Say what a run waits for, who can end that, and since when",
		Example: "  signalbox run why 0198c7d2-1f3e-7a44",
		Args:    Exactly("RUN"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.control().ExplainRun(ctx, &schedulerv1.ExplainRunRequest{Namespace: s.namespace(), RunId: args[0]})
			if err != nil {
				return err
			}
			if !a.output.JSON() {
				if _, err := fmt.Fprintln(a.Out, render.Clean(response.GetSummary())); err != nil || len(response.GetWaits()) == 0 {
					return err
				}
				_, _ = fmt.Fprintln(a.Out)
			}
			return a.table(response, "", []string{"step", "waits for", "who can end it", "since", "until"}, func() [][]string {
				var rows [][]string
				for _, wait := range response.GetWaits() {
					rows = append(rows, []string{
						wait.GetStepPath(), wait.GetWhat(), wait.GetOwner(),
						render.Moment(wait.GetSince(), a.Clock.Now()), render.Moment(wait.GetUntil(), a.Clock.Now()),
					})
				}
				return rows
			})
		}),
	}
}

func (a *App) runSignal(s *suite) *cobra.Command {
	var value valueFlags
	requestID := ""
	cmd := &cobra.Command{
		Use:   "signal RUN NAME",
		Short: "Send input to a run",
		Example: `  signalbox run signal 0198c7d2-1f3e-7a44 address-changed -f city=Bern
  signalbox run signal 0198c7d2-1f3e-7a44 paid --value '{"amount": 100}' --request-id payment-17`,
		Args: Exactly("RUN", "NAME"),
	}
	value.bind(cmd.Flags(), "value", "what the signal carries")
	cmd.Flags().StringVar(&requestID, "request-id", "", "your identity of this signal: sent again, it counts once")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		raw, err := value.read(cmd, a.In)
		if err != nil {
			return err
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().SignalRun(ctx, &schedulerv1.SignalRunRequest{
			Namespace: s.namespace(), RunId: args[0], Name: args[1], Value: raw, RequestId: requestID,
		})
		if err != nil {
			return err
		}
		return a.say(response, func() string { return fmt.Sprintf("signal %s recorded as event %d", args[1], response.GetSequence()) })
	})
	return cmd
}

// waitFlags say whether and how long to wait for the end of a run.
type waitFlags struct {
	wait, watch bool
	patience    time.Duration
}

func (w *waitFlags) bindPatience(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&w.patience, "for", 0, "longest `time` to wait for the run's end; 0: as long as it takes")
}

// longPoll is how long one call waits for a run before it is made again.
const longPoll = 20 * time.Second

// waitRun waits for the end of a run and prints how it ended; good tells which ends are no failure.
func (a *App) waitRun(ctx context.Context, s *suite, runID string, patience time.Duration, good func(*workflowv1.Run) bool) error {
	ctx, cancel := a.withPatience(ctx, patience)
	defer cancel()
	request := &schedulerv1.WaitRunRequest{Namespace: s.namespace(), RunId: runID, Timeout: durationpb.New(longPoll)}
	contact := newContact(a, s)
	for {
		call, stop := context.WithTimeout(ctx, longPoll+s.flags.timeout)
		response, err := s.control().WaitRun(call, request)
		stop()
		if err != nil {
			if err = contact.lost(ctx, err); err != nil {
				return gaveUp(ctx, runID, patience, err)
			}
			continue
		}
		contact.made()
		if response.GetEnded() {
			return a.ended(response, good)
		}
	}
}

// errPatience ends a context whose patience is over.
var errPatience = errors.New("the time to wait is over")

// withPatience ends a context after some time, 0 for never. It has no deadline, which servers would take for their own and shave.
func (a *App) withPatience(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() bool { return true }
	if patience > 0 {
		stop = a.Clock.AfterFunc(patience, func() { cancel(errPatience) }).Stop
	}
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// gaveUp returns why a command stops following a run: the error, unless the time to wait is over or somebody interrupted.
func gaveUp(ctx context.Context, runID string, patience time.Duration, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if errors.Is(context.Cause(ctx), errPatience) {
		return cli.WithExit(cli.ExitTimeout, fmt.Errorf("run %s has not ended within %v and goes on; `signalbox run why %s` says what it waits for", runID, patience, runID))
	}
	return ctx.Err()
}

// ended prints the end of a run.
func (a *App) ended(response *schedulerv1.WaitRunResponse, good func(*workflowv1.Run) bool) error {
	err := a.say(response, func() string { return a.endLine(response.GetRun(), render.Payload(response.GetResult())) })
	if err == nil && !good(response.GetRun()) {
		return cli.WithExit(cli.ExitRunFailed, nil)
	}
	return err
}

// endLine says how a run ended, in two or three lines.
func (a *App) endLine(run *workflowv1.Run, result string) string {
	text := fmt.Sprintf("%s  %s of %s@%s after %s", a.standing(run), run.GetId(), run.GetWorkflow(), run.GetVersion(),
		render.Duration(run.GetEndTime().AsTime().Sub(run.GetStartTime().AsTime())))
	if counts := render.Counts(run.GetCounters()); counts != "" {
		text += ": " + counts
	}
	if problem := render.Problem(run.GetProblem()); problem != "" {
		text += "\n  " + problem
	}
	if result != "" && result != "null" {
		text += "\n  result " + result
	}
	return text
}

func planned(run *workflowv1.Run) bool { return render.Succeeded(run.GetOutcome()) }
