package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) runWatch(s *suite) *cobra.Command {
	var wait waitFlags
	from := uint64(1)
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "Follow a run event by event until it has ended",
		Long: `Prints one line for each event: when, in which state and step, and what happened; then how the run ended. It outlives a restart of
the suite. With -o json each event is a line of JSON.

Exit code 0: the run ended as its author planned; 6: it did not; 7: the time in --for was over first.`,
		Example: "  signalbox run watch 0198c7d2-1f3e-7a44\n  signalbox run watch 0198c7d2-1f3e-7a44 --from 12 --for 1m",
		Args:    Exactly("RUN"),
	}
	cmd.Flags().Uint64Var(&from, "from", 1, "first event, by its `sequence`")
	wait.bindPatience(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		return a.watchRun(ctx, s, args[0], from, wait.patience)
	})
	return cmd
}

func (a *App) runWait(s *suite) *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:     "wait RUN",
		Short:   "Wait until a run has ended, and print its result",
		Long:    "Waits until a run has ended, and prints how and its result. The exit codes are those of run watch.",
		Example: "  signalbox run wait 0198c7d2-1f3e-7a44 --for 5m",
		Args:    Exactly("RUN"),
	}
	wait.bindPatience(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		return a.waitRun(ctx, s, args[0], wait.patience, planned)
	})
	return cmd
}

// watchRun prints the events of a run as they happen, and at last how it ended.
func (a *App) watchRun(ctx context.Context, s *suite, runID string, from uint64, patience time.Duration) error {
	ctx, cancel := a.withPatience(ctx, patience)
	defer cancel()
	watch := &watch{app: a, suite: s, narrator: render.NewNarrator(), contact: newContact(a, s), next: from}
	for {
		err := watch.follow(ctx, runID)
		if watch.ended() {
			return watch.epilogue()
		}
		if err = watch.contact.lost(ctx, err); err != nil {
			return gaveUp(ctx, runID, patience, err)
		}
	}
}

// watch is what a command has seen of a run so far.
type watch struct {
	app      *App
	suite    *suite
	narrator *render.Narrator
	contact  *contact
	next     uint64 // sequence of the first event not seen
	last     *workflowv1.Run
	result   *workflowv1.Payload
}

func (w *watch) ended() bool { return w.last.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED }

// follow reads one stream until it ends; it never returns nil.
func (w *watch) follow(ctx context.Context, runID string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.suite.runs().WatchRun(ctx, &statev1.WatchRunRequest{Namespace: w.suite.namespace(), RunId: runID, FromSequence: w.next})
	if err != nil {
		return err
	}
	for {
		news, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errEnded
		}
		if err != nil {
			return err
		}
		w.contact.made()
		for _, event := range news.GetEvents() {
			if err := w.tell(event); err != nil {
				return err
			}
		}
		if news.GetRun() != nil {
			w.last = news.GetRun()
		}
	}
}

// errEnded is the end of a stream of which more is to come; that is the server's way to hang up.
var errEnded = errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the server ended the stream")

func (w *watch) tell(event *workflowv1.HistoryEvent) error {
	if ended := event.GetRunEnded(); ended != nil {
		w.result = ended.GetResult()
	}
	w.next = event.GetSequence() + 1
	return w.app.event(w.narrator, event)
}

// event prints one event.
func (a *App) event(narrator *render.Narrator, event *workflowv1.HistoryEvent) error {
	line := narrator.Tell(event)
	return a.output.Line(render.Document(event), func() []string { return a.eventCells(line) })
}

// eventCells are time, state, step and what happened. The columns are as wide as most names are, since later ones are not known yet.
func (a *App) eventCells(line render.Line) []string {
	style, told := map[render.Tone]cli.Style{render.Good: cli.Good, render.Bad: cli.Bad, render.Asks: cli.Warn}[line.Tone]
	if told {
		line.What = a.output.Styled(style, line.What)
	}
	return []string{
		a.output.Styled(cli.Dim, fmt.Sprintf("%4d", line.Sequence)), a.output.Styled(cli.Dim, line.Time.Format("15:04:05.000")),
		fmt.Sprintf("%-12s", line.State), fmt.Sprintf("%-14s", line.Step), line.What,
	}
}

// epilogue prints how the run ended.
func (w *watch) epilogue() error {
	if !w.app.output.JSON() {
		if _, err := fmt.Fprintln(w.app.Out, w.app.endLine(w.last, render.Payload(w.result))); err != nil {
			return err
		}
	}
	if !planned(w.last) {
		return cli.WithExit(cli.ExitRunFailed, nil)
	}
	return nil
}

func (a *App) runHistory(s *suite) *cobra.Command {
	var from uint64
	cmd := &cobra.Command{
		Use:   "history RUN",
		Short: "Print the events of a run so far",
		Long:  "Prints every event of a run so far, one line each. With -o json each event is a line of JSON with everything it holds.",
		Example: `  signalbox run history 0198c7d2-1f3e-7a44
  signalbox run history 0198c7d2-1f3e-7a44 -o json | jq 'select(.step_completed)'`,
		Args: Exactly("RUN"),
	}
	cmd.Flags().Uint64Var(&from, "from", 1, "first event, by its `sequence`")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		request := &statev1.ListHistoryRequest{Namespace: s.namespace(), RunId: args[0], FromSequence: from}
		narrator := render.NewNarrator()
		for {
			page, err := s.historyPage(ctx, request)
			if err != nil {
				return err
			}
			for _, event := range page.GetEvents() {
				if err := a.event(narrator, event); err != nil {
					return err
				}
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				return nil
			}
		}
	})
	return cmd
}

func (s *suite) historyPage(ctx context.Context, request *statev1.ListHistoryRequest) (*statev1.ListHistoryResponse, error) {
	ctx, cancel := s.brief(ctx)
	defer cancel()
	return s.runs().ListHistory(ctx, request)
}
