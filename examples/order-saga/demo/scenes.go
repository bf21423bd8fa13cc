package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/order-saga/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// order is what a customer wants.
type order struct {
	OrderID     string `json:"order_id"`
	Customer    string `json:"customer"`
	Item        string `json:"item"`
	Quantity    int    `json:"quantity"`
	AmountCents int    `json:"amount_cents"`
}

// open starts the four services and Signalbox, and hands the workflows over.
func (d *demo) open(ctx context.Context) error {
	p := d.page
	p.Print(p.Bold("Signalbox: an order over four services, all of it or none of it") + "\n")
	p.Section("The stage is set", "")
	if err := d.box.Build(ctx); err != nil {
		return err
	}
	d.books = shops.NewBooks(map[string]int{"lamp": 60, "chair": 25, "desk": 9})
	d.faults = shops.NewFaults(d.seed, 6, 6, 20*time.Millisecond)
	servers, err := shops.Serve(d.books, d.faults)
	if err != nil {
		return err
	}
	d.box.AtEnd(servers.Close)
	p.Line("inventory, payment, shipping and notification are MCP servers; of a hundred calls 6 lose their answer and 6 find nobody there")
	if d.read, err = d.box.StartSuite(ctx, servers.Config(), workflow.Namespace); err != nil {
		return err
	}
	for _, name := range workflow.Order {
		source, err := workflow.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := d.box.Register(ctx, name, source); err != nil {
			return err
		}
	}
	// Two people answer what is asked of them, until the end: large orders need both.
	for _, name := range []string{"Ann", "Ben"} {
		d.box.Go(func(ctx context.Context) {
			for clock.Sleep(ctx, clock.Real(), 4*stage.Blink) == nil {
				d.answerAll(ctx, name)
			}
		})
	}
	return nil
}

// answerAll answers what is asked of a person at the moment.
func (d *demo) answerAll(ctx context.Context, name string) {
	resp, err := d.read.Inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{Namespace: workflow.Namespace, Role: workflow.Role})
	if err != nil {
		return // it is away; it is asked again
	}
	for _, e := range resp.GetEscalations() {
		decision, value := e.GetOpened().GetDecisions()[0], []byte(nil)
		if e.GetOpened().GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME {
			decision, value = d.lookUp(e.GetOpened().GetSubject().GetInline())
		}
		// A refusal tells that the other was quicker, or that this one has answered before.
		_, _ = d.read.Inbox.Resolve(ctx, &escalationv1.ResolveRequest{
			Namespace: workflow.Namespace, EscalationId: e.GetId(), Decision: decision, DecidedBy: name, Roles: []string{workflow.Role},
			SubjectDigest: e.GetOpened().GetSubjectDigest(), RequestId: name + e.GetId(), Value: value,
		})
	}
}

// lookUp answers whether a call happened whose answer was lost, by looking into the book of its service. It is asked of people where no READ tool
// can tell: whether a message was sent.
func (d *demo) lookUp(arguments []byte) (decision string, value []byte) {
	var call struct {
		OrderID     string  `json:"order_id"`
		Text        string  `json:"text"`
		Token       *string `json:"token"`
		AmountCents int     `json:"amount_cents"`
	}
	if json.Unmarshal(arguments, &call) != nil {
		return "did_not_happen", nil
	}
	at := d.books.Order(call.OrderID)
	switch {
	case call.Text != "" && d.books.Told(call.Text), call.Token != nil && at.Reserved:
		return "happened", []byte(`{"done":true}`)
	case call.Text != "" || call.Token != nil:
	case call.AmountCents > 0 && at.Charged:
		return "happened", []byte(`{"charge_id":"ch-` + call.OrderID + `"}`)
	case call.AmountCents == 0 && at.Booked:
		return "happened", []byte(`{"tracking":"T-` + call.OrderID + `"}`)
	}
	return "did_not_happen", nil
}

// place publishes an event for each order, and each event twice.
func (d *demo) place(ctx context.Context) error {
	d.page.Section("Orders come in", "Each is an event, and each event comes twice. Some customers have no money, no address, or bad intentions; some orders are large.")
	dice := rand.New(rand.NewPCG(d.seed, 0x73616761))
	fresh := 0
	for i := range d.options.orders {
		o := order{
			OrderID: fmt.Sprintf("o-%03d", i+1), Customer: []string{"ada", "max", "eve", "ada", "max", "poor", "mallory", "nowhere"}[dice.IntN(8)],
			Item: []string{"lamp", "chair", "desk"}[dice.IntN(3)], Quantity: 1 + dice.IntN(2), AmountCents: 1000 + dice.IntN(60_000),
		}
		d.orders = append(d.orders, o)
		data, err := json.Marshal(o)
		if err != nil {
			return err
		}
		for range 2 {
			resp, err := d.read.Publish(ctx, &workflowv1.EmittedEvent{
				Id: o.OrderID, Type: workflow.Placed, Source: "shop", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: data}},
			})
			if err != nil {
				return err
			}
			if resp.GetPublished() {
				fresh++
			}
		}
	}
	d.page.Line("%d events published, %d of them new", 2*len(d.orders), fresh)
	return nil
}

// kill kills the whole of Signalbox while orders are under way.
func (d *demo) kill(ctx context.Context) error {
	if d.kills > 0 {
		d.page.Section("Signalbox is killed in mid-work", "kill -9, each time, and nothing is told to anybody.")
	}
	for n := range d.kills {
		// After some orders have ended, and before all have.
		at := (n + 1) * len(d.orders) / (d.kills + 2)
		if err := d.waitFor(ctx, at); err != nil {
			return err
		}
		took, err := d.box.Crash(ctx)
		if err != nil {
			return err
		}
		d.page.Line("killed with %d orders over; back after %s", at, stage.Took(took))
	}
	return nil
}

// waitFor waits until so many orders are over.
func (d *demo) waitFor(ctx context.Context, n int) error {
	for {
		runs, err := d.runs(ctx)
		if err != nil {
			return err
		}
		var open []string
		for id, run := range runs {
			if !stage.IsOver(run) {
				open = append(open, id)
			}
		}
		over := len(runs) - len(open)
		if over >= n {
			return nil
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("%d of %d orders are over when the time is: %w%s", over, len(d.orders), err, d.read.Whys(open))
		}
	}
}

// runs are those of the orders, by run id.
func (d *demo) runs(ctx context.Context) (map[string]*workflowv1.Run, error) {
	all, err := d.read.List(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(_ string, run *workflowv1.Run) bool { return run.GetWorkflow() != workflow.Name })
	return all, nil
}

// finish waits until every order is over.
func (d *demo) finish(ctx context.Context) error {
	if err := d.waitFor(ctx, len(d.orders)); err != nil {
		return err
	}
	// The undo of an order's shipping is the shipping's own; it is over before the order is. What is left are confirmations of locks.
	lost, refused := d.faults.Counts()
	d.page.Line("all %d orders are over; %d answers were lost on the way, and %d calls found nobody there", len(d.orders), lost, refused)
	return nil
}

// audit reads the books and compares them with what the runs say.
func (d *demo) audit(ctx context.Context) error {
	p := d.page
	p.Section("The books", "What the four services wrote down, against what the runs say.")
	runs, err := d.runs(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	seen, ends := map[string]bool{}, map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		o, err := d.orderOf(ctx, id)
		if err != nil {
			return err
		}
		if seen[o.OrderID] {
			wrong = append(wrong, fmt.Sprintf("order %s has two runs", o.OrderID))
		}
		seen[o.OrderID] = true
		at, outcome := d.books.Order(o.OrderID), runs[id].GetOutcome()
		ends[strings.ToLower(stage.Outcome(outcome))]++
		fulfilled := outcome == workflowv1.Outcome_OUTCOME_SUCCEEDED || outcome == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
		if fulfilled && !at.Whole() || !fulfilled && !at.Nothing() {
			wrong = append(wrong, fmt.Sprintf("order %s (%s) is %s, and stands as %+v", o.OrderID, id, outcome, at))
		}
	}
	if len(seen) != len(d.orders) {
		wrong = append(wrong, fmt.Sprintf("%d orders have a run, of %d that were placed", len(seen), len(d.orders)))
	}
	differ, err := d.read.Replays(ctx, slices.Sorted(maps.Keys(runs)))
	if err != nil {
		return err
	}
	fulfilled, err := d.read.Published(ctx, workflow.Fulfilled)
	if err != nil {
		return err
	}
	wrong = append(append(wrong, differ...), d.books.Wrong()...)
	p.Sum("orders", fmt.Sprintf("%d: %s", len(runs), counted(ends)))
	p.Sum("effects", counted(d.books.Done()))
	p.Sum("events", fmt.Sprintf("%d %s", len(fulfilled), workflow.Fulfilled))
	p.Sum("replay", fmt.Sprintf("%d of %d histories fold to their runs", len(runs)-len(differ), len(runs)))
	return p.Verdict("Every order is there as a whole, or not at all; nothing happened twice", wrong)
}

// orderOf is the order of a run: its input.
func (d *demo) orderOf(ctx context.Context, runID string) (o order, err error) {
	history, err := d.read.History(ctx, runID)
	if err != nil || len(history) == 0 {
		return o, fmt.Errorf("history of %s: %w", runID, err)
	}
	return o, json.Unmarshal(history[0].GetRunStarted().GetInput().GetInline(), &o)
}

func counted(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(parts, ", ")
}
