package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) breakerCommand() *cobra.Command {
	return a.client("breaker", "See which tool servers are cut off, and why",
		"A breaker opens when too many calls of a tool server fail; while it is open no call is sent. Then a few are tried.",
		a.breakerList)
}

func (a *App) breakerList(s *suite) *cobra.Command {
	var page pageFlags
	troubled := false
	cmd := &cobra.Command{
		Use:     "list [SERVER]",
		Short:   "List breakers; one that is not listed is closed",
		Example: "  signalbox breaker list\n  signalbox breaker list --troubled",
		Args:    between(0, "SERVER"),
	}
	cmd.Flags().BoolVar(&troubled, "troubled", false, "only those that are not closed, or are forced")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		request := &recoveryv1.ListBreakersRequest{OnlyTroubled: troubled, PageSize: page.size, PageToken: page.token}
		if len(args) > 0 {
			request.Server = args[0]
		}
		return list(ctx, s, recoveryv1.NewRecoveryServiceClient(s.conn("recovery")).ListBreakers, request, listing[*recoveryv1.ListBreakersResponse, *recoveryv1.Breaker]{
			none: "all breakers are closed", columns: []string{"breaker", "state", "failures", "since", "opens to trials", "why it opened last"},
			entries: (*recoveryv1.ListBreakersResponse).GetBreakers, row: a.breakerRow,
		})
	})
	return cmd
}

func (a *App) breakerRow(b *recoveryv1.Breaker) []string {
	name := b.GetRef().GetServer()
	if b.GetRef().GetName() != "" {
		name = fmt.Sprintf("%s (%s of %s)", name, b.GetRef().GetName(), b.GetRef().GetNamespace())
	}
	style := cli.Good
	switch b.GetState() {
	case recoveryv1.BreakerState_BREAKER_STATE_OPEN:
		style = cli.Bad
	case recoveryv1.BreakerState_BREAKER_STATE_HALF_OPEN:
		style = cli.Warn
	}
	state := render.Name(b.GetState())
	if b.GetForcedUntil() != nil {
		state += " (forced: " + b.GetForceReason() + ")"
	}
	now := a.Clock.Now()
	since, retry := "", ""
	if b.GetSince() != nil {
		since = render.Ago(b.GetSince().AsTime(), now)
	}
	if b.GetRetryAt() != nil {
		retry = render.Ago(b.GetRetryAt().AsTime(), now)
	}
	return []string{name, a.output.Styled(style, state), fmt.Sprintf("%d of %d", b.GetFailures(), b.GetCalls()), since, retry, b.GetCause()}
}
