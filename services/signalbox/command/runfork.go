package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) runCheckpoints(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "checkpoints RUN",
		Short:   "List the points of a run's history that it can be forked from",
		Long:    "Lists the points of a run's history at which nothing was under way, oldest first: run fork --at takes their sequence.",
		Example: "  signalbox run checkpoints 0198c7d2-1f3e-7a44",
		Args:    Exactly("RUN"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.control().ListCheckpoints(ctx, &schedulerv1.ListCheckpointsRequest{Namespace: s.namespace(), RunId: args[0]})
			if err != nil {
				return err
			}
			return a.table(response, "no checkpoints: something has been under way all the time", []string{"sequence", "time", "state", "what had just happened"}, func() [][]string {
				var rows [][]string
				for _, c := range response.GetCheckpoints() {
					rows = append(rows, []string{fmt.Sprint(c.GetSequence()), render.Moment(c.GetTime(), a.Clock.Now()), c.GetState(), c.GetWhat()})
				}
				return rows
			})
		}),
	}
}

// laterWrites are the answers to what becomes of later writes.
var laterWrites = map[string]schedulerv1.LaterWrites{
	"undo": schedulerv1.LaterWrites_LATER_WRITES_UNDO, "keep": schedulerv1.LaterWrites_LATER_WRITES_KEEP,
}

func (a *App) runFork(s *suite) *cobra.Command {
	var (
		request schedulerv1.ForkRunRequest
		later   string
		wait    waitFlags
	)
	cmd := &cobra.Command{
		Use:   "fork RUN",
		Short: "Start a run that goes on from a checkpoint of another",
		Long: `Starts a run that goes on from a checkpoint of another, with its history; without --at from the newest. The fork takes over the undo of what
it inherits, and its deadline is counted anew.

What the source wrote after the checkpoint stays with the source: --later-writes undo has it undone, --later-writes keep leaves it. When there
are such writes, one of both has to be said.

With --wait or --watch the exit code tells how the fork ended, as that of run start does.`,
		Example: `  signalbox run fork 0198c7d2-1f3e-7a44
  signalbox run fork 0198c7d2-1f3e-7a44 --at 17 --later-writes undo --watch`,
		Args: Exactly("RUN"),
	}
	cmd.Flags().Uint64Var(&request.AtSequence, "at", 0, "`sequence` of the checkpoint, as run checkpoints lists them (0: the newest)")
	cmd.Flags().StringVar(&later, "later-writes", "", "`what` becomes of what the source wrote later: undo, keep")
	cmd.Flags().StringVar(&request.ForkRunId, "run-id", "", "identity of the fork (default: made by the suite)")
	cmd.Flags().StringVar(&request.RequestId, "request-id", "", "your identity of this fork: sent again, it starts no second run")
	cmd.Flags().BoolVar(&wait.wait, "wait", false, "wait until the fork has ended, and print its result")
	cmd.Flags().BoolVar(&wait.watch, "watch", false, "follow the fork event by event until it has ended")
	wait.bindPatience(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		var ok bool
		if request.LaterWrites, ok = laterWrites[later]; !ok && later != "" {
			names := sortedKeys(laterWrites)
			return errs.Invalid("later-writes", "%q is none of %s%s", later, strings.Join(names, ", "), nearest.Hint(later, names))
		}
		request.Namespace, request.RunId = s.namespace(), args[0]
		if request.GetRequestId() == "" {
			request.RequestId = uuid.NewString()
		}
		return a.fork(ctx, s, &request, wait)
	})
	return cmd
}

func (a *App) fork(ctx context.Context, s *suite, request *schedulerv1.ForkRunRequest, wait waitFlags) error {
	brief, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.control().ForkRun(brief, request)
	if err != nil {
		return err
	}
	s.met = true
	said := fmt.Sprintf("%s goes on from event %d of %s", response.GetRunId(), response.GetAtSequence(), request.GetRunId())
	if n := len(response.GetLaterWrites()); n > 0 {
		fate := "is kept"
		if request.GetLaterWrites() == schedulerv1.LaterWrites_LATER_WRITES_UNDO {
			fate = "is undone"
		}
		said += fmt.Sprintf("; what %s of the source did later %s", count(n, "operation"), fate)
	}
	switch {
	case wait.watch:
		a.output.Note("%s", said)
		return a.watchRun(ctx, s, response.GetRunId(), response.GetAtSequence()+1, wait.patience)
	case wait.wait:
		a.output.Note("%s", said)
		return a.waitRun(ctx, s, response.GetRunId(), wait.patience, planned)
	}
	return a.say(response, func() string {
		lines := []string{said}
		for _, op := range response.GetLaterWrites() {
			lines = append(lines, fmt.Sprintf("  %s  %s/%s  %s", op.GetStepPath(), op.GetServer(), op.GetTool(), render.Name(op.GetStatus())))
		}
		return strings.Join(lines, "\n")
	})
}
