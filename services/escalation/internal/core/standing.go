package core

import (
	"context"
	"slices"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Standing is how far an escalation has come. The zero Standing is that of one that has ended.
type Standing struct {
	// Roles that may decide now; empty: everybody may.
	Roles []string
	// Level is how many levels have been asked, at least 1.
	Level int
	// NextTime is when the next level is asked, and NextRoles are who is asked then; zero: there is none.
	NextTime  time.Time
	NextRoles []string
	// Votes are the answers so far, oldest first.
	Votes []*workflowv1.Vote
	// Missing is how many more people must give the answer that most have given.
	Missing int
}

// levelsAt fills in who may decide at a time. Which level is asked follows from the time alone: nobody has to be told for its roles to
// count. The first level is asked at once, whatever it says.
func (r *Record) levelsAt(now time.Time) Standing {
	standing := Standing{Roles: slices.Clone(r.Opened.GetRoles()), Level: 1}
	levels := r.Opened.GetLevels()
	for n := 1; n < len(levels); n++ {
		at := r.OpenTime.Add(levels[n].GetAfter().AsDuration())
		if r.OpenTime.IsZero() || at.After(now) {
			if standing.NextTime.IsZero() || at.Before(standing.NextTime) {
				standing.NextTime, standing.NextRoles = at, levels[n].GetRoles()
			}
			continue
		}
		standing.Level++
		for _, role := range levels[n].GetRoles() {
			if len(standing.Roles) > 0 && !slices.Contains(standing.Roles, role) {
				standing.Roles = append(standing.Roles, role)
			}
		}
	}
	return standing
}

// asks reports whether a role is among those that may decide.
func (s Standing) asks(role string) bool { return len(s.Roles) == 0 || slices.Contains(s.Roles, role) }

// standing tells how a record stands. The run is read when several people must agree, because the votes are there.
func (i *Inbox) standing(ctx context.Context, record *Record) (Standing, error) {
	if record.State != StateOpen {
		return Standing{}, nil
	}
	var run *workflowv1.Run
	if record.quorum() > 1 {
		read, err := i.ports.Runs.Run(ctx, record.run())
		if err != nil {
			return Standing{}, err
		}
		run = read
	}
	return record.standingIn(run, i.ports.Clock.Now()), nil
}

// standingIn is standing with the head of the run, which may be nil when one person decides.
func (r *Record) standingIn(run *workflowv1.Run, now time.Time) Standing {
	if r.State != StateOpen {
		return Standing{}
	}
	standing := r.levelsAt(now)
	standing.Votes = votesIn(run, r.ID)
	most := 0
	counts := map[string]int{}
	for _, vote := range standing.Votes {
		counts[vote.GetDecision()]++
		most = max(most, counts[vote.GetDecision()])
	}
	standing.Missing = max(int(r.quorum())-most, 0)
	return standing
}

// votesIn are the answers that an open escalation has in the head of its run.
func votesIn(run *workflowv1.Run, escalation string) []*workflowv1.Vote {
	for _, pending := range run.GetPendingDecisions() {
		if pending.GetEscalationId() == escalation {
			return pending.GetVotes()
		}
	}
	return nil
}
