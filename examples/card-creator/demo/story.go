package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// card is the story of one card, told by its run's history.
type card struct {
	run  *workflowv1.Run
	name string
	// scores that the critic gave, with their feedback.
	scores   []int
	feedback []string
	// overspent is the error of a task that went over its budget.
	overspent string
	// tokens that were told; pictures that were asked for, by their keys.
	tokens uint64
	keys   []string
}

// stories are those of a deck's cards, in the order in which they were begun.
func (d *demo) stories(ctx context.Context, deck string) ([]*card, error) {
	runs, err := d.cards(ctx, deck)
	if err != nil {
		return nil, err
	}
	begun := slices.SortedFunc(maps.Values(runs), func(a, b *workflowv1.Run) int {
		return cmp.Or(a.GetStartTime().AsTime().Compare(b.GetStartTime().AsTime()), strings.Compare(a.GetId(), b.GetId()))
	})
	var all []*card
	for _, run := range begun {
		c, err := d.story(ctx, run)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// story reads the history of a card.
func (d *demo) story(ctx context.Context, run *workflowv1.Run) (*card, error) {
	c := &card{run: run}
	history, err := d.read.History(ctx, run.GetId())
	if err != nil {
		return nil, err
	}
	used := map[string]uint64{} // by step: what was told of its last task
	for _, ev := range history {
		switch f := ev.GetFact().(type) {
		case *workflowv1.HistoryEvent_RunStarted:
			var input struct {
				Name string `json:"name"`
			}
			if err := json.Unmarshal(f.RunStarted.GetInput().GetInline(), &input); err != nil {
				return nil, fmt.Errorf("input of %s: %w", run.GetId(), err)
			}
			c.name = input.Name
		case *workflowv1.HistoryEvent_TaskOffered:
			c.tokens += used[f.TaskOffered.GetStepPath()]
			used[f.TaskOffered.GetStepPath()] = 0
		case *workflowv1.HistoryEvent_UsageReported:
			used[f.UsageReported.GetStepPath()] = f.UsageReported.GetTokens()
		case *workflowv1.HistoryEvent_OperationIntended:
			if op := f.OperationIntended.GetOperation(); op.GetTool() == "render_card" && op.GetAttempt() <= 1 {
				c.keys = append(c.keys, op.GetIdempotencyKey())
			}
		case *workflowv1.HistoryEvent_ErrorHandled:
			if p := f.ErrorHandled.GetProblem(); strings.Contains(p.GetMessage(), "the agent has used") {
				c.overspent = p.GetMessage()
			}
		case *workflowv1.HistoryEvent_StepCompleted:
			if err := c.judged(f.StepCompleted); err != nil {
				return nil, err
			}
		}
	}
	for _, tokens := range used {
		c.tokens += tokens
	}
	return c, nil
}

// judged takes up what the critic said.
func (c *card) judged(done *workflowv1.StepCompleted) error {
	if done.GetStepId() != "verdict" {
		return nil
	}
	var verdict struct {
		Score    int    `json:"score"`
		Feedback string `json:"feedback"`
	}
	if err := json.Unmarshal(done.GetOutput().GetInline(), &verdict); err != nil {
		return fmt.Errorf("verdict of %s: %w", c.run.GetId(), err)
	}
	c.scores, c.feedback = append(c.scores, verdict.Score), append(c.feedback, verdict.Feedback)
	return nil
}

// line tells the story in a line.
func (c *card) line() string {
	var b strings.Builder
	if c.overspent != "" {
		b.WriteString(c.overspent + ", so it gets a plain draft: ")
	}
	for i, score := range c.scores {
		last := i == len(c.scores)-1
		fmt.Fprintf(&b, "%d", score)
		if last != succeeded(c.run) && (last || c.feedback[i] != c.feedback[i+1]) {
			fmt.Fprintf(&b, " (%s)", c.feedback[i])
		}
		if !last {
			b.WriteString(" → ")
		}
	}
	if !succeeded(c.run) {
		fmt.Fprintf(&b, ": given up, %d pictures thrown away", c.run.GetCounters().GetCompensated())
	}
	return fmt.Sprintf("%-17s %s", c.name, b.String())
}
