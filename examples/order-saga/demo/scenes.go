package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/order-saga/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

const (
	orderFlow = "order-saga"
	namespace = "default"
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
func (d *demo) open(ctx context.Context) (err error) {
	p := d.page
	p.Print(p.Bold("Signalbox: an order over four services, all of it or none of it") + "\n")
	p.Section("The stage is set", "")
	if d.dir, err = os.MkdirTemp("", "signalbox-saga-"); err != nil {
		return err
	}
	bin := d.bin
	if bin == "" {
		if bin, err = suite.Build(ctx, d.dir); err != nil {
			return err
		}
	}
	d.books = shops.NewBooks(map[string]int{"lamp": 60, "chair": 25, "desk": 9})
	d.faults = shops.NewFaults(d.seed, 6, 6, 20*time.Millisecond)
	if d.servers, err = shops.Serve(d.books, d.faults); err != nil {
		return err
	}
	p.Line("inventory, payment, shipping and notification are MCP servers; of a hundred calls 6 lose their answer and 6 find nobody there")
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if d.suite, err = suite.Start(ctx, suite.Options{Binary: bin, Dir: d.dir, Config: d.servers.Config()}); err != nil {
		return err
	}
	if d.read, err = stage.NewReader(d.suite, namespace); err != nil {
		return err
	}
	for _, name := range workflow.Order {
		source, err := workflow.Files.ReadFile(name)
		if err != nil {
			return err
		}
		resp, err := d.read.Apply(ctx, name, source)
		if err != nil {
			return err
		}
		for _, f := range resp.GetFindings() {
			p.More("%s:%d: %s: %s", name, f.GetLine(), f.GetRule(), f.GetMessage())
		}
		p.Line("%s %s is registered", resp.GetDefinition().GetName(), resp.GetDefinition().GetVersion())
	}
	d.atWork()
	return nil
}

// atWork lets two people answer what is asked of them, until the end: large orders need both.
func (d *demo) atWork() {
	ctx, cancel := context.WithCancel(context.Background())
	var people sync.WaitGroup
	for _, name := range []string{"Ann", "Ben"} {
		people.Go(func() {
			for clock.Sleep(ctx, clock.Real(), 4*stage.Blink) == nil {
				d.answerAll(ctx, name)
			}
		})
	}
	d.stop = func() {
		cancel()
		people.Wait()
	}
}

func (d *demo) answerAll(ctx context.Context, name string) {
	resp, err := d.read.Inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{Namespace: namespace, Role: "fulfilment"})
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
			Namespace: namespace, EscalationId: e.GetId(), Decision: decision, DecidedBy: name, Roles: []string{"fulfilment"},
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
			resp, err := stage.Insist(ctx, func(ctx context.Context) (*statev1.PublishEventResponse, error) {
				return d.read.Events.PublishEvent(ctx, &statev1.PublishEventRequest{Namespace: namespace, Event: &workflowv1.EmittedEvent{
					Id: o.OrderID, Type: "order.placed", Source: "shop", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: data}},
				}})
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
		began := d.page.Age()
		d.suite.KillAll()
		if err := d.suite.StartAll(ctx); err != nil {
			return err
		}
		d.page.Line("killed with %d orders over; back after %s", at, stage.Took(d.page.Age()-began))
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
		over := 0
		for _, run := range runs {
			if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
				over++
			}
		}
		if over >= n {
			return nil
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("%d of %d orders are over when the time is: %w%s", over, len(d.orders), err, d.why(runs))
		}
	}
}

// why names what the orders that are not over wait for.
func (d *demo) why(runs map[string]*workflowv1.Run) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var b strings.Builder
	for id, run := range runs {
		if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			continue
		}
		why, err := d.read.Control.ExplainRun(ctx, &schedulerv1.ExplainRunRequest{Namespace: namespace, RunId: id})
		fmt.Fprintf(&b, "\n  %s: %s (%v)", id, why.GetSummary(), err)
	}
	return b.String()
}

// runs are those of the orders, by run id.
func (d *demo) runs(ctx context.Context) (map[string]*workflowv1.Run, error) {
	all, err := d.read.List(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(_ string, run *workflowv1.Run) bool { return run.GetWorkflow() != orderFlow })
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
		ends[strings.ToLower(strings.TrimPrefix(outcome.String(), "OUTCOME_"))]++
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
	wrong = append(append(wrong, differ...), d.books.Wrong()...)
	p.Sum("orders", fmt.Sprintf("%d: %s", len(runs), counted(ends)))
	p.Sum("effects", counted(d.books.Done()))
	p.Sum("events", fmt.Sprintf("%d order.fulfilled", d.published(ctx, "order.fulfilled")))
	p.Sum("replay", fmt.Sprintf("%d of %d histories fold to their runs", len(runs)-len(differ), len(runs)))
	if len(wrong) > 0 {
		return fmt.Errorf("the books do not agree:\n  %s", strings.Join(wrong, "\n  "))
	}
	p.Line("%s", p.Bold("Every order is there as a whole, or not at all; nothing happened twice."))
	return nil
}

func (d *demo) published(ctx context.Context, kind string) int {
	events, err := d.read.Published(ctx, kind)
	if err != nil {
		return -1
	}
	return len(events)
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
