// Package attendant drafts what the relay says. Where a real one asks a model, this one follows rules, so that what it says can be checked.
package attendant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Asked is what the workflow gives with a task.
type Asked struct {
	// Name of the caller; empty: not known.
	Name string `json:"name"`
	// Text is what they said last.
	Text string `json:"text"`
	// Held tells that a callback is held for them and not confirmed; Slot is when.
	Held bool   `json:"held"`
	Slot string `json:"slot"`
}

// The intents of a draft.
const (
	Answer   = "answer"   // say it, and listen
	Book     = "book"     // hold the slot, say it, and listen
	Confirm  = "confirm"  // the caller wants what is held
	Decline  = "decline"  // the caller does not want it
	Operator = "operator" // a person has to take over
	Goodbye  = "goodbye"  // say it, and end the call
)

// Draft is what the attendant completes a task with.
type Draft struct {
	Intent string `json:"intent"`
	// Reply to say.
	Reply string `json:"reply"`
	// Slot to hold, with Book; else empty.
	Slot string `json:"slot"`
}

// Mind drafts.
type Mind struct {
	// Pace is how long a draft takes. Default: no time.
	Pace time.Duration
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock
}

const findSlots = "telephony/find_slots"

// Work implements agent.Mind.
func (m Mind) Work(ctx context.Context, task agent.Task, tools *agent.Tools) (any, error) {
	var asked Asked
	if err := json.Unmarshal(task.Arguments, &asked); err != nil {
		return nil, fmt.Errorf("the task's arguments: %w", err)
	}
	c := m.Clock
	if c == nil {
		c = clock.Real()
	}
	if err := clock.Sleep(ctx, c, m.Pace); err != nil {
		return nil, err
	}
	return m.draft(ctx, asked, tools)
}

func (m Mind) draft(ctx context.Context, asked Asked, tools *agent.Tools) (Draft, error) {
	text := strings.ToLower(asked.Text)
	switch {
	case says(text, "person", "human", "operator"):
		return Draft{Intent: Operator, Reply: "One moment, I will get a colleague."}, nil
	case asked.Held && says(text, "yes", "please", "fine", "good", "keep"):
		return Draft{Intent: Confirm, Reply: fmt.Sprintf("Done: a colleague calls you on %s. Is there anything else?", asked.Slot)}, nil
	case asked.Held && says(text, "no", "not", "don't"):
		return Draft{Intent: Decline, Reply: "I have let it go. Is there anything else?"}, nil
	case says(text, "call me back", "callback", "call back", "ring me"):
		return m.offer(ctx, text, tools)
	case says(text, "open", "hours", "closed"):
		return Draft{Intent: Answer, Reply: "We are open from nine to five, Monday to Friday. Is there anything else?"}, nil
	case says(text, "bye", "no", "nothing", "that is all"):
		return Draft{Intent: Goodbye, Reply: "Thank you for calling. Goodbye."}, nil
	default:
		return Draft{Intent: Answer, Reply: "I did not quite get that. Could you say it again?"}, nil
	}
}

// offer looks for a slot, by the tool that the task allows.
func (m Mind) offer(ctx context.Context, text string, tools *agent.Tools) (Draft, error) {
	answer, err := tools.Call(ctx, findSlots, struct{}{})
	if err != nil {
		return Draft{}, err
	}
	var free struct {
		Slots []string `json:"slots"`
	}
	if err := json.Unmarshal(answer.Output, &free); err != nil {
		return Draft{}, fmt.Errorf("answer of %s: %w", findSlots, err)
	}
	if len(free.Slots) == 0 {
		return Draft{Intent: Operator, Reply: "Nobody is free this week; one moment, I will get a colleague."}, nil
	}
	slot := free.Slots[0]
	if i := slices.IndexFunc(free.Slots, func(s string) bool { return says(text, strings.ToLower(strings.Fields(s)[0])) }); i >= 0 {
		slot = free.Slots[i]
	}
	return Draft{Intent: Book, Slot: slot, Reply: fmt.Sprintf("I hold %s for you. Shall I keep it?", slot)}, nil
}

// says reports whether a text has one of some words or phrases, as whole words.
func says(text string, phrases ...string) bool {
	padded := " " + strings.Map(func(r rune) rune {
		if strings.ContainsRune(".,!?;:", r) {
			return ' '
		}
		return r
	}, text) + " "
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(padded, " "+p+" ") })
}
