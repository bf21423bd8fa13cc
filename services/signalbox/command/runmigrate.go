package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func (a *App) runMigrate(s *suite) *cobra.Command {
	var (
		request schedulerv1.MigrateRunRequest
		states  []string
		many    batchFlags
	)
	cmd := &cobra.Command{
		Use:   "migrate {RUN|--filter FILTER}",
		Short: "Move a run to another version of its workflow",
		Long: `Moves a run to another version of its workflow, without --to the highest. It needs no operation to be under way; pause the run first if it
never stands still. What stands in the way is told: signalbox workflow diff says it for all states.
` + ofManyHelp,
		Example: `  signalbox run migrate 0198c7d2-1f3e-7a44 --to 2.0.0 --dry-run
  signalbox run migrate 0198c7d2-1f3e-7a44 --to 2.0.0 --state review=approval
  signalbox run migrate --filter 'workflow = "order-saga" AND version = "1.0.0"' --to 2.0.0`,
		Args: between(0, "RUN"),
	}
	cmd.Flags().StringVar(&request.Version, "to", "", "`version` to move to (default: the highest)")
	cmd.Flags().StringArrayVar(&states, "state", nil, "a state that has another name there, as `OLD=NEW`; may be repeated")
	many.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if request.StateMap, err = stateMap(states); err != nil {
			return err
		}
		batch, err := many.wantedOrDry(cmd, args)
		if err != nil {
			return err
		}
		if batch {
			return a.startBatch(ctx, s, many, &schedulerv1.StartBatchRequest{
				Action: schedulerv1.BatchAction_BATCH_ACTION_MIGRATE, Version: request.GetVersion(), StateMap: request.GetStateMap(),
			})
		}
		request.Namespace, request.RunId, request.DryRun, request.RequestId = s.namespace(), args[0], many.dryRun, uuid.NewString()
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().MigrateRun(ctx, &request)
		if err != nil {
			return a.everyObstacle(err)
		}
		return a.say(response, func() string { return migrated(&request, response) })
	})
	return cmd
}

func migrated(request *schedulerv1.MigrateRunRequest, response *schedulerv1.MigrateRunResponse) string {
	place := fmt.Sprintf("under version %s in state %s", response.GetVersion(), response.GetState())
	switch {
	case response.GetMigrated():
		return fmt.Sprintf("%s goes on %s", request.GetRunId(), place)
	case request.GetDryRun():
		return fmt.Sprintf("%s could go on %s; nothing was changed", request.GetRunId(), place)
	default:
		return fmt.Sprintf("%s is %s already", request.GetRunId(), place)
	}
}

// everyObstacle tells people all that stands in the way of a move, a line each. Programs have it in the fields.
func (a *App) everyObstacle(err error) error {
	refusal, ok := errs.From(err)
	if !ok || refusal.Reason() != errorsv1.ErrorReason_ERROR_REASON_MIGRATION_REFUSED || len(refusal.Fields()) < 2 || a.output.JSON() {
		return err
	}
	lines := []string{"the run cannot move:"}
	for _, field := range refusal.Fields() {
		lines = append(lines, "- "+field.Problem)
	}
	return errs.New(refusal.Reason(), "%s", strings.Join(lines, "\n"))
}
