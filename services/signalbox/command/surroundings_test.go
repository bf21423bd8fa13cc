package command_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestSchedulePut(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("PutSchedule", &schedulerv1.PutScheduleResponse{Created: true, Schedule: &schedulerv1.ScheduleInfo{NextTimes: []*timestamppb.Timestamp{at(time.Hour)}}})
	term.to(suite, "schedule", "put", "nightly", "report@1.2.0", "--cron", "0 2 * * *", "--time-zone", "Europe/Berlin", "--overlap", "buffer-one", "--catch-up", "1h",
		"--start", "2026-01-31", "--end", "2026-02-28T12:00:00+01:00", "-f", "a=b").want(t, 0, "schedule nightly created; its next time is 2026-11-22T13:00:00Z")
	s := got[*schedulerv1.PutScheduleRequest](t, suite).GetSchedule()
	if s.GetId() != "nightly" || s.GetWorkflow() != "report" || s.GetVersion() != "1.2.0" || s.GetCron() != "0 2 * * *" || s.GetTimeZone() != "Europe/Berlin" ||
		s.GetOverlap() != schedulerv1.OverlapPolicy_OVERLAP_POLICY_BUFFER_ONE || s.GetCatchUp().AsDuration() != time.Hour || s.Jitter != nil || string(s.GetInput()) != `{"a":"b"}` ||
		s.GetStartTime().AsTime().Format(time.RFC3339) != "2026-01-31T00:00:00Z" || s.GetEndTime().AsTime().Format(time.RFC3339) != "2026-02-28T11:00:00Z" {
		t.Errorf("sent: %v", s)
	}
	term.to(suite, "schedule", "put", "poll", "import", "--every", "90s", "--jitter", "0s", "--paused").want(t, 0)
	if s = got[*schedulerv1.PutScheduleRequest](t, suite).GetSchedule(); s.GetInterval().AsDuration() != 90*time.Second || s.Jitter == nil || !s.GetPaused() {
		t.Errorf("sent: %v", s)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "give --cron or --every"},
		{[]string{"--cron", "@daily", "--every", "5m"}, "--cron and --every are both given"},
		{[]string{"--cron", "0 2 * *"}, `"0 2 * *" has 4 fields, and five are wanted`},
		{[]string{"--every", "500ms"}, "500ms is less than 1s"},
		{[]string{"--every", "-5m"}, "-5m0s is less than 1s"},
		{[]string{"--every", "5m", "--time-zone", "Europe/Berlin"}, "--time-zone is for --cron"},
		{[]string{"--every", "5m", "--overlap", "skipp"}, `did you mean "skip"?`},
		{[]string{"--every", "5m", "--jitter", "-1s"}, "-1s is negative"},
		{[]string{"--every", "5m", "--start", "tomorrow"}, `"tomorrow" is no moment; give a date as 2026-01-31`},
		{[]string{"--every", "5m", "--input", "{"}, "--input is not JSON"},
		{[]string{"--every", "often"}, "--every"},
	} {
		term.to(suite, append([]string{"schedule", "put", "a", "b"}, test.args...)...).want(t, 2, test.says)
	}
	term.to(suite, "schedule", "put", "nightly", "--every", "5m").want(t, 2, "WORKFLOW is missing")
}

func TestScheduleCommands(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	info := &schedulerv1.ScheduleInfo{
		Schedule:  &schedulerv1.Schedule{Id: "nightly", Workflow: "report", When: &schedulerv1.Schedule_Cron{Cron: "@daily"}, TimeZone: "Europe/Berlin", Overlap: schedulerv1.OverlapPolicy_OVERLAP_POLICY_CANCEL_OTHER, Input: []byte(`{"a": 1}`)},
		NextTimes: []*timestamppb.Timestamp{at(time.Hour), at(25 * time.Hour)}, Recent: []*schedulerv1.ScheduledRun{{RunId: "run-1", ScheduleTime: at(-time.Hour)}}, Skipped: 2, Missed: 1, LastError: "no workflow",
	}
	suite.on("GetSchedule", &schedulerv1.GetScheduleResponse{Schedule: info})
	suite.on("ListSchedules", &schedulerv1.ListSchedulesResponse{Schedules: []*schedulerv1.ScheduleInfo{info}})
	suite.on("PauseSchedule", &schedulerv1.PauseScheduleResponse{Schedule: info})
	suite.on("DeleteSchedule", &schedulerv1.DeleteScheduleResponse{})
	term.to(suite, "schedule", "list").want(t, 0, "nightly", "@daily Europe/Berlin", "2026-11-22T13:00:00Z (in 1h)", "no workflow")
	term.to(suite, "schedule", "show", "nightly").want(t, 0, "Overlap     cancel-other", `Input       {"a":1}`, "Run         run-1 for 2026-11-22T11:00:00Z", "Skipped     2 times, because an earlier run had not ended", "Missed      1 time")
	term.to(suite, "schedule", "pause", "nightly").want(t, 0, "schedule nightly is paused")
	if !got[*schedulerv1.PauseScheduleRequest](t, suite).GetPaused() {
		t.Error("it was not paused")
	}
	term.to(suite, "schedule", "resume", "nightly").want(t, 0, "schedule nightly goes on; its next time is 2026-11-22T13:00:00Z")
	if got[*schedulerv1.PauseScheduleRequest](t, suite).GetPaused() {
		t.Error("it was not resumed")
	}
	term.to(suite, "schedule", "delete", "nightly").want(t, 0, "schedule nightly is removed")
	suite.on("DeleteSchedule", errs.New(errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND, `schedule "nightl" does not exist; did you mean "nightly"?`))
	term.to(suite, "schedule", "delete", "nightl").want(t, 3, `did you mean "nightly"?`)
}

func TestScheduleBackfill(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("BackfillSchedule", &schedulerv1.BackfillScheduleResponse{Started: 1, Runs: []*schedulerv1.ScheduledRun{{RunId: "run-1", ScheduleTime: at(0)}, {RunId: "run-2", ScheduleTime: at(time.Hour)}}})
	term.to(suite, "schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-02-01").want(t, 0, "run-1", "run-2", "1 run started, 1 had been before")
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "--from and --to are both wanted"},
		{[]string{"--from", "2026-01-01"}, "--from and --to are both wanted"},
		{[]string{"--from", "2026-01-01", "--to", "2026-01-01"}, "2026-01-01 is not after --from 2026-01-01"},
		{[]string{"--from", "yesterday", "--to", "2026-01-01"}, `"yesterday" is no moment`},
	} {
		term.to(suite, append([]string{"schedule", "backfill", "nightly"}, test.args...)...).want(t, 2, test.says)
	}
}

func published(cursor uint64, kind string) *statev1.PublishedEvent {
	return &statev1.PublishedEvent{Position: cursor, Cursor: cursor, Namespace: "default", Time: at(0), Event: &workflowv1.EmittedEvent{Id: "e", Type: kind, Source: "shop", Data: inline(`{"n":1}`)}}
}

func TestEventPublishAndList(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("PublishEvent", &statev1.PublishEventResponse{Position: 17, Published: true})
	term.to(suite, "event", "publish", "com.example.paid", "--id", "p-1", "--source", "bank", "--subject", "order/1", "-f", "amount:=9").want(t, 0, "event p-1 published as 17")
	e := got[*statev1.PublishEventRequest](t, suite).GetEvent()
	if e.GetType() != "com.example.paid" || e.GetSource() != "bank" || e.GetSubject() != "order/1" || string(e.GetData().GetInline()) != `{"amount":9}` {
		t.Errorf("sent: %v", e)
	}
	suite.on("PublishEvent", &statev1.PublishEventResponse{Position: 17})
	term.to(suite, "event", "publish", "com.example.paid").want(t, 0, "was published before, as 17")
	if e = got[*statev1.PublishEventRequest](t, suite).GetEvent(); e.GetId() == "" || !strings.HasPrefix(e.GetSource(), "signalbox/cli/") || e.Data != nil {
		t.Errorf("sent: %v", e)
	}
	term.to(suite, "event", "publish").want(t, 2, "TYPE is missing")
	term.to(suite, "event", "publish", "a", "--data", "nope").want(t, 2, "--data is not JSON")
	suite.on("ListEvents", &statev1.ListEventsResponse{Events: []*statev1.PublishedEvent{published(17, "com.example.paid")}})
	term.to(suite, "event", "list", "--type", "com.example.paid", "--since-run", "run-1").want(t, 0, "17", "com.example.paid", "shop", `{"n":1}`)
	if request := got[*statev1.ListEventsRequest](t, suite); request.GetSinceRunId() != "run-1" || len(request.GetTypes()) != 1 {
		t.Errorf("asked: %v", request)
	}
}

func TestEventWatchLeavesNoneOut(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WatchEvents", func(call int) any {
		if call == 1 {
			return &streamed{messages: []proto.Message{
				&statev1.WatchEventsResponse{Cursor: 5}, &statev1.WatchEventsResponse{Events: []*statev1.PublishedEvent{published(6, "a")}, Cursor: 6},
			}, end: errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "draining")}
		}
		return &streamed{messages: []proto.Message{&statev1.WatchEventsResponse{Gap: true, Events: []*statev1.PublishedEvent{published(7, "b"), published(8, "c"), published(9, "d")}, Cursor: 9}}}
	})
	result := term.to(suite, "event", "watch", "--count", "3")
	result.want(t, 0, "     6  12:00:00.000  a  shop", "older events are missing here", "     8  12:00:00.000  c")
	if strings.Contains(result.out, "  d  ") {
		t.Errorf("more than three:\n%s", result.out)
	}
	if request := got[*statev1.WatchEventsRequest](t, suite); request.GetAfterCursor() != 6 || request.GetOnlyNew() {
		t.Errorf("it goes on with %v", request)
	}
	term.to(suite, "event", "watch", "--after", "3", "--count", "1", "-o", "json").want(t, 0, `"cursor":"7"`)
	term.to(suite, "event", "watch", "--after", "3", "--from-start").want(t, 2, "--after and --from-start are both given")
	term.to(suite, "event", "watch", "--count", "-1").want(t, 2, "--count is -1")
}

// TestEventWatchGoesOnFromAnEmptyLog: what is published while the suite is away is told, also when nothing had been before.
func TestEventWatchGoesOnFromAnEmptyLog(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WatchEvents", func(call int) any {
		if call == 1 {
			return &streamed{messages: []proto.Message{&statev1.WatchEventsResponse{}}, end: errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "draining")}
		}
		return &streamed{messages: []proto.Message{&statev1.WatchEventsResponse{Events: []*statev1.PublishedEvent{published(1, "a")}, Cursor: 1}}}
	})
	term.to(suite, "event", "watch", "--count", "1").want(t, 0, "     1  12:00:00.000  a  shop")
	if request := got[*statev1.WatchEventsRequest](t, suite); request.GetAfterCursor() != 0 || request.GetOnlyNew() {
		t.Errorf("it goes on with %v, so that the event is left out", request)
	}
}

func TestArchive(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	archived := &statev1.ArchivedRun{RunId: "run-1", Workflow: "hello", Version: "1.0.0", Outcome: workflowv1.Outcome_OUTCOME_SUCCEEDED, EndTime: at(0), ArchiveTime: at(time.Minute), Events: 4, SizeBytes: 2048}
	suite.on("ArchiveRun", &statev1.ArchiveRunResponse{Archived: archived})
	suite.on("ListArchivedRuns", &statev1.ListArchivedRunsResponse{Runs: []*statev1.ArchivedRun{archived}})
	suite.on("GetArchivedRun", &streamed{messages: []proto.Message{
		&statev1.GetArchivedRunResponse{Archived: archived, Run: ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)},
		&statev1.GetArchivedRunResponse{Events: news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 1, 4).GetEvents()},
	}})
	term.to(suite, "run", "archive", "put", "run-1", "run-2").want(t, 0, "run-1 is archived: 4 events in 2.0 KiB")
	term.to(suite, "run", "archive", "list", "hello").want(t, 0, "hello@1.0.0", "SUCCEEDED", "2.0 KiB")
	if request := got[*statev1.ListArchivedRunsRequest](t, suite); request.GetWorkflow() != "hello" {
		t.Errorf("asked: %v", request)
	}
	shown := term.to(suite, "run", "archive", "show", "run-1")
	shown.want(t, 0, "Status    SUCCEEDED", "Archived  2026-11-22T12:01:00Z")
	if strings.Contains(shown.out, "entered main") {
		t.Errorf("events without --history:\n%s", shown.out)
	}
	term.to(suite, "run", "archive", "show", "run-1", "--history").want(t, 0, "entered main", `run ended: SUCCEEDED`)
	term.to(suite, "run", "archive", "show", "run-1", "-o", "json").want(t, 0, `"run_started"`)
	term.to(suite, "run", "archive", "put").want(t, 2, "RUN is missing")
	term.to(suite, "run", "archive", "putt").want(t, 2, `did you mean "put"?`)
	calls := 0
	suite.on("ArchiveRun", func(int) any {
		if calls++; calls == 1 {
			return errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED, "run run-0 has not ended")
		}
		return &statev1.ArchiveRunResponse{Archived: archived}
	})
	term.to(suite, "run", "archive", "put", "run-0", "run-1").want(t, 4, "run run-0 has not ended", "run-1 is archived")
	suite.on("ArchiveRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "draining"))
	term.to(suite, "run", "archive", "put", "run-1", "run-2").want(t, 5, "draining")
}
