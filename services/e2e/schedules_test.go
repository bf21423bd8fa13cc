package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// A schedule starts runs, one a time, while everything is killed; a backfill starts those of the past, once; a batch cancels them all.
func TestSchedulesAndBatches(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		w := startWorld(t, topology, "")
		w.apply(t, testdata(t, "nap.yaml"))
		conn, err := w.Conn("scheduler")
		if err != nil {
			t.Fatal(err)
		}
		schedules, batches := schedulerv1.NewScheduleServiceClient(conn), schedulerv1.NewBatchServiceClient(conn)
		scheduleThroughKills(t, w, schedules)
		backfillTwice(t, schedules)
		batchesThatPauseAndMove(t, w, batches)
		batchOverAll(t, w, batches)
	})
}

// batchesThatPauseAndMove pauses all runs, lets them go on, and moves them to another version.
func batchesThatPauseAndMove(t *testing.T, w *world, batches schedulerv1.BatchServiceClient) {
	w.apply(t, strings.Replace(testdata(t, "nap.yaml"), "1.0.0", "1.1.0", 1))
	total := uint64(len(allRuns(t, w)))
	run := func(req *schedulerv1.StartBatchRequest, each func(*workflowv1.Run) bool) {
		t.Helper()
		req.Filter = "status = RUNNING"
		resp, err := batches.StartBatch(within(t), req)
		if err != nil {
			t.Fatal(err)
		}
		b := batchEnd(t, batches, resp.GetBatch().GetId())
		if b.GetDone() != total || b.GetFailed() != 0 {
			t.Errorf("of %d runs %s: %v", total, req.GetAction(), b)
		}
		for _, r := range allRuns(t, w) {
			if !each(r) {
				t.Errorf("after %s run %s is at %s, paused: %v", req.GetAction(), r.GetId(), r.GetVersion(), r.GetPause())
			}
		}
	}
	run(&schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_PAUSE, Reason: "lunch"}, func(r *workflowv1.Run) bool {
		return r.GetPause().GetReason() == "lunch"
	})
	run(&schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_RESUME}, func(r *workflowv1.Run) bool { return r.GetPause() == nil })
	run(&schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_MIGRATE, Version: "1.1.0", DryRun: true}, func(r *workflowv1.Run) bool {
		return r.GetVersion() == "1.0.0"
	})
	run(&schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_MIGRATE, Version: "1.1.0"}, func(r *workflowv1.Run) bool {
		return r.GetVersion() == "1.1.0"
	})
}

// batchEnd waits for a batch's end.
func batchEnd(t *testing.T, batches schedulerv1.BatchServiceClient, id string) *schedulerv1.Batch {
	t.Helper()
	ctx := within(t)
	var b *schedulerv1.Batch
	eventually(ctx, t, "the batch's end", func() (bool, error) {
		resp, err := batches.GetBatch(ctx, &schedulerv1.GetBatchRequest{Id: id})
		if away(err) {
			return false, nil
		}
		b = resp.GetBatch()
		return b.GetState() == schedulerv1.BatchState_BATCH_STATE_DONE, err
	})
	return b
}

func scheduleThroughKills(t *testing.T, w *world, schedules schedulerv1.ScheduleServiceClient) {
	ctx := within(t)
	put := &schedulerv1.PutScheduleRequest{RequestId: "q1", Schedule: &schedulerv1.Schedule{
		Id: "often", Workflow: "nap", Input: []byte(`{"bed":"a"}`), When: &schedulerv1.Schedule_Interval{Interval: durationpb.New(time.Second)},
		Overlap: schedulerv1.OverlapPolicy_OVERLAP_POLICY_ALLOW_ALL, CatchUp: durationpb.New(time.Hour),
	}}
	resp, err := schedules.PutSchedule(ctx, put)
	if err != nil || !resp.GetCreated() || len(resp.GetSchedule().GetNextTimes()) != 5 {
		t.Fatal(resp, err)
	}
	for kill := range 3 {
		awaitRuns(t, w, 2*kill+2)
		w.KillAll()
		if err := w.StartAll(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	awaitRuns(t, w, 8)
	var paused *schedulerv1.PauseScheduleResponse
	eventually(ctx, t, "pausing", func() (bool, error) {
		if paused, err = schedules.PauseSchedule(ctx, &schedulerv1.PauseScheduleRequest{Id: "often", Paused: true}); away(err) {
			return false, nil
		}
		return err == nil, err
	})
	info := paused.GetSchedule()
	runs := allRuns(t, w)
	started := map[string]bool{}
	for _, run := range runs {
		started[run.GetId()] = true
	}
	for _, r := range info.GetRecent() {
		if !started[r.GetRunId()] {
			t.Errorf("the schedule names run %s, which does not exist", r.GetRunId())
		}
	}
	// Every second from the first to the last has its run: nothing was lost, and the ids make sure that nothing came twice.
	last := info.GetRecent()[0].GetScheduleTime().AsTime()
	first := info.GetCreateTime().AsTime().Add(time.Second)
	if want := int(last.Sub(first)/time.Second) + 1; len(runs) != want || info.GetMissed() != 0 {
		t.Errorf("%d runs from %v to %v, want %d; the schedule says it missed %d: %s", len(runs), first, last, want, info.GetMissed(), info.GetLastError())
	}
}

func allRuns(t *testing.T, w *world) []*workflowv1.Run {
	t.Helper()
	var all []*workflowv1.Run
	for token, more := "", true; more; more = token != "" {
		resp, err := persist(within(t), func(ctx context.Context) (*statev1.ListRunsResponse, error) {
			return w.runs.ListRuns(ctx, &statev1.ListRunsRequest{PageToken: token})
		})
		if err != nil {
			t.Fatal(err)
		}
		all, token = append(all, resp.GetRuns()...), resp.GetNextPageToken()
	}
	return all
}

func awaitRuns(t *testing.T, w *world, n int) {
	t.Helper()
	eventually(within(t), t, "scheduled runs", func() (bool, error) { return len(allRuns(t, w)) >= n, nil })
}

func backfillTwice(t *testing.T, schedules schedulerv1.ScheduleServiceClient) {
	ctx := within(t)
	_, err := schedules.PutSchedule(ctx, &schedulerv1.PutScheduleRequest{Schedule: &schedulerv1.Schedule{
		Id: "daily", Workflow: "nap", When: &schedulerv1.Schedule_Cron{Cron: "30 2 * * *"}, TimeZone: "Europe/Berlin", Paused: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	past := &schedulerv1.BackfillScheduleRequest{
		Id:   "daily", // the night of 29 March 2026 had no 02:30, that of 25 October had two
		From: timestamppb.New(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)), To: timestamppb.New(time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)),
	}
	for i, fresh := range []uint32{3, 0} {
		resp, err := schedules.BackfillSchedule(ctx, past)
		if err != nil || resp.GetStarted() != fresh || len(resp.GetRuns()) != 3 {
			t.Fatalf("backfill %d: %v, %v", i+1, resp, err)
		}
	}
	if _, err := schedules.DeleteSchedule(ctx, &schedulerv1.DeleteScheduleRequest{Id: "daily"}); err != nil {
		t.Error(err)
	}
	_, err = schedules.GetSchedule(ctx, &schedulerv1.GetScheduleRequest{Id: "daily"})
	if errs.ReasonOf(err) != errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND {
		t.Errorf("a deleted schedule answers %v", err)
	}
	_, err = schedules.PutSchedule(ctx, &schedulerv1.PutScheduleRequest{Schedule: &schedulerv1.Schedule{
		Id: "bad", Workflow: "nap", When: &schedulerv1.Schedule_Cron{Cron: "every day"},
	}})
	if errs.ReasonOf(err) != errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID {
		t.Errorf("a bad schedule answers %v", err)
	}
}

func batchOverAll(t *testing.T, w *world, batches schedulerv1.BatchServiceClient) {
	ctx := within(t)
	total := uint64(len(allRuns(t, w)))
	start := &schedulerv1.StartBatchRequest{
		Action: schedulerv1.BatchAction_BATCH_ACTION_CANCEL, Filter: "status = RUNNING", Reason: "end of test", RequestId: "q1",
	}
	resp, err := batches.StartBatch(ctx, start)
	if err != nil {
		t.Fatal(err)
	}
	id := resp.GetBatch().GetId()
	if again, err := batches.StartBatch(ctx, start); err != nil || again.GetBatch().GetId() != id {
		t.Errorf("the same request again: %v, %v", again, err)
	}
	w.KillAll()
	if err := w.StartAll(within(t)); err != nil {
		t.Fatal(err)
	}
	b := batchEnd(t, batches, id)
	if b.GetFailed() != 0 || b.GetDone()+b.GetSkipped() > total || b.GetEndTime() == nil {
		t.Errorf("of %d runs: %v", total, b)
	}
	for _, run := range allRuns(t, w) {
		if run.GetOutcome() != workflowv1.Outcome_OUTCOME_CANCELLED {
			t.Errorf("run %s is %s %s", run.GetId(), run.GetStatus(), run.GetOutcome())
		}
	}
	_, err = batches.StartBatch(ctx, &schedulerv1.StartBatchRequest{Action: schedulerv1.BatchAction_BATCH_ACTION_PAUSE, Filter: "colour = red"})
	if errs.ReasonOf(err) != errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID {
		t.Errorf("a bad filter answers %v", err)
	}
	list, err := batches.ListBatches(ctx, &schedulerv1.ListBatchesRequest{})
	if err != nil || len(list.GetBatches()) != 5 || list.GetBatches()[0].GetId() != id {
		t.Errorf("listed %v, %v", list, err)
	}
}
