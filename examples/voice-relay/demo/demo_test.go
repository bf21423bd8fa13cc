package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/stage/stagetest"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

// TestTheDemonstration plays all of it with real processes, the crash included; it fails when anything that is promised does not hold.
func TestTheDemonstration(t *testing.T) {
	stagetest.Play(t, run, nil,
		"kill -9", "a stray signal is refused", "Olga takes the call", "has ended SUCCEEDED", "has ended ESCALATED", "has ended COMPENSATED",
		"3 of 3 histories give their run again", "All of it holds")
}

// clean is a short call with nothing wrong.
func clean() *record {
	intended := func(seq uint64) *workflowv1.HistoryEvent {
		return &workflowv1.HistoryEvent{Sequence: seq, Fact: &workflowv1.HistoryEvent_OperationIntended{OperationIntended: &workflowv1.OperationIntended{
			Operation: &workflowv1.OpenOperation{Id: "say", Tool: "say", Effect: workflowv1.Effect_EFFECT_IRREVERSIBLE},
		}}}
	}
	entered := func(p workflowv1.Phase) *workflowv1.HistoryEvent {
		return &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: &workflowv1.StateEntered{Phase: p}}}
	}
	signal := &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_SignalReceived{SignalReceived: &workflowv1.SignalReceived{RequestId: "1"}}}
	return &record{
		call: &call{id: "c", outcome: "SUCCEEDED", answered: 1, callback: exchange.Confirmed}, signals: 1,
		run: &workflowv1.Run{Outcome: workflowv1.Outcome_OUTCOME_SUCCEEDED},
		history: []*workflowv1.HistoryEvent{
			entered(workflowv1.Phase_PHASE_INITIATED), signal, entered(workflowv1.Phase_PHASE_VALIDATION), intended(3), entered(workflowv1.Phase_PHASE_COMPLETED),
		},
		entries: []exchange.Entry{
			{Kind: exchange.Rang},
			{Kind: exchange.Said, Key: "c/reply/1", Operation: "c/say"},
			{Kind: exchange.Booked, Callback: "CB1", Operation: "c/book"},
			{Kind: exchange.Confirmed, Callback: "CB1", Operation: "c/keep"},
		},
		ledger: []*statev1.LedgerEntry{done("say", workflowv1.Effect_EFFECT_IRREVERSIBLE), done("book", workflowv1.Effect_EFFECT_WRITE), done("keep", workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE)},
	}
}

func done(id string, effect workflowv1.Effect) *statev1.LedgerEntry {
	return &statev1.LedgerEntry{RunId: "c", Operation: &workflowv1.Operation{Id: id, Tool: id, Effect: effect, Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED}}
}

// TestTheAuditFindsWhatDoesNotAddUp is what the last line of the demonstration rests on.
func TestTheAuditFindsWhatDoesNotAddUp(t *testing.T) {
	if found := clean().audit(); len(found) > 0 {
		t.Fatalf("a clean call: %q", found)
	}
	for says, spoil := range map[string]func(*record){
		"ended":                   func(r *record) { r.run.Outcome = workflowv1.Outcome_OUTCOME_FAILED },
		"signals were acknow":     func(r *record) { r.signals = 2 },
		"1002 are in its":         func(r *record) { r.history = slices.Insert(r.history, 1, r.history[1]); r.signals = 2 },
		"was said 2 times":        func(r *record) { r.entries = append(r.entries, r.entries[1]) },
		"1 utterances had 0":      func(r *record) { r.entries[1].Key = "c/greet" },
		"its callbacks went":      func(r *record) { r.entries = r.entries[:3] },
		"had 2 effects":           func(r *record) { r.entries = append(r.entries, r.entries[1]) },
		"has no effect of it":     func(r *record) { r.ledger = append(r.ledger, done("other", workflowv1.Effect_EFFECT_WRITE)) },
		"the ledger does not":     func(r *record) { r.ledger = r.ledger[:2] },
		"before anything was val": func(r *record) { r.history = append(r.history[:2:2], r.history[3:]...) },
		"its phases are":          func(r *record) { r.history = r.history[:len(r.history)-1] },
	} {
		r := clean()
		spoil(r)
		if found := strings.Join(r.audit(), "\n"); !strings.Contains(found, says) {
			t.Errorf("%q is not found, but %q", says, found)
		}
	}
}
