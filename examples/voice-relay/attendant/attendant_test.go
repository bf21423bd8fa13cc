package attendant_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/attendant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a door with one task behind it, and slots that are free. It ends the work when the task has ended.
type door struct {
	asked  attendant.Asked
	free   string
	calls  int
	output json.RawMessage
	failed string
	end    context.CancelFunc
}

func (d *door) Claim(ctx context.Context, _ string) (agent.Job, error) {
	if ctx.Err() != nil || d.output != nil || d.failed != "" {
		return nil, ctx.Err()
	}
	return d, nil
}

func (d *door) Task() agent.Task {
	args, _ := json.Marshal(d.asked)
	return agent.Task{ID: "t", Arguments: args}
}

func (d *door) Call(_ context.Context, c agent.Call) (agent.Answer, error) {
	d.calls++
	return agent.Answer{Output: json.RawMessage(d.free)}, nil
}

func (d *door) Heartbeat(context.Context, agent.Usage) error { return nil }

func (d *door) Complete(_ context.Context, output json.RawMessage) error {
	d.output = output
	d.end()
	return nil
}

func (d *door) Fail(_ context.Context, why string) error {
	d.failed = why
	d.end()
	return nil
}

func (d *door) Close() {}

func TestWhatIsSaidLeadsToOneIntent(t *testing.T) {
	const free = `{"slots": ["Tuesday 10:00", "Wednesday 09:00"]}`
	for _, c := range []struct {
		text   string
		held   bool
		free   string
		intent string
		slot   string
	}{
		{"Hello, when are you open?", false, free, attendant.Answer, ""},
		{"Please call me back on Wednesday", false, free, attendant.Book, "Wednesday 09:00"},
		{"A callback would be nice.", false, free, attendant.Book, "Tuesday 10:00"},
		{"A callback would be nice.", false, `{"slots": []}`, attendant.Operator, ""},
		{"Yes, please.", true, free, attendant.Confirm, ""},
		{"Yes, please.", false, free, attendant.Answer, ""},
		{"No, I do not want it", true, free, attendant.Decline, ""},
		{"No, that is all.", false, free, attendant.Goodbye, ""},
		{"I know nobody there", true, free, attendant.Answer, ""},
		{"Can I speak to a human?", true, free, attendant.Operator, ""},
	} {
		ctx, end := context.WithCancel(t.Context())
		d := &door{asked: attendant.Asked{Text: c.text, Held: c.held, Slot: "Friday"}, free: c.free, end: end}
		(&agent.Worker{Name: "w", Door: d, Mind: attendant.Mind{}, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
		var got attendant.Draft
		if err := json.Unmarshal(d.output, &got); err != nil || got.Intent != c.intent || got.Slot != c.slot || got.Reply == "" {
			t.Errorf("%q (held: %v): %+v, %v %s; want %s %q", c.text, c.held, got, err, d.failed, c.intent, c.slot)
		}
		end()
	}
}
