package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) eventCommand() *cobra.Command {
	return a.client("event", "Publish events and look at the log of them",
		`The log holds the CloudEvents that runs publish and those that come from outside, in the order in which they were committed. They start runs
(triggers) and end waits (wait_event).`,
		a.eventPublish, a.eventList, a.eventWatch)
}

func (s *suite) events() statev1.EventServiceClient {
	return statev1.NewEventServiceClient(s.conn("state"))
}

func (a *App) eventPublish(s *suite) *cobra.Command {
	var (
		data  valueFlags
		event workflowv1.EmittedEvent
	)
	cmd := &cobra.Command{
		Use:   "publish TYPE",
		Short: "Publish an event from outside",
		Long: `Publishes a CloudEvent; it is durable once this command says so. One with the same --source and --id is published once, however often it
is sent. Input for one run alone is a signal: see run signal.`,
		Example: `  signalbox event publish com.example.order.paid -f order_id=1001 -f amount:=90.5
  signalbox event publish com.example.order.paid --id payment-17 --source bank/eu --data-file payment.json`,
		Args: Exactly("TYPE"),
	}
	data.bind(cmd.Flags(), "data", "the event's data")
	cmd.Flags().StringVar(&event.Id, "id", "", "the event's `id` (default: a new one)")
	cmd.Flags().StringVar(&event.Source, "source", "", "the event's `source` (default: signalbox/cli/USER)")
	cmd.Flags().StringVar(&event.Subject, "subject", "", "the event's `subject`, as the resource that it is about")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		raw, err := data.read(cmd, a.In)
		if err != nil {
			return err
		}
		if args[0] == "" {
			return misuse(cmd, "TYPE is empty")
		}
		event.Type, event.Id, event.Source = args[0], cmp.Or(event.Id, uuid.NewString()), cmp.Or(event.Source, "signalbox/cli/"+userName())
		if len(raw) > 0 {
			event.Data = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: raw}}
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.events().PublishEvent(ctx, &statev1.PublishEventRequest{Namespace: s.namespace(), Event: &event})
		if err != nil {
			return err
		}
		return a.say(response, func() string {
			if response.GetPublished() {
				return fmt.Sprintf("event %s published as %d", event.GetId(), response.GetPosition())
			}
			return fmt.Sprintf("event %s was published before, as %d", event.GetId(), response.GetPosition())
		})
	})
	return cmd
}

// userName is who runs the command, as far as that is known.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "unknown")
}

func (a *App) eventList(s *suite) *cobra.Command {
	var (
		page    pageFlags
		request statev1.ListEventsRequest
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List events, oldest first",
		Long:    "Lists the log of events, oldest first. The token that it prints goes on from there, now or when more events have come.",
		Example: "  signalbox event list\n  signalbox event list --type com.example.order.paid --since-run 0198c7d2-1f3e-7a44",
		Args:    Exactly(),
	}
	cmd.Flags().StringSliceVar(&request.Types, "type", nil, "only events of this `type`; may be repeated")
	cmd.Flags().StringVar(&request.SinceRunId, "since-run", "", "only events that came after the start of this `run`")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request.Namespace, request.PageSize, request.PageToken = s.namespace(), page.size, page.token
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.events().ListEvents(ctx, &request)
		if err != nil {
			return err
		}
		if token := response.GetNextPageToken(); token != "" {
			// There is a token after the last event too: what comes later is found with it.
			defer a.output.Note("go on from here, now or later: --page-token %s", token)
		}
		return a.table(response, "no events", []string{"position", "time", "type", "source", "subject", "run", "data"}, func() [][]string {
			var rows [][]string
			for _, e := range response.GetEvents() {
				rows = append(rows, append([]string{fmt.Sprint(e.GetPosition()), e.GetTime().AsTime().Format("2006-01-02T15:04:05Z")}, eventCells(e)...))
			}
			return rows
		})
	})
	return cmd
}

func eventCells(e *statev1.PublishedEvent) []string {
	return []string{e.GetEvent().GetType(), e.GetEvent().GetSource(), e.GetEvent().GetSubject(), e.GetRunId(), render.Payload(e.GetEvent().GetData())}
}

func (a *App) eventWatch(s *suite) *cobra.Command {
	var (
		request   statev1.WatchEventsRequest
		fromStart bool
		most      int
	)
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print events as they are published",
		Long: `Prints one line for each event that is published from now on, until it is interrupted. It outlives a restart of the suite and leaves no
event out. With -o json each event is a line of JSON; its cursor is what --after takes to go on later. --namespace "*" watches all.`,
		Example: `  signalbox event watch
  signalbox event watch --type com.example.order.paid --from-start -o json
  signalbox event watch --after 1042 --count 1`,
		Args: Exactly(),
	}
	cmd.Flags().StringSliceVar(&request.Types, "type", nil, "only events of this `type`; may be repeated")
	cmd.Flags().Uint64Var(&request.AfterCursor, "after", 0, "begin after this `cursor`")
	cmd.Flags().BoolVar(&fromStart, "from-start", false, "begin with the oldest event of the log")
	cmd.Flags().IntVar(&most, "count", 0, "end after so many events (0: go on)")
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		after := cmd.Flags().Changed("after")
		if after && fromStart {
			return misuse(cmd, "--after and --from-start are both given; keep one")
		}
		if most < 0 {
			return misuse(cmd, "--count is %d; give how many events, or leave it out", most)
		}
		request.Namespace, request.OnlyNew = s.namespace(), !after && !fromStart
		w := &eventWatcher{app: a, suite: s, contact: newContact(a, s), request: &request, most: most}
		for {
			err := w.follow(ctx)
			if w.over() {
				return nil
			}
			if err = w.contact.lost(ctx, err); err != nil {
				return err
			}
		}
	})
	return cmd
}

// eventWatcher is what a command has seen of the log so far.
type eventWatcher struct {
	app     *App
	suite   *suite
	contact *contact
	request *statev1.WatchEventsRequest
	seen    int
	most    int
}

func (w *eventWatcher) over() bool { return w.most > 0 && w.seen >= w.most }

// follow reads one stream until it ends, or enough was seen.
func (w *eventWatcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.suite.events().WatchEvents(ctx, w.request)
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
		if news.GetGap() {
			w.app.output.Note("%s", w.app.output.Styled(cli.Warn, "older events are missing here: they were kept no longer"))
		}
		for _, e := range news.GetEvents() {
			if err := w.tell(e); err != nil {
				return err
			}
			if w.over() {
				return nil
			}
		}
		w.goOn(news.GetCursor())
	}
}

// goOn has the next stream begin after a cursor. That of an empty log is 0; then too, what comes meanwhile is not to be left out.
func (w *eventWatcher) goOn(cursor uint64) { w.request.AfterCursor, w.request.OnlyNew = cursor, false }

func (w *eventWatcher) tell(e *statev1.PublishedEvent) error {
	w.seen++
	w.goOn(e.GetCursor())
	return w.app.output.Line(render.Document(e), func() []string {
		cells := []string{
			w.app.output.Styled(cli.Dim, fmt.Sprintf("%6d", e.GetCursor())), w.app.output.Styled(cli.Dim, e.GetTime().AsTime().Format("15:04:05.000")),
		}
		if w.request.GetNamespace() == "*" {
			cells = append(cells, e.GetNamespace())
		}
		for _, cell := range eventCells(e) {
			if cell != "" {
				cells = append(cells, cell)
			}
		}
		return cells
	})
}
