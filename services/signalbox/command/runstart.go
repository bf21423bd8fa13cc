package command

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func (a *App) runStart(s *suite) *cobra.Command {
	var (
		input   valueFlags
		wait    waitFlags
		request schedulerv1.StartRunRequest
		dry     dryRunFlags
	)
	cmd := &cobra.Command{
		Use:   "start WORKFLOW[@VERSION]",
		Short: "Start a run",
		Long: `Starts a run; it is durable once this command says so. With --request-id a repetition of the command answers with the run that the
first one started, so that it can be sent again after any failure.

With --wait or --watch the exit code tells how the run ended: 0 as its author planned (SUCCEEDED, SUCCEEDED_WITH_LIMITATION, REJECTED,
ESCALATED), 6 otherwise, 7 when the time in --for was over first.

With --dry-run nothing is started: the workflow runs in memory, and its path is printed as run watch does. The output of each step is the one
given here, else the one of --from-run, else its dry_run_output, else a sample made from its schema; only READ tools may really be called. A FILE
in place of the workflow need not be registered. The exit codes are the same; 7 says that the run would wait for what never comes.`,
		Example: `  signalbox run start order-status -f order_id=1001
  signalbox run start order-status@1.0.0 --input '{"order_id": "1001"}' --watch
  signalbox run start refund --input-file case.json --request-id case-17 --wait --for 5m
  signalbox run start refund.yaml --dry-run -f order=1001 --decide approval=reject
  signalbox run start refund --dry-run --fail charge=unavailable:2 --step-output order='{"total": 90}'`,
		Args: Exactly("WORKFLOW"),
	}
	input.bind(cmd.Flags(), "input", "the run's input")
	cmd.Flags().StringVar(&request.Version, "version", "", "version to run (default: the highest)")
	cmd.Flags().StringVar(&request.RunId, "run-id", "", "identity of the run (default: made by the suite)")
	cmd.Flags().StringVar(&request.RequestId, "request-id", "", "your identity of this start: sent again, it starts no second run")
	cmd.Flags().BoolVar(&wait.wait, "wait", false, "wait until the run has ended, and print its result")
	cmd.Flags().BoolVar(&wait.watch, "watch", false, "follow the run event by event until it has ended")
	wait.bindPatience(cmd)
	dry.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if request.Input, err = input.read(cmd, a.In); err != nil {
			return err
		}
		if !dry.dry {
			if err := notDry(cmd, args[0]); err != nil {
				return err
			}
		}
		if namesFile(args[0]) {
			request.Namespace = s.namespace()
			return a.dryRun(ctx, s, cmd, &request, args[0], &dry)
		}
		name, version, err := nameAndVersion(args[0])
		if err != nil {
			return err
		}
		if version != "" && request.GetVersion() != "" && request.GetVersion() != version {
			return misuse(cmd, "the version is given twice: %s and --version %s", args[0], request.GetVersion())
		}
		if version != "" {
			request.Version = version
		}
		request.Namespace, request.Workflow = s.namespace(), name
		if dry.dry {
			return a.dryRun(ctx, s, cmd, &request, "", &dry)
		}
		return a.start(ctx, s, &request, wait)
	})
	return cmd
}

// notDry refuses what only a dry run can do.
func notDry(cmd *cobra.Command, workflow string) error {
	for _, name := range dryRunOnly {
		if cmd.Flags().Changed(name) {
			return misuse(cmd, "--%s is for dry runs: add --dry-run", name)
		}
	}
	if namesFile(workflow) {
		return misuse(cmd, "%s is a file, and runs are of registered workflows; hand it over with signalbox workflow apply, or add --dry-run", workflow)
	}
	return nil
}

func (a *App) start(ctx context.Context, s *suite, request *schedulerv1.StartRunRequest, wait waitFlags) error {
	own := request.GetRequestId() == ""
	if own {
		request.RequestId = uuid.NewString()
	}
	brief, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.control().StartRun(brief, request)
	if err != nil {
		if own && mayHaveStarted(err) {
			a.output.Note("whether the run has started is not known; to be sure, send it again with --request-id %s", request.GetRequestId())
		}
		return err
	}
	s.met = true
	started := "started"
	if !response.GetStarted() {
		started = "was started before by this request id"
	}
	switch {
	case wait.watch:
		a.output.Note("%s of %s@%s %s", response.GetRunId(), request.GetWorkflow(), response.GetVersion(), started)
		return a.watchRun(ctx, s, response.GetRunId(), 1, wait.patience)
	case wait.wait:
		a.output.Note("%s of %s@%s %s", response.GetRunId(), request.GetWorkflow(), response.GetVersion(), started)
		return a.waitRun(ctx, s, response.GetRunId(), wait.patience, planned)
	}
	if err := a.say(response, func() string {
		return fmt.Sprintf("%s of %s@%s %s", response.GetRunId(), request.GetWorkflow(), response.GetVersion(), started)
	}); err != nil {
		return err
	}
	a.output.Note("follow it with: signalbox run watch %s", response.GetRunId())
	return nil
}

// mayHaveStarted tells errors after which a start may have been recorded all the same.
func mayHaveStarted(err error) bool {
	switch errs.CodeOf(err) {
	case codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown:
		return true
	case codes.Unavailable:
		return !neverArrived(err)
	default:
		return false
	}
}
