// Package artists are the two scripted agents of the card creator: a designer who drafts cards and a critic who judges the pictures. Where real ones
// ask a model, these follow rules, so that what they do can be checked; they tell what a model would have used, so that their budgets are real.
package artists

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Asked is what the workflow gives the designer.
type Asked struct {
	// Theme of the deck; Name and Idea of the card.
	Theme string `json:"theme"`
	Name  string `json:"name"`
	Idea  string `json:"idea"`
	// Round counts the drafts of this card from 1; Feedback is what the critic said of the last one.
	Round    int    `json:"round"`
	Feedback string `json:"feedback"`
}

// Draft is what the designer completes a task with.
type Draft struct {
	Title     string `json:"title"`
	Text      string `json:"text"`
	Cost      int    `json:"cost"`
	Power     int    `json:"power"`
	Toughness int    `json:"toughness"`
}

// Verdict is what the critic completes a task with.
type Verdict struct {
	// Score from 0 to 100.
	Score int `json:"score"`
	// Feedback for the designer.
	Feedback string `json:"feedback"`
}

// turn is what one turn of a model uses.
var turn = agent.Usage{Turns: 1, Tokens: 700, CostUSD: 0.004}

// pacer takes the time of one turn, and tells its use.
type pacer struct {
	pace  time.Duration
	clock clock.Clock
}

func (p pacer) think(ctx context.Context, tools *agent.Tools) error {
	c := p.clock
	if c == nil {
		c = clock.Real()
	}
	if err := clock.Sleep(ctx, c, p.pace); err != nil {
		return err
	}
	return tools.Use(ctx, turn)
}

// Designer drafts cards. Some ideas make it wordy or greedy at first, one makes it think too long, and one cannot become a fair card.
type Designer struct {
	// Pace is how long a turn takes. Default: no time.
	Pace time.Duration
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock
}

// turnsOf an idea: a usual one takes two.
func turnsOf(idea string) int {
	if strings.Contains(idea, "all the lore") {
		return 20
	}
	return 2
}

// Work implements agent.Mind.
func (d Designer) Work(ctx context.Context, task agent.Task, tools *agent.Tools) (any, error) {
	var asked Asked
	if err := json.Unmarshal(task.Arguments, &asked); err != nil {
		return nil, fmt.Errorf("the task's arguments: %w", err)
	}
	for range turnsOf(asked.Idea) {
		if err := (pacer{d.Pace, d.Clock}).think(ctx, tools); err != nil {
			return nil, err
		}
	}
	return draft(asked), nil
}

// draft is the same for the same request.
func draft(asked Asked) Draft {
	cost := 1 + (len(asked.Name)+len(asked.Idea))%6
	d := Draft{Title: asked.Name, Text: "A thing of " + asked.Theme + ": " + asked.Idea + ".", Cost: cost, Power: cost, Toughness: cost}
	if strings.Contains(asked.Idea, "saga") && !strings.Contains(asked.Feedback, "too long") {
		d.Text += " It has been told since the first tide, and whoever hears it to the end has to tell it again, from the beginning, to the next."
	}
	if strings.Contains(asked.Idea, "giant") && !strings.Contains(asked.Feedback, "too strong") {
		d.Power = min(9, d.Power+4)
	}
	if strings.Contains(asked.Idea, "wins the game") {
		d.Power, d.Toughness = 9, 9
	}
	return d
}

// Critic judges pictures.
type Critic struct {
	// Pace is how long a turn takes. Default: no time.
	Pace time.Duration
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock
}

const inspect = "press/inspect_card"

// Work implements agent.Mind.
func (c Critic) Work(ctx context.Context, task agent.Task, tools *agent.Tools) (any, error) {
	var asked struct {
		RenderID string `json:"render_id"`
	}
	if err := json.Unmarshal(task.Arguments, &asked); err != nil {
		return nil, fmt.Errorf("the task's arguments: %w", err)
	}
	answer, err := tools.Call(ctx, inspect, map[string]string{"render_id": asked.RenderID})
	if err != nil {
		return nil, err
	}
	if answer.IsError {
		return nil, fmt.Errorf("%s: %s", inspect, answer.Output)
	}
	var seen struct {
		Overflow bool `json:"overflow"`
		Strength int  `json:"strength"`
	}
	if err := json.Unmarshal(answer.Output, &seen); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", inspect, err)
	}
	if err := (pacer{c.Pace, c.Clock}).think(ctx, tools); err != nil {
		return nil, err
	}
	return judge(seen.Overflow, seen.Strength), nil
}

// judge scores what was seen on a picture.
func judge(overflow bool, strength int) Verdict {
	v, notes := Verdict{Score: 95}, []string{}
	if overflow {
		v.Score -= 35
		notes = append(notes, "the text is too long for the card")
	}
	if strength > 0 {
		v.Score = max(0, v.Score-10*strength)
		notes = append(notes, "it is too strong for its cost")
	}
	if v.Feedback = strings.Join(notes, "; "); v.Feedback == "" {
		v.Feedback = "it is good as it is"
	}
	return v
}
