package engine_test

import (
	"encoding/json"
	"slices"
	"strings"

	"pgregory.net/rapid"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// surprise is an attempt that lands when it counts as not happened, with its answer: a person was wrong, or the tool took longer than it may.
func (s *simulation) surprise() {
	s.t.Helper()
	var late []string
	for key, a := range s.attempts {
		if a.settled && !a.landed && a.op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION && a.op.GetEffect() > workflowv1.Effect_EFFECT_READ {
			late = append(late, key)
		}
	}
	if len(late) == 0 || rapid.IntRange(0, 3).Draw(s.rt, "surprise") > 0 {
		return
	}
	slices.Sort(late)
	a := s.attempts[rapid.SampledFrom(late).Draw(s.rt, "late")]
	a.landed, a.told, a.surprise, a.covered, s.surprised = true, true, true, s.run().GetStatus() != ended, true
	s.submit(engine.Answered{OperationID: a.op.GetId(), Attempt: a.number, Output: json.RawMessage(`{"n":3}`)})
}

// strays are what comes when the run has ended: what is lost lands, and every answer comes.
func (s *simulation) strays() {
	s.t.Helper()
	for range len(s.attempts) {
		s.stray()
		s.surprise()
	}
}

// ledgerIsTrue asserts that what landed, and whose receipt came, is in the ledger as something that happened.
func (s *simulation) ledgerIsTrue() {
	s.t.Helper()
	for key, a := range s.attempts {
		if !a.landed || !a.told || a.op.GetEffect() <= workflowv1.Effect_EFFECT_READ {
			continue
		}
		switch row := s.row(a.op.GetId()); row.GetStatus() {
		case workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED,
			workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED:
		case workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED:
			if !row.GetHappened() {
				s.t.Fatalf("%s happened and its receipt came; the ledger says %v", key, row)
			}
		default:
			s.t.Fatalf("%s happened and its receipt came; the ledger says %v", key, row)
		}
	}
}

// surprisesLeftOver asserts that a run which undid everything undid also what came to light late.
func (s *simulation) surprisesLeftOver() {
	s.t.Helper()
	for key, a := range s.attempts {
		step, ok := s.def.Step(stepOf(a.op.GetId()))
		if ok && a.covered && a.op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP && step.Compensate != nil &&
			s.row(a.op.GetId()).GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
			s.t.Fatalf("the run is %s, and the late effect of %s stands: %v", s.run().GetOutcome(), key, s.row(a.op.GetId()))
		}
	}
}

// stepOf is the id of the step, or of the fallback's step, that an operation of a step is the work of.
func stepOf(id string) string {
	name := id[:strings.LastIndex(id, "/")]
	name = name[strings.LastIndex(name, "/")+1:]
	return name[strings.LastIndex(name, "~")+1:]
}
