package main

import (
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// place is where a run stands, in words.
type place string

const (
	settled  place = "settled"
	atDesk   place = "at the desk"
	atAgent  place = "with an agent"
	atLead   place = "for the lead"
	atSecond place = "for the second line"
)

// places in the order in which they are shown.
var places = []place{atDesk, atAgent, atLead, atSecond, settled}

func placeOf(run *workflowv1.Run) place {
	if stage.IsOver(run) {
		return settled
	}
	for _, a := range run.GetActive() {
		switch a.GetStatus() {
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN, workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED:
			if strings.HasPrefix(a.GetPath(), "approve/") {
				return atLead
			}
			return atSecond
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED, workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:
			return atAgent
		}
	}
	return atDesk
}

// tally counts where the runs of letters stand; those that were not found are missing.
func tally(runs map[string]*workflowv1.Run, letters []*letter) (by map[place]int, missing int) {
	by = map[place]int{}
	for _, l := range letters {
		run := runs[l.runID]
		if run == nil {
			missing++
			continue
		}
		by[placeOf(run)]++
	}
	return by, missing
}

// describe writes a tally.
func describe(by map[place]int) string {
	var parts []string
	for _, p := range places {
		if by[p] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", by[p], p))
		}
	}
	return strings.Join(parts, ", ")
}
