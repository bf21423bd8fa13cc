package schedules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

const ten = "2026-11-22T10:00:00Z"

var everyFive = "*/5 * * * *"

func TestRunsStartAtTheirTimes(t *testing.T) {
	r := newRig(t, ten)
	info := r.put(Schedule{Cron: everyFive, Input: []byte(`{"n":1}`), Overlap: AllowAll})
	if len(info.Next) != 5 || !info.Next[0].Equal(moment(t, "2026-11-22T10:05:00Z")) {
		t.Errorf("next times are %v", info.Next)
	}
	r.pass(16*time.Minute, time.Minute)
	r.wants("1005", "1010", "1015")
	o := r.runs.orders["schedule/s/2026-11-22T10:05:00Z"]
	if o.RunID != "s-20261122T100500Z" || string(o.Input) != `{"n":1}` || o.Workflow != "report" || o.StartedBy != "schedule s" {
		t.Errorf("the start was %+v", o)
	}
	info = r.info()
	if len(info.Recent) != 3 || !info.Recent[0].Time.Equal(moment(t, "2026-11-22T10:15:00Z")) || info.Recent[0].ID != "s-20261122T101500Z" {
		t.Errorf("recent runs are %+v", info.Recent)
	}
	r.counts(0, 0)
}

func TestIntervalsStart(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Interval: 7 * time.Minute, Overlap: AllowAll})
	r.pass(22*time.Minute, time.Minute)
	r.wants("1007", "1014", "1021")
}

func TestSkipPassesOverWhileTheEarlierRunIsOpen(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive}) // skip is the default
	r.pass(16*time.Minute, time.Minute)
	r.wants("1005")
	r.counts(2, 0)
	r.runs.end("s-20261122T100500Z")
	r.pass(5*time.Minute, time.Minute)
	r.wants("1005", "1020")
	r.counts(2, 0)
}

func TestBufferOneStartsOneAfterTheEarlierRun(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: BufferOne})
	r.pass(17*time.Minute, time.Minute)
	r.wants("1005")
	r.counts(1, 0) // 10:10 waits, 10:15 is passed over
	r.runs.end("s-20261122T100500Z")
	r.await(2)
	r.wants("1005", "1010")
	r.runs.end("s-20261122T101000Z")
	r.pass(4*time.Minute, time.Minute)
	r.wants("1005", "1010", "1020")
	r.counts(1, 0)
}

func TestABufferedStartOutlivesARestart(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: BufferOne})
	r.pass(11*time.Minute, time.Minute)
	r.wants("1005")
	r.restart(time.Minute)
	r.runs.end("s-20261122T100500Z")
	r.await(2)
	r.wants("1005", "1010")
}

func TestCancelOtherStartsWhenTheCancelledRunHasEnded(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: CancelOther})
	r.pass(11*time.Minute, time.Minute)
	r.wants("1005")
	if !slices.Equal(r.runs.cancelled, []string{"s-20261122T100500Z"}) {
		t.Fatalf("cancelled are %v", r.runs.cancelled)
	}
	r.pass(5*time.Minute, time.Minute) // 10:15 comes in the place of 10:10, which has not started
	r.counts(1, 0)
	r.runs.end("s-20261122T100500Z")
	r.await(2)
	r.wants("1005", "1015")
}

func TestAllowAllStartsAll(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: AllowAll})
	r.pass(20*time.Minute, 5*time.Minute)
	r.wants("1005", "1010", "1015", "1020")
}

func TestAnOutageIsCaughtUpWithinTheWindow(t *testing.T) {
	r := newRig(t, ten)
	window := 7 * time.Minute
	r.put(Schedule{Cron: everyFive, Overlap: AllowAll, CatchUp: &window})
	r.pass(6*time.Minute, time.Minute)
	r.wants("1005")
	r.restart(25 * time.Minute) // 10:31: 10:25 and 10:30 are late by less than the window, 10:10 to 10:20 are not
	r.wants("1005", "1025", "1030")
	r.counts(0, 3)
	r.pass(5*time.Minute, time.Minute)
	r.wants("1005", "1025", "1030", "1035")
}

func TestWithoutAWindowAMinuteIsCaughtUp(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: "* * * * *", Overlap: AllowAll})
	r.restart(3*time.Minute + 30*time.Second)
	r.wants("1003")
	r.counts(0, 2)
}

func TestALongOutageIsCountedQuickly(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Interval: time.Second, Overlap: Skip})
	r.restart(10 * 365 * 24 * time.Hour)
	if i := r.info(); i.Missed < 99_000 || i.Missed > 101_000 || len(i.Recent) != 1 {
		t.Errorf("missed %d, recent %v", i.Missed, i.Recent)
	}
}

// The start is durable and its record is not: whatever comes back starts nothing twice, and loses nothing.
func TestACrashBetweenStartAndRecord(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 2 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			r := newRig(t, ten)
			r.put(Schedule{Cron: "5 10 * * *"})
			crashed := make(chan struct{})
			r.runs.after = func(core.StartOrder) {
				r.runs.after = nil
				r.records.Before = func(core.Record) error { return errDisk }
				close(crashed)
			}
			r.clock.Advance(5 * time.Minute)
			<-crashed
			r.stop()
			r.records.Before = nil
			r.begin()
			r.restart(away)
			r.wants("1005")
			if i := r.info(); len(i.Recent) != 1 || i.Missed != 0 || !i.Recent[0].Started.Equal(moment(t, "2026-11-22T10:05:00Z")) {
				t.Errorf("after the crash the schedule says %+v", i)
			}
		})
	}
}

func TestAFailingStoreIsTriedAgain(t *testing.T) {
	for _, err := range []error{core.ErrAway, &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE}} {
		r := newRig(t, ten)
		window := time.Hour
		r.put(Schedule{Cron: everyFive, CatchUp: &window})
		r.runs.fails = err
		r.pass(6*time.Minute, 10*time.Second)
		r.wants()
		r.runs.fails = nil
		r.pass(time.Minute, 10*time.Second)
		r.wants("1005")
		r.counts(0, 0)
	}
}

// What kept the start back for too long is told.
func TestAMissedTimeTellsWhy(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive})
	r.runs.fails = errDisk
	r.pass(7*time.Minute, 10*time.Second)
	if i := r.info(); i.Missed != 1 || i.LastError != errDisk.Error() {
		t.Errorf("missed %d because of %q", i.Missed, i.LastError)
	}
	r.wants()
}

func TestAStartThatCannotSucceedPassesTheTimeOver(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive})
	r.runs.fails = &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: "input: no"}
	r.pass(6*time.Minute, time.Minute)
	if i := r.info(); i.LastError != "input: no" {
		t.Errorf("last error is %q", i.LastError)
	}
	r.runs.fails = nil
	r.pass(5*time.Minute, time.Minute)
	r.wants("1010")
	if i := r.info(); i.LastError != "" {
		t.Errorf("last error is %q after a start", i.LastError)
	}
}

func TestATakenRunIDIsTold(t *testing.T) {
	r := newRig(t, ten)
	r.runs.heads["s-20261122T100500Z"] = &workflowv1.Run{Id: "s-20261122T100500Z"}
	r.put(Schedule{Cron: everyFive})
	r.pass(6*time.Minute, time.Minute)
	if i := r.info(); i.LastError == "" || len(i.Recent) != 0 {
		t.Errorf("a start in the place of another's run: %+v", i)
	}
}

func TestAPausedScheduleStartsNothingAndMakesNothingUp(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: AllowAll})
	r.pass(6*time.Minute, time.Minute)
	pause := func(paused bool) Info {
		info, err := r.keeper.Pause(t.Context(), "default", "s", paused)
		if err != nil {
			t.Fatal(err)
		}
		r.settle()
		return info
	}
	if i := pause(true); !i.Schedule.Paused || len(i.Next) != 0 {
		t.Errorf("paused it says %+v", i)
	}
	r.pass(10*time.Minute, time.Minute)
	r.restart(time.Minute)
	pause(true)
	pause(false) // 10:17
	r.pass(4*time.Minute, time.Minute)
	r.wants("1005", "1020")
	r.counts(0, 0)
}

func TestAChangeOfTimesLooksAhead(t *testing.T) {
	r := newRig(t, ten)
	window := 24 * time.Hour
	r.put(Schedule{Cron: "0 9 * * *", CatchUp: &window})
	r.pass(3*time.Minute, time.Minute)
	r.put(Schedule{Cron: "1 10 * * *", CatchUp: &window}) // 10:01 has passed
	r.pass(time.Minute, time.Minute)
	r.wants()
	r.put(Schedule{Cron: "5 10 * * *", CatchUp: &window})
	r.pass(2*time.Minute, time.Minute)
	r.wants("1005")
}

func TestLimitsOfTime(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: AllowAll, Start: moment(t, "2026-11-22T10:07:00Z"), End: moment(t, "2026-11-22T10:15:00Z")})
	r.pass(30*time.Minute, time.Minute)
	r.wants("1010", "1015")
	if i := r.info(); len(i.Next) != 0 {
		t.Errorf("after its end come %v", i.Next)
	}
}

func TestJitterPutsTheStartOff(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: "0 11 * * *", Jitter: 10 * time.Minute})
	tm := timesOf(t, r.info().Schedule)
	at := moment(t, "2026-11-22T11:00:00Z")
	due := tm.due(at)
	if !due.After(at) {
		t.Fatalf("%v is not put off; take another id", at)
	}
	r.clock.Advance(due.Sub(r.clock.Now()) - time.Millisecond)
	r.settle()
	r.wants()
	r.clock.Advance(time.Millisecond)
	r.settle()
	r.wants("1100")
	if i := r.info(); !i.Recent[0].Started.Equal(due) {
		t.Errorf("started at %v, due at %v", i.Recent[0].Started, due)
	}
}

func TestDSTInALivingSchedule(t *testing.T) {
	r := newRig(t, "2026-10-24T22:00:00Z") // midnight in Berlin, the night in which 02:00 to 03:00 comes twice
	r.put(Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Overlap: AllowAll})
	r.pass(26*time.Hour, 10*time.Minute)
	if got := r.runs.started(); !slices.Equal(got, []string{"s-20261025T003000Z"}) {
		t.Errorf("in the long night and the day after started %v", got)
	}
}

func TestPutIsIdempotent(t *testing.T) {
	r := newRig(t, ten)
	s := Schedule{Namespace: "default", ID: "s", Workflow: "report", Cron: everyFive}
	for i, c := range []struct {
		request string
		created bool
	}{{"q1", true}, {"q1", true}, {"q2", false}, {"", false}} {
		info, created, err := r.keeper.Put(t.Context(), s, c.request)
		if err != nil || created != c.created || info.Schedule.Cron != everyFive {
			t.Errorf("call %d: %+v, %v, %v", i, info, created, err)
		}
		r.settle()
		r.clock.Advance(time.Minute)
	}
}

func TestWhatCannotStartIsRefused(t *testing.T) {
	r := newRig(t, ten)
	for want, s := range map[errorsv1.ErrorReason]Schedule{
		errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND: {Workflow: "repotr", Cron: everyFive},
		errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID:  {Workflow: "report", Cron: everyFive, Input: []byte(`{"m":1}`)},
	} {
		s.Namespace, s.ID = "default", "s"
		_, _, err := r.keeper.Put(t.Context(), s, "")
		refusedFor(t, err, want)
	}
	_, err := r.keeper.Get(t.Context(), "default", "s")
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND)
	_, err = r.keeper.Pause(t.Context(), "default", "s", true)
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND)
	refusedFor(t, r.keeper.Delete(t.Context(), "default", "s"), errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND)
	_, _, err = r.keeper.Backfill(t.Context(), "default", "s", moment(t, ten), moment(t, ten))
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND)
}

func refusedFor(t *testing.T, err error, want errorsv1.ErrorReason) {
	t.Helper()
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestADeletedScheduleStartsNothing(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: BufferOne})
	r.pass(11*time.Minute, time.Minute)
	if err := r.keeper.Delete(t.Context(), "default", "s"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.runs.end("s-20261122T100500Z")
	r.pass(10*time.Minute, time.Minute)
	r.wants("1005")
	r.put(Schedule{Cron: everyFive, Overlap: BufferOne}) // 10:21
	r.pass(5*time.Minute, time.Minute)
	r.wants("1005", "1025")
}

func TestBackfillIsIdempotent(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive})
	r.pass(6*time.Minute, time.Minute)
	r.wants("1005")
	for i, fresh := range []int{3, 0} {
		runs, started, err := r.keeper.Backfill(t.Context(), "default", "s", moment(t, "2026-11-22T09:50:00Z"), moment(t, "2026-11-22T10:06:00Z"))
		if err != nil || started != fresh {
			t.Fatalf("backfill %d started %d: %v", i, started, err)
		}
		var got []string
		for _, run := range runs {
			got = append(got, run.ID)
		}
		if want := []string{"s-20261122T095000Z", "s-20261122T095500Z", "s-20261122T100000Z", "s-20261122T100500Z"}; !slices.Equal(got, want) {
			t.Errorf("backfill %d names %v", i, got)
		}
		if !runs[3].Started.Equal(moment(t, "2026-11-22T10:05:00Z")) {
			t.Errorf("the run that was there is said to have started at %v", runs[3].Started)
		}
		r.settle()
	}
	if n := len(r.info().Recent); n != 4 {
		t.Errorf("%d runs are recent", n)
	}
	r.pass(5*time.Minute, time.Minute) // the runs of earlier times are open
	r.counts(1, 0)
}

func TestBackfillGoesOnWhereItBroke(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive, Overlap: AllowAll, Paused: true})
	from, to := moment(t, "2026-11-21T00:00:00Z"), moment(t, "2026-11-21T12:00:00Z")
	n := 0
	r.runs.after = func(core.StartOrder) {
		r.runs.mu.Lock()
		defer r.runs.mu.Unlock()
		if n++; n == 50 {
			r.runs.fails = core.ErrAway
		}
	}
	if _, _, err := r.keeper.Backfill(t.Context(), "default", "s", from, to); !errors.Is(err, core.ErrAway) {
		t.Fatalf("got %v", err)
	}
	r.runs.fails = nil
	had := len(r.runs.started())
	runs, started, err := r.keeper.Backfill(t.Context(), "default", "s", from, to)
	if err != nil || len(runs) != 144 || started != 144-had || len(r.runs.started()) != 144 {
		t.Errorf("%d runs, %d started after %d: %v", len(runs), started, had, err)
	}
}

func TestBackfillsAreBounded(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: everyFive})
	for name, span := range map[string][2]string{
		"empty": {ten, ten}, "ahead": {ten, "2026-11-22T10:00:01Z"}, "too many": {"2026-11-01T00:00:00Z", ten},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.keeper.Backfill(t.Context(), "default", "s", moment(t, span[0]), moment(t, span[1]))
			refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
		})
	}
	r.wants()
}

// Two keepers of one store tend the same schedule at once: each time has one run.
func TestTwoKeepersStartNothingTwice(t *testing.T) {
	r := newRig(t, ten)
	r.put(Schedule{Cron: "* * * * *", Overlap: AllowAll})
	first := *r
	r.begin()
	defer first.stop()
	for range 20 {
		r.clock.Advance(time.Minute)
		r.settle()
		first.settle()
	}
	if got := len(r.runs.started()); got != 20 {
		t.Errorf("%d runs for 20 times", got)
	}
	if i := r.info(); i.Missed != 0 || i.Skipped != 0 || len(i.Recent) != 10 {
		t.Errorf("the schedule says %+v", i)
	}
}

func TestListsPageByPage(t *testing.T) {
	r := newRig(t, ten)
	for i := range 5 {
		_, _, err := r.keeper.Put(t.Context(), Schedule{Namespace: "default", ID: fmt.Sprintf("s%d", i), Workflow: "report", Cron: everyFive}, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for token, more := "", true; more; more = token != "" {
		page, next, err := r.keeper.List(context.Background(), "default", 2, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			got = append(got, i.Schedule.ID)
		}
		token = next
	}
	if !slices.Equal(got, []string{"s0", "s1", "s2", "s3", "s4"}) {
		t.Errorf("listed %v", got)
	}
}
