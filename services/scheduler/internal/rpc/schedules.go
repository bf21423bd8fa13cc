package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/schedules"
)

// Schedules implements ScheduleService.
type Schedules struct {
	schedulerv1.UnsafeScheduleServiceServer
	keeper *schedules.Keeper
}

// NewSchedules makes it.
func NewSchedules(k *schedules.Keeper) *Schedules { return &Schedules{keeper: k} }

// PutSchedule implements ScheduleService.
func (s *Schedules) PutSchedule(ctx context.Context, req *schedulerv1.PutScheduleRequest) (*schedulerv1.PutScheduleResponse, error) {
	info, created, err := s.keeper.Put(ctx, scheduleOf(req.GetSchedule()), req.GetRequestId())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.PutScheduleResponse{Schedule: scheduleInfo(info), Created: created}, nil
}

// GetSchedule implements ScheduleService.
func (s *Schedules) GetSchedule(ctx context.Context, req *schedulerv1.GetScheduleRequest) (*schedulerv1.GetScheduleResponse, error) {
	info, err := s.keeper.Get(ctx, namespace(req.GetNamespace()), req.GetId())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.GetScheduleResponse{Schedule: scheduleInfo(info)}, nil
}

// ListSchedules implements ScheduleService.
func (s *Schedules) ListSchedules(ctx context.Context, req *schedulerv1.ListSchedulesRequest) (*schedulerv1.ListSchedulesResponse, error) {
	all, next, err := s.keeper.List(ctx, namespace(req.GetNamespace()), int(req.GetPageSize()), req.GetPageToken())
	if err != nil {
		return nil, failure(err)
	}
	resp := &schedulerv1.ListSchedulesResponse{NextPageToken: next}
	for _, info := range all {
		resp.Schedules = append(resp.Schedules, scheduleInfo(info))
	}
	return resp, nil
}

// DeleteSchedule implements ScheduleService.
func (s *Schedules) DeleteSchedule(ctx context.Context, req *schedulerv1.DeleteScheduleRequest) (*schedulerv1.DeleteScheduleResponse, error) {
	if err := s.keeper.Delete(ctx, namespace(req.GetNamespace()), req.GetId()); err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.DeleteScheduleResponse{}, nil
}

// PauseSchedule implements ScheduleService.
func (s *Schedules) PauseSchedule(ctx context.Context, req *schedulerv1.PauseScheduleRequest) (*schedulerv1.PauseScheduleResponse, error) {
	info, err := s.keeper.Pause(ctx, namespace(req.GetNamespace()), req.GetId(), req.GetPaused())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.PauseScheduleResponse{Schedule: scheduleInfo(info)}, nil
}

// BackfillSchedule implements ScheduleService.
func (s *Schedules) BackfillSchedule(ctx context.Context, req *schedulerv1.BackfillScheduleRequest) (*schedulerv1.BackfillScheduleResponse, error) {
	runs, started, err := s.keeper.Backfill(ctx, namespace(req.GetNamespace()), req.GetId(), req.GetFrom().AsTime(), req.GetTo().AsTime())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.BackfillScheduleResponse{Runs: scheduledRuns(runs), Started: uint32(started)}, nil
}

// overlaps are the overlap policies by their number.
var overlaps = map[schedulerv1.OverlapPolicy]schedules.Overlap{
	schedulerv1.OverlapPolicy_OVERLAP_POLICY_UNSPECIFIED:  schedules.Skip,
	schedulerv1.OverlapPolicy_OVERLAP_POLICY_SKIP:         schedules.Skip,
	schedulerv1.OverlapPolicy_OVERLAP_POLICY_BUFFER_ONE:   schedules.BufferOne,
	schedulerv1.OverlapPolicy_OVERLAP_POLICY_CANCEL_OTHER: schedules.CancelOther,
	schedulerv1.OverlapPolicy_OVERLAP_POLICY_ALLOW_ALL:    schedules.AllowAll,
}

func overlapOf(o schedules.Overlap) schedulerv1.OverlapPolicy {
	for number, name := range overlaps {
		if name == o && number != schedulerv1.OverlapPolicy_OVERLAP_POLICY_UNSPECIFIED {
			return number
		}
	}
	return schedulerv1.OverlapPolicy_OVERLAP_POLICY_UNSPECIFIED
}

func scheduleOf(s *schedulerv1.Schedule) schedules.Schedule {
	out := schedules.Schedule{
		Namespace: namespace(s.GetNamespace()), ID: s.GetId(), Workflow: s.GetWorkflow(), Version: s.GetVersion(), Input: s.GetInput(),
		Cron: s.GetCron(), TimeZone: s.GetTimeZone(), Interval: s.GetInterval().AsDuration(), Overlap: overlaps[s.GetOverlap()],
		Jitter: s.GetJitter().AsDuration(), Paused: s.GetPaused(), Start: moment(s.GetStartTime()), End: moment(s.GetEndTime()),
	}
	if s.GetCatchUp() != nil {
		d := s.GetCatchUp().AsDuration()
		out.CatchUp = &d
	}
	return out
}

// moment is a time, or the zero time for none.
func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func scheduleInfo(i schedules.Info) *schedulerv1.ScheduleInfo {
	s := i.Schedule
	out := &schedulerv1.Schedule{
		Namespace: s.Namespace, Id: s.ID, Workflow: s.Workflow, Version: s.Version, Input: s.Input, TimeZone: s.TimeZone, Overlap: overlapOf(s.Overlap),
		Paused: s.Paused, StartTime: timestamp(s.Start), EndTime: timestamp(s.End),
	}
	if s.Cron != "" {
		out.When = &schedulerv1.Schedule_Cron{Cron: s.Cron}
	} else {
		out.When = &schedulerv1.Schedule_Interval{Interval: durationpb.New(s.Interval)}
	}
	if s.Jitter > 0 {
		out.Jitter = durationpb.New(s.Jitter)
	}
	if s.CatchUp != nil {
		out.CatchUp = durationpb.New(*s.CatchUp)
	}
	info := &schedulerv1.ScheduleInfo{
		Schedule: out, CreateTime: timestamp(i.Created), Recent: scheduledRuns(i.Recent), Skipped: i.Skipped, Missed: i.Missed, LastError: i.LastError,
	}
	for _, t := range i.Next {
		info.NextTimes = append(info.NextTimes, timestamppb.New(t))
	}
	return info
}

func scheduledRuns(runs []schedules.Run) []*schedulerv1.ScheduledRun {
	var out []*schedulerv1.ScheduledRun
	for _, r := range runs {
		out = append(out, &schedulerv1.ScheduledRun{ScheduleTime: timestamp(r.Time), StartTime: timestamp(r.Started), RunId: r.ID})
	}
	return out
}
