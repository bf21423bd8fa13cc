package main

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage/stagetest"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

// TestTheDemonstration plays all of it with real processes, the crash included; it fails when anything that is promised does not hold.
func TestTheDemonstration(t *testing.T) {
	stagetest.Play(t, run, nil,
		"kill -9", "65 (it is too strong for its cost) → 95", "60 (the text is too long for the card) → 95", "given up, 3 pictures thrown away",
		"tokens of 5000, so it gets a plain draft", "Dana publishes it: the run has ended SUCCEEDED", "REJECTED in state too_dear", "it has ended CANCELLED",
		"8 in the published deck, of 9 ideas", "All of it holds")
}

func ended(outcome workflowv1.Outcome, parent string) *workflowv1.Run {
	return &workflowv1.Run{Status: workflowv1.RunStatus_RUN_STATUS_ENDED, Outcome: outcome, Parent: &workflowv1.ParentRun{RunId: parent}}
}

// clean is a deck of three ideas with nothing wrong: two finished cards, one that was given up, and a card that was undone with its deck.
func clean() *record {
	const ok, no = workflowv1.Outcome_OUTCOME_SUCCEEDED, workflowv1.Outcome_OUTCOME_REJECTED
	picture := func(render, title string, discarded bool) *press.Count {
		return &press.Count{Asked: 1, Rendered: 1, Title: title, Render: render, Discarded: discarded}
	}
	r := &record{
		decks: map[string]*workflowv1.Run{deckRun: ended(ok, ""), dearRun: ended(no, ""), undoneRun: ended(workflowv1.Outcome_OUTCOME_CANCELLED, "")},
		cards: map[string]*card{
			"a": {name: "A", run: ended(ok, deckRun), scores: []int{95}, keys: []string{"a1"}, tokens: 1000},
			"b": {name: "B", run: ended(ok, deckRun), scores: []int{40, 95}, keys: []string{"b1", "b2"}, overspent: "tokens"},
			"c": {name: "C", run: ended(no, deckRun), scores: []int{0}, keys: []string{"c1"}},
			"u": {name: "A", run: ended(workflowv1.Outcome_OUTCOME_COMPENSATED, undoneRun), scores: []int{95}, keys: []string{"u1"}},
		},
		result: &deck{Cards: []workflow.Made{{Name: "A", RenderID: "Ra1"}, {Name: "B", RenderID: "Rb2"}}},
		counts: map[string]*press.Count{
			"a1": picture("Ra1", "A", false), "b1": picture("Rb1", "B", false), "b2": picture("Rb2", "B", false), "c1": picture("Rc1", "C", true), "u1": picture("Ru1", "A", true),
		},
		before: map[string]press.Count{}, ideas: 3,
	}
	for _, key := range []string{"a1", "b1", "b2"} {
		r.before[key] = *r.counts[key]
	}
	return r
}

// TestTheAuditFindsWhatDoesNotAddUp is what the last line of the demonstration rests on.
func TestTheAuditFindsWhatDoesNotAddUp(t *testing.T) {
	if found := clean().audit(); len(found) > 0 {
		t.Fatalf("a clean deck: %q", found)
	}
	for says, spoil := range map[string]func(*record){
		"deck-2 ended":              func(r *record) { r.decks[dearRun].Outcome = workflowv1.Outcome_OUTCOME_SUCCEEDED },
		"was rendered 2 times":      func(r *record) { r.counts["b1"].Rendered = 2 },
		"asked for again after":     func(r *record) { r.counts["a1"].Asked = 2 },
		"which no card asked for":   func(r *record) { r.cards["a"].keys = nil },
		"the press does not know":   func(r *record) { delete(r.counts, "a1") },
		"were finished at the":      func(r *record) { r.before = nil },
		"used 20000 tokens":         func(r *record) { r.cards["a"].tokens = 20000 },
		"is in state draft":         func(r *record) { r.cards["a"].run = &workflowv1.Run{State: "draft"} },
		"is not undone":             func(r *record) { r.cards["u"].run.Outcome = workflowv1.Outcome_OUTCOME_SUCCEEDED },
		"finished with scores [40]": func(r *record) { r.cards["b"].scores = []int{40} },
		"is still there":            func(r *record) { r.counts["c1"].Discarded = false },
		"beyond its budget":         func(r *record) { r.cards["b"].overspent = "" },
		"is in the deck and not":    func(r *record) { r.result.Cards[0].Name = "C" },
		"the picture of B is":       func(r *record) { r.counts["b2"].Discarded = true },
		"finished and not in the":   func(r *record) { r.result.Cards = r.result.Cards[:1] },
	} {
		r := clean()
		spoil(r)
		if found := strings.Join(r.audit(), "\n"); !strings.Contains(found, says) {
			t.Errorf("%q is not found, but %q", says, found)
		}
	}
}
