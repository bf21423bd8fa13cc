package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (s *suite) archive() statev1.ArchiveServiceClient {
	return statev1.NewArchiveServiceClient(s.conn("state"))
}

func (a *App) runArchive(s *suite) *cobra.Command {
	return group("archive", "Move ended runs out of the way, and look at them there",
		`An archived run is a file of its own with everything that the store had of it: head, history, ledger, escalations and large values. The store no
longer has it. All runs of its tree must have ended: sub-workflows, and forks.`,
		a.archivePut(s), a.archiveList(s), a.archiveShow(s))
}

func (a *App) archivePut(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:   "put RUN…",
		Short: "Move ended runs to the archive",
		Long: `Moves ended runs to the archive and removes them from the store. Repeated, it answers the same. A run for which it is refused keeps none
of the others back; it is told, and ends the command with the exit code of the first such.`,
		Example: `  signalbox run archive put 0198c7d2-1f3e-7a44
  signalbox run list --filter 'status = ENDED AND update_time < "2026-01-01T00:00:00Z"' -o json | jq -r '.runs[].id' | xargs signalbox run archive put`,
		Args: some("RUN"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			exit := cli.ExitOK
			for _, id := range args {
				err := a.archiveRun(ctx, s, id)
				switch code := cli.ExitCode(err); code {
				case cli.ExitOK:
				case cli.ExitNotFound, cli.ExitRefused:
					exit = cmp.Or(exit, a.output.Fail(err))
				default:
					return err
				}
			}
			if exit == cli.ExitOK {
				return nil
			}
			return cli.WithExit(exit, nil)
		}),
	}
}

func (a *App) archiveRun(ctx context.Context, s *suite, id string) error {
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.archive().ArchiveRun(ctx, &statev1.ArchiveRunRequest{Namespace: s.namespace(), RunId: id})
	if err != nil {
		return err
	}
	archived := response.GetArchived()
	return a.output.Line(render.Document(archived), func() []string {
		return []string{fmt.Sprintf("%s is archived: %s in %s", archived.GetRunId(), count(int(archived.GetEvents()), "event"), render.Size(archived.GetSizeBytes()))}
	})
}

func (a *App) archiveList(s *suite) *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:     "list [WORKFLOW]",
		Short:   "List archived runs, newest end first",
		Example: "  signalbox run archive list\n  signalbox run archive list order-saga",
		Args:    between(0, "WORKFLOW"),
	}
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		request := &statev1.ListArchivedRunsRequest{Namespace: s.namespace(), PageSize: page.size, PageToken: page.token}
		if len(args) > 0 {
			request.Workflow = args[0]
		}
		return list(ctx, s, s.archive().ListArchivedRuns, request, listing[*statev1.ListArchivedRunsResponse, *statev1.ArchivedRun]{
			none: "no archived runs", columns: []string{"run", "workflow", "outcome", "ended", "archived", "events", "size"},
			entries: (*statev1.ListArchivedRunsResponse).GetRuns, row: a.archivedRow,
		})
	})
	return cmd
}

func (a *App) archivedRow(r *statev1.ArchivedRun) []string {
	now := a.Clock.Now()
	return []string{
		r.GetRunId(), r.GetWorkflow() + "@" + r.GetVersion(), render.Name(r.GetOutcome()), render.Moment(r.GetEndTime(), now),
		render.Moment(r.GetArchiveTime(), now), fmt.Sprint(r.GetEvents()), render.Size(r.GetSizeBytes()),
	}
}

func (a *App) archiveShow(s *suite) *cobra.Command {
	history := false
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show an archived run",
		Long: `Shows an archived run as run get does; with --history its events as run history does. With -o json each part of the archive is a line: the
head first, then events, ledger and escalations.`,
		Example: "  signalbox run archive show 0198c7d2-1f3e-7a44\n  signalbox run archive show 0198c7d2-1f3e-7a44 --history",
		Args:    Exactly("RUN"),
	}
	cmd.Flags().BoolVar(&history, "history", false, "print the events")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := s.archive().GetArchivedRun(ctx, &statev1.GetArchivedRunRequest{Namespace: s.namespace(), RunId: args[0]})
		if err != nil {
			return err
		}
		narrator := render.NewNarrator()
		for {
			part, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := a.archivedPart(part, narrator, history); err != nil {
				return err
			}
			if !history && !a.output.JSON() {
				return nil // the head is all that is shown
			}
		}
	})
	return cmd
}

func (a *App) archivedPart(part *statev1.GetArchivedRunResponse, narrator *render.Narrator, history bool) error {
	if a.output.JSON() {
		return a.output.Line(render.Document(part), nil)
	}
	if run := part.GetRun(); run != nil && !history {
		pairs := render.Run(run, a.Clock.Now())
		if at := part.GetArchived().GetArchiveTime(); at != nil {
			pairs = append(pairs, render.Pair{Key: "Archived", Value: render.Moment(at, a.Clock.Now()) + ", " + render.Size(part.GetArchived().GetSizeBytes())})
		}
		_, err := fmt.Fprint(a.Out, sheet(pairs))
		return err
	}
	for _, event := range part.GetEvents() {
		if err := a.event(narrator, event); err != nil {
			return err
		}
	}
	return nil
}
