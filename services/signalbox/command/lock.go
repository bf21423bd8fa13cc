package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) lockCommand() *cobra.Command {
	return a.client("lock", "See who holds locks and who waits for them",
		"Runs lock the resources that they write. A lock has no lease: it stays until its run gives it back, through every crash.",
		a.lockList)
}

func (a *App) lockList(s *suite) *cobra.Command {
	var page pageFlags
	run := ""
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List locks that are held or waited for",
		Example: "  signalbox lock list\n  signalbox lock list --run 0198c7d2-1f3e-7a44",
		Args:    Exactly(),
	}
	cmd.Flags().StringVar(&run, "run", "", "only those of this `run`")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request := &lockv1.ListRequest{Namespace: s.namespace(), RunId: run, PageSize: page.size, PageToken: page.token}
		return list(ctx, s, lockv1.NewLockServiceClient(s.conn("lock")).List, request, listing[*lockv1.ListResponse, *lockv1.Acquisition]{
			none: "no locks", columns: []string{"key", "mode", "status", "run", "since", "token"},
			entries: (*lockv1.ListResponse).GetAcquisitions, row: a.lockRow,
		})
	})
	return cmd
}

func (a *App) lockRow(acquisition *lockv1.Acquisition) []string {
	var keys, modes []string
	for _, claim := range acquisition.GetLocks() {
		mode := render.Name(claim.GetMode())
		if mode == "" {
			mode = "EXCLUSIVE"
		}
		keys, modes = append(keys, claim.GetKey()), append(modes, mode)
	}
	status := a.output.Styled(cli.Good, render.Name(acquisition.GetState()))
	if acquisition.GetState() == lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED {
		status = a.output.Styled(cli.Warn, fmt.Sprintf("QUEUED behind %d", acquisition.GetPosition()))
	}
	since := ""
	if acquisition.GetRequestedAt() != nil {
		since = render.Ago(acquisition.GetRequestedAt().AsTime(), a.Clock.Now())
	}
	return []string{
		strings.Join(keys, ", "), strings.Join(modes, ", "), status, acquisition.GetOwner().GetRunId(), since, acquisition.GetToken().GetValue(),
	}
}
