package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) scheduleCommand() *cobra.Command {
	return a.client("schedule", "Start runs at set times",
		"A schedule starts runs of a workflow by cron or at an interval. Each time has one run, whatever crashes in between.",
		a.schedulePut, a.scheduleList, a.scheduleShow, a.schedulePause, a.scheduleResume, a.scheduleDelete, a.scheduleBackfill)
}

func (s *suite) schedules() schedulerv1.ScheduleServiceClient {
	return schedulerv1.NewScheduleServiceClient(s.conn("scheduler"))
}

// overlaps are the overlap policies as the command line spells them.
var overlaps = map[string]schedulerv1.OverlapPolicy{
	"skip": schedulerv1.OverlapPolicy_OVERLAP_POLICY_SKIP, "buffer-one": schedulerv1.OverlapPolicy_OVERLAP_POLICY_BUFFER_ONE,
	"cancel-other": schedulerv1.OverlapPolicy_OVERLAP_POLICY_CANCEL_OTHER, "allow-all": schedulerv1.OverlapPolicy_OVERLAP_POLICY_ALLOW_ALL,
}

// scheduleFlags are a schedule as flags.
type scheduleFlags struct {
	input                  valueFlags
	cron, zone, overlap    string
	start, end             string
	every, jitter, catchUp time.Duration
	paused                 bool
}

func (f *scheduleFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.input.bind(flags, "input", "the runs' input")
	flags.StringVar(&f.cron, "cron", "", "when, as five `fields`: minute, hour, day of month, month, day of week; or @daily and the like")
	flags.DurationVar(&f.every, "every", 0, "when, as an `interval` of at least 1s, from the creation on")
	flags.StringVar(&f.zone, "time-zone", "", "time `zone` of --cron, as Europe/Berlin (default: UTC)")
	flags.StringVar(&f.overlap, "overlap", "", "`what` happens while an earlier run has not ended: skip, buffer-one, cancel-other, allow-all (default: skip)")
	flags.DurationVar(&f.jitter, "jitter", 0, "put each start off by up to this `time`")
	flags.DurationVar(&f.catchUp, "catch-up", 0, "how `late` a missed time is still caught up (default: 1m)")
	flags.StringVar(&f.start, "start", "", "first `moment` at which it starts anything, as 2026-01-31 or 2026-01-31T12:00:00Z")
	flags.StringVar(&f.end, "end", "", "last `moment` at which it starts anything")
	flags.BoolVar(&f.paused, "paused", false, "let it start nothing for now")
}

func (a *App) schedulePut(s *suite) *cobra.Command {
	var flags scheduleFlags
	cmd := &cobra.Command{
		Use:   "put SCHEDULE WORKFLOW[@VERSION]",
		Short: "Create a schedule, or change the one of that name",
		Long: `Creates a schedule, or replaces the one of that name by what is given: what is left out gets its default. Without a version each run is of
the highest at its time.`,
		Example: `  signalbox schedule put nightly-report report --cron '0 2 * * *' --time-zone Europe/Berlin
  signalbox schedule put poll import@1.2.0 --every 5m --overlap buffer-one --jitter 30s -f source=crm`,
		Args: Exactly("SCHEDULE", "WORKFLOW"),
	}
	flags.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		schedule, err := flags.schedule(cmd, a, s.namespace(), args[0], args[1])
		if err != nil {
			return err
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.schedules().PutSchedule(ctx, &schedulerv1.PutScheduleRequest{Schedule: schedule, RequestId: uuid.NewString()})
		if err != nil {
			return err
		}
		return a.say(response, func() string {
			did := "changed"
			if response.GetCreated() {
				did = "created"
			}
			return fmt.Sprintf("schedule %s %s%s", args[0], did, nextTime(response.GetSchedule()))
		})
	})
	return cmd
}

// nextTime tells when a schedule starts its next run.
func nextTime(info *schedulerv1.ScheduleInfo) string {
	switch {
	case info.GetSchedule().GetPaused():
		return "; it is paused"
	case len(info.GetNextTimes()) == 0:
		return "; it has no time to come"
	default:
		return "; its next time is " + info.GetNextTimes()[0].AsTime().Format(time.RFC3339)
	}
}

// schedule makes the schedule of the flags, and refuses what cannot be one.
func (f *scheduleFlags) schedule(cmd *cobra.Command, a *App, namespace, id, workflow string) (*schedulerv1.Schedule, error) {
	name, version, err := nameAndVersion(workflow)
	if err != nil {
		return nil, err
	}
	out := &schedulerv1.Schedule{Namespace: namespace, Id: id, Workflow: name, Version: version, TimeZone: f.zone, Paused: f.paused}
	if out.Input, err = f.input.read(cmd, a.In); err != nil {
		return nil, err
	}
	switch {
	case f.cron != "" && f.every != 0:
		return nil, misuse(cmd, "--cron and --every are both given; keep one")
	case f.cron != "":
		if err := checkCron(f.cron); err != nil {
			return nil, err
		}
		out.When = &schedulerv1.Schedule_Cron{Cron: f.cron}
	case f.every >= time.Second:
		out.When = &schedulerv1.Schedule_Interval{Interval: durationpb.New(f.every)}
	case cmd.Flags().Changed("every"):
		return nil, errs.Invalid("every", "%v is less than 1s", f.every)
	default:
		return nil, misuse(cmd, "when it starts runs is missing; give --cron or --every")
	}
	if f.zone != "" && f.cron == "" {
		return nil, misuse(cmd, "--time-zone is for --cron; an interval has none")
	}
	var ok bool
	if out.Overlap, ok = overlaps[f.overlap]; !ok && f.overlap != "" {
		names := sortedKeys(overlaps)
		return nil, errs.Invalid("overlap", "%q is none of %s%s", f.overlap, strings.Join(names, ", "), nearest.Hint(f.overlap, names))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		to    **durationpb.Duration
	}{{"jitter", f.jitter, &out.Jitter}, {"catch-up", f.catchUp, &out.CatchUp}} {
		if d.value < 0 {
			return nil, errs.Invalid(d.name, "%v is negative", d.value)
		}
		if cmd.Flags().Changed(d.name) {
			*d.to = durationpb.New(d.value)
		}
	}
	if out.StartTime, err = moment("start", f.start); err != nil {
		return nil, err
	}
	out.EndTime, err = moment("end", f.end)
	return out, err
}

// checkCron refuses what has not the form of a cron expression. What the fields may hold, the service knows.
func checkCron(cron string) error {
	if strings.HasPrefix(cron, "@") {
		return nil
	}
	if n := len(strings.Fields(cron)); n != 5 {
		return errs.Invalid("cron", "%q has %s, and five are wanted: minute, hour, day of month, month, day of week, as in '0 2 * * *' for 2 o'clock every day", cron, count(n, "field"))
	}
	return nil
}

// moment reads a date, or a time in RFC 3339; nil for none.
func moment(name, text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, errs.Invalid(name, "%q is no moment; give a date as 2026-01-31 (its beginning in UTC), or a time as 2026-01-31T12:00:00Z", text)
}

func (a *App) scheduleList(s *suite) *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List schedules by name",
		Example: "  signalbox schedule list",
		Args:    Exactly(),
	}
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request := &schedulerv1.ListSchedulesRequest{Namespace: s.namespace(), PageSize: page.size, PageToken: page.token}
		return list(ctx, s, s.schedules().ListSchedules, request, listing[*schedulerv1.ListSchedulesResponse, *schedulerv1.ScheduleInfo]{
			none:    "no schedules; create one with `signalbox schedule put`",
			columns: []string{"schedule", "workflow", "when", "next", "last", "skipped", "missed", "last error"},
			entries: (*schedulerv1.ListSchedulesResponse).GetSchedules, row: a.scheduleRow,
		})
	})
	return cmd
}

func (a *App) scheduleRow(info *schedulerv1.ScheduleInfo) []string {
	now, next, last := a.Clock.Now(), "", ""
	switch {
	case info.GetSchedule().GetPaused():
		next = "paused"
	case len(info.GetNextTimes()) > 0:
		next = render.Moment(info.GetNextTimes()[0], now)
	}
	if len(info.GetRecent()) > 0 {
		last = render.Ago(info.GetRecent()[0].GetScheduleTime().AsTime(), now)
	}
	return []string{
		info.GetSchedule().GetId(), scheduledWorkflow(info.GetSchedule()), scheduledWhen(info.GetSchedule()), next, last,
		fmt.Sprint(info.GetSkipped()), fmt.Sprint(info.GetMissed()), info.GetLastError(),
	}
}

func scheduledWorkflow(s *schedulerv1.Schedule) string {
	if s.GetVersion() == "" {
		return s.GetWorkflow()
	}
	return s.GetWorkflow() + "@" + s.GetVersion()
}

func scheduledWhen(s *schedulerv1.Schedule) string {
	if s.GetInterval() != nil {
		return "every " + render.Duration(s.GetInterval().AsDuration())
	}
	if s.GetTimeZone() == "" {
		return s.GetCron()
	}
	return s.GetCron() + " " + s.GetTimeZone()
}

func (a *App) scheduleShow(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "show SCHEDULE",
		Short:   "Show a schedule, its next times and its last runs",
		Example: "  signalbox schedule show nightly-report",
		Args:    Exactly("SCHEDULE"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.schedules().GetSchedule(ctx, &schedulerv1.GetScheduleRequest{Namespace: s.namespace(), Id: args[0]})
			if err != nil {
				return err
			}
			return a.say(response.GetSchedule(), func() string { return a.scheduleSheet(response.GetSchedule()) })
		}),
	}
}

func (a *App) scheduleSheet(info *schedulerv1.ScheduleInfo) string {
	s, now := info.GetSchedule(), a.Clock.Now()
	pairs := []render.Pair{
		{Key: "Schedule", Value: s.GetId()}, {Key: "Workflow", Value: scheduledWorkflow(s)}, {Key: "When", Value: scheduledWhen(s)},
		{Key: "Overlap", Value: strings.ToLower(strings.ReplaceAll(render.Name(s.GetOverlap()), "_", "-"))}, {Key: "Input", Value: render.Preview(s.GetInput(), 0)},
		{Key: "Created", Value: render.Moment(info.GetCreateTime(), now)}, {Key: "Starts", Value: render.Moment(s.GetStartTime(), now)},
		{Key: "Ends", Value: render.Moment(s.GetEndTime(), now)},
	}
	if s.GetPaused() {
		pairs = append(pairs, render.Pair{Key: "State", Value: "paused"})
	}
	for _, d := range []struct {
		key   string
		value *durationpb.Duration
	}{{"Jitter", s.GetJitter()}, {"Catch-up", s.GetCatchUp()}} {
		if d.value != nil {
			pairs = append(pairs, render.Pair{Key: d.key, Value: render.Duration(d.value.AsDuration())})
		}
	}
	for _, t := range info.GetNextTimes() {
		pairs = append(pairs, render.Pair{Key: "Next", Value: render.Moment(t, now)})
	}
	for _, r := range info.GetRecent() {
		pairs = append(pairs, render.Pair{Key: "Run", Value: fmt.Sprintf("%s for %s", r.GetRunId(), render.Moment(r.GetScheduleTime(), now))})
	}
	if info.GetSkipped() > 0 {
		pairs = append(pairs, render.Pair{Key: "Skipped", Value: count(int(info.GetSkipped()), "time") + ", because an earlier run had not ended"})
	}
	if info.GetMissed() > 0 {
		pairs = append(pairs, render.Pair{Key: "Missed", Value: count(int(info.GetMissed()), "time")})
	}
	pairs = append(pairs, render.Pair{Key: "Last error", Value: render.Clean(info.GetLastError())})
	return sheet(withValues(pairs))
}

func (a *App) schedulePause(s *suite) *cobra.Command {
	return a.scheduleStanding(s, "pause", "Let a schedule start nothing until it is resumed", true)
}

func (a *App) scheduleResume(s *suite) *cobra.Command {
	return a.scheduleStanding(s, "resume", "Let a paused schedule go on with its next time", false)
}

func (a *App) scheduleStanding(s *suite, name, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use:     name + " SCHEDULE",
		Short:   short,
		Example: "  signalbox schedule " + name + " nightly-report",
		Args:    Exactly("SCHEDULE"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.schedules().PauseSchedule(ctx, &schedulerv1.PauseScheduleRequest{Namespace: s.namespace(), Id: args[0], Paused: paused, RequestId: uuid.NewString()})
			if err != nil {
				return err
			}
			return a.say(response.GetSchedule(), func() string {
				if paused {
					return fmt.Sprintf("schedule %s is paused", args[0])
				}
				return fmt.Sprintf("schedule %s goes on%s", args[0], nextTime(response.GetSchedule()))
			})
		}),
	}
}

func (a *App) scheduleDelete(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "delete SCHEDULE",
		Short:   "Remove a schedule; its runs go on",
		Example: "  signalbox schedule delete nightly-report",
		Args:    Exactly("SCHEDULE"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.schedules().DeleteSchedule(ctx, &schedulerv1.DeleteScheduleRequest{Namespace: s.namespace(), Id: args[0], RequestId: uuid.NewString()})
			if err != nil {
				return err
			}
			return a.say(response, func() string { return fmt.Sprintf("schedule %s is removed", args[0]) })
		}),
	}
}

func (a *App) scheduleBackfill(s *suite) *cobra.Command {
	from, to := "", ""
	cmd := &cobra.Command{
		Use:   "backfill SCHEDULE",
		Short: "Start the runs of past times",
		Long:  "Starts the runs of past times, from --from to before --to. A time that has its run already starts none again.",
		Example: `  signalbox schedule backfill nightly-report --from 2026-01-01 --to 2026-02-01
  signalbox schedule backfill poll --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z`,
		Args: Exactly("SCHEDULE"),
	}
	cmd.Flags().StringVar(&from, "from", "", "first `moment`, included, as 2026-01-31 or 2026-01-31T12:00:00Z")
	cmd.Flags().StringVar(&to, "to", "", "last `moment`, not included")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		if from == "" || to == "" {
			return misuse(cmd, "--from and --to are both wanted")
		}
		request := &schedulerv1.BackfillScheduleRequest{Namespace: s.namespace(), Id: args[0], RequestId: uuid.NewString()}
		var err error
		if request.From, err = moment("from", from); err != nil {
			return err
		}
		if request.To, err = moment("to", to); err != nil {
			return err
		}
		if !request.GetFrom().AsTime().Before(request.GetTo().AsTime()) {
			return errs.Invalid("to", "%s is not after --from %s", to, from)
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.schedules().BackfillSchedule(ctx, request)
		if err != nil {
			return err
		}
		defer a.output.Note("%s started, %d had been before", count(int(response.GetStarted()), "run"), len(response.GetRuns())-int(response.GetStarted()))
		return a.table(response, "the schedule has no time in between", []string{"time", "run"}, func() [][]string {
			var rows [][]string
			for _, r := range response.GetRuns() {
				rows = append(rows, []string{r.GetScheduleTime().AsTime().Format(time.RFC3339), r.GetRunId()})
			}
			return rows
		})
	})
	return cmd
}
