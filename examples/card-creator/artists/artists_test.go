package artists

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFeedbackMendsADraft: what the critic sees of a draft leads to feedback that the next draft heeds, save for the idea that cannot be fair.
func TestFeedbackMendsADraft(t *testing.T) {
	for idea, scores := range map[string][]int{
		"a bird that counts the waves":     {95},
		"a giant that leans on a wall":     {65, 95},
		"the saga of the first clock":      {60, 95},
		"whoever plays it wins the game":   {0, 0, 0},
		"the saga of a giant in the harbo": {20, 95},
	} {
		asked := Asked{Theme: "Tidal Clockwork", Name: "N", Idea: idea}
		var got []int
		for round := range scores {
			asked.Round = round + 1
			d := draft(asked)
			v := judge(len(d.Text) > 100, d.Power+d.Toughness-2*d.Cost)
			got = append(got, v.Score)
			asked.Feedback = v.Feedback
		}
		for i, want := range scores {
			if got[i] != want {
				t.Errorf("%q: scores %v, want %v", idea, got, scores)
				break
			}
		}
	}
	if v := judge(true, 2); v.Score != 40 || !strings.Contains(v.Feedback, "too long") || !strings.Contains(v.Feedback, "too strong") {
		t.Errorf("%+v", v)
	}
	if turnsOf("all the lore of the coast") <= turnsOf("a bird") {
		t.Error("some ideas make one think too long")
	}
}
