package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/journal"
	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/attendant"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/relay"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// How fast people speak here, and how long the attendant thinks: so that there is something to see and to interrupt.
const (
	perWord  = 70 * time.Millisecond
	thinking = 150 * time.Millisecond
)

// demo is everything on the stage.
type demo struct {
	page    *stage.Page
	box     *stage.Box
	read    *stage.Reader
	control string // of the exchange
	calls   []*call
}

// call is one call that is played.
type call struct {
	id, name string
	relay    *relay.Relay
	// spoken is when the relay will have spoken its last words.
	spoken time.Duration
	// outcome, answered and callback are what is expected of it: how it ends, how many utterances get a reply, what becomes of a booking.
	outcome  string
	answered int
	callback exchange.Kind
}

// open builds and starts everything.
func (d *demo) open(ctx context.Context) error {
	p := d.page
	p.Print(p.Bold("Signalbox: three telephone calls, and a crash in the middle of one") + "\n")
	p.Section("The stage is set", "")
	if err := d.box.Build(ctx, "github.com/signalbox-dev/signalbox/examples/voice-relay/cmd/telephony"); err != nil {
		return err
	}
	process, mcp, control, err := d.box.Serve(ctx, "telephony", "--journal", d.journal(), "--per-word", perWord.String())
	if err != nil {
		return err
	}
	d.control = control
	p.Line("the telephone exchange is an MCP server (pid %d); it takes %s to speak a word", process.PID(), stage.Took(perWord))
	if d.read, err = d.box.StartSuite(ctx, workflow.Config(mcp), workflow.Namespace); err != nil {
		return err
	}
	if err := d.box.Register(ctx, workflow.File, workflow.Source()); err != nil {
		return err
	}
	p.Line("two attendants wait for tasks over gRPC; they follow rules where real ones ask a model")
	return d.box.Work(workflow.Namespace, workflow.Agent, attendant.Mind{Pace: thinking}, "ann", "bob")
}

func (d *demo) journal() string { return filepath.Join(d.box.Dir, "exchange.jsonl") }

// entries are what the exchange did for a call; of all calls, with none.
func (d *demo) entries(c *call) ([]exchange.Entry, error) {
	all, err := journal.Read[exchange.Entry](d.journal())
	if err != nil || c == nil {
		return all, err
	}
	var out []exchange.Entry
	for _, e := range all {
		if e.Call == c.id {
			out = append(out, e)
		}
	}
	return out, nil
}

// dial lets somebody ring, and starts the run of the call.
func (d *demo) dial(ctx context.Context, id, name, number string) (*call, error) {
	c := &call{id: id, name: name, relay: &relay.Relay{Control: d.read.Control, RunID: id, PerWord: perWord}}
	if err := d.ask(ctx, "/ring", url.Values{"call": {id}, "caller": {number}}); err != nil {
		return nil, err
	}
	if err := d.read.Start(ctx, workflow.Name, id, "ring/"+id, workflow.Input{CallID: id, Number: number}); err != nil {
		return nil, err
	}
	d.calls = append(d.calls, c)
	d.page.Line("%s calls from %s: run %s", name, number, id)
	return c, nil
}

func (d *demo) ask(ctx context.Context, path string, query url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.control+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the exchange's control endpoint: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the exchange's control endpoint: %s: %s", path, resp.Status)
	}
	return nil
}

// isReply tells words that answer an utterance from greetings and reminders.
func isReply(e exchange.Entry) bool {
	return e.Kind == exchange.Said && strings.Contains(e.Key, "/reply/")
}

// hears waits until the exchange has done something for a call, and tells the words.
func (d *demo) hears(ctx context.Context, c *call, what string, done func(exchange.Entry) bool) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	for {
		all, err := d.entries(c)
		if err != nil {
			return err
		}
		for _, e := range all {
			if done(e) {
				if e.Kind == exchange.Said {
					d.page.Line("relay   “%s”", e.Text)
					c.spoken = d.page.Age() + time.Duration(len(strings.Fields(e.Text)))*perWord
				}
				return nil
			}
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("%s of call %s does not come: %w", what, c.id, err)
		}
	}
}

// greeted waits for the first words.
func (d *demo) greeted(ctx context.Context, c *call) error {
	return d.hears(ctx, c, "the greeting", func(e exchange.Entry) bool { return e.Kind == exchange.Said })
}

// utterance is what a caller says, and how.
type utterance struct {
	relay.Words
	// interrupts: while the relay is still speaking.
	interrupts bool
}

// says lets the caller say something and waits for the reply.
func (d *demo) says(ctx context.Context, c *call, u utterance) error {
	if !u.interrupts {
		if err := d.listens(ctx, c); err != nil {
			return err
		}
	}
	about := fmt.Sprintf("   (%d partial transcripts, then the final one)", len(strings.Fields(u.Text)))
	if u.BreakOff {
		about = fmt.Sprintf("   (%d partial transcripts; the final one does not come)", len(strings.Fields(u.Text)))
	}
	if u.interrupts {
		about = "   (while the relay is still speaking)"
	}
	d.page.Line("%-7s “%s”%s", strings.ToLower(c.name), u.Text, d.page.Dim(about))
	if err := c.relay.Say(ctx, u.Words); err != nil {
		return err
	}
	c.answered++
	key := fmt.Sprintf("%s/reply/%d", c.id, c.relay.Utterances())
	return d.hears(ctx, c, "the reply", func(e exchange.Entry) bool { return e.Kind == exchange.Said && e.Key == key })
}

// listens lets the relay finish.
func (d *demo) listens(ctx context.Context, c *call) error {
	return clock.Sleep(ctx, clock.Real(), c.spoken-d.page.Age())
}
