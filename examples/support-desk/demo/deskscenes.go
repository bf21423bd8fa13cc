package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// exited is the desk's exit status when a fault switch ended it.
const exited = 70

// deskDies works many cases while the tool server dies twice: once by itself, between an effect and its answer, and once by kill -9.
func (d *demo) deskDies(ctx context.Context) error {
	d.page.Section("2 · Many complaints, and the tool server dies", "The desk will make one refund and die before it answers; later it is killed at a random moment. Nobody can tell "+
		"from the silence whether a lost call had its effect.")
	ended := make(chan int, 8)
	d.desk.WhenItEnds(func(status int) { ended <- status })
	defer d.desk.WhenItEnds(nil)
	if err := d.arm(ctx, faults.Rule{ID: "die", Kind: faults.ExitAfter, Tool: "create_refund", Count: 1}); err != nil {
		return err
	}
	letters, err := d.send(ctx, d.share(35))
	if err != nil {
		return err
	}
	d.page.Line("%s come in", stage.Count(len(letters), "letter", "letters"))
	d.quote(letters, 5)
	within, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	select {
	case status := <-ended:
		how := fmt.Sprintf("exit status %d", status)
		if status == exited {
			how += ": the fault switch"
		}
		d.page.Line("the desk (pid %d) has ended, %s", d.desk.PID(), how)
	case <-within.Done():
		return fmt.Errorf("no refund was made, so the desk did not die: %w", within.Err())
	}
	if err := d.deskBack(ctx); err != nil {
		return err
	}
	after := d.random(300*time.Millisecond, 1500*time.Millisecond)
	if err := pause(ctx, after); err != nil {
		return err
	}
	d.desk.Kill()
	d.page.Line("the desk (pid %d) is killed with -9, %s later", d.desk.PID(), stage.Took(after))
	if err := d.deskBack(ctx); err != nil {
		return err
	}
	if _, err := d.until(ctx, letters, noneMoves(letters)); err != nil {
		return err
	}
	return d.showUnknown(ctx)
}

// deskBack starts the desk again, as its supervisor would.
func (d *demo) deskBack(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	if err := pause(ctx, d.random(200*time.Millisecond, 500*time.Millisecond)); err != nil {
		return err
	}
	if err := d.desk.Start(within); err != nil {
		return err
	}
	d.page.Line("the desk is back (pid %d), on the same file", d.desk.PID())
	return d.closeOwnBreaker(ctx)
}

// closeOwnBreaker does what an operator would who has mended a tool server. Agents' calls, probes and undos count for the server's own
// breaker, which the workflow's declaration does not govern: once open, it would stay so for half a minute.
func (d *demo) closeOwnBreaker(ctx context.Context) error {
	resp, err := stage.Insist(ctx, func(ctx context.Context) (*recoveryv1.ListBreakersResponse, error) {
		return d.read.Recovery.ListBreakers(ctx, &recoveryv1.ListBreakersRequest{Server: workflow.Server, OnlyTroubled: true})
	})
	if err != nil {
		return err
	}
	for _, b := range resp.GetBreakers() {
		if b.GetRef().GetName() != "" || b.GetState() != recoveryv1.BreakerState_BREAKER_STATE_OPEN {
			continue
		}
		d.page.Line("breaker %s, which counts the agents' calls, is OPEN%s. Its operator closes it: the desk is back", breakerName(b), cause(b))
		_, err := stage.Insist(ctx, func(ctx context.Context) (*recoveryv1.ForceBreakerResponse, error) {
			return d.read.Recovery.ForceBreaker(ctx, &recoveryv1.ForceBreakerRequest{
				Breaker: b.GetRef(), Force: recoveryv1.BreakerForce_BREAKER_FORCE_CLOSED, Duration: durationpb.New(time.Second),
				Reason: "the desk is back", RequestId: fmt.Sprintf("desk-%d-%s", d.desk.PID(), d.page.Age()),
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// showUnknown tells of every write whose answer was lost so far, and what the shop's books say of it.
func (d *demo) showUnknown(ctx context.Context) error {
	entries, err := d.read.Ledger(ctx, "", true)
	if err != nil {
		return err
	}
	var writes []*statev1.LedgerEntry
	for _, e := range entries {
		if e.GetOperation().GetEffect() > workflowv1.Effect_EFFECT_READ {
			writes = append(writes, e)
		}
	}
	d.page.Line("%s. What ledger and shop say of them:", stage.Count(len(writes), "write lost its answer", "writes lost their answers"))
	effects, err := d.effects()
	if err != nil {
		return err
	}
	for _, e := range writes {
		op := e.GetOperation()
		d.page.Item("%-20s %-17s %s; effects in the shop: %d", e.GetRunId(), op.GetTool(), settlement(op), effects[e.GetRunId()+"/"+op.GetId()])
	}
	return nil
}

// effects counts the effects in the shop's file by operation.
func (d *demo) effects() (map[string]int, error) {
	f, err := check.Open(d.shopFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	journal, err := f.Journal()
	if err != nil {
		return nil, err
	}
	by := map[string]int{}
	for _, e := range journal {
		by[e.Operation]++
	}
	return by, nil
}

// breakerOpens keeps the desk away until its breaker opens, and lets it come back.
func (d *demo) breakerOpens(ctx context.Context) error {
	d.page.Section("3 · The tool server stays away, and its breaker opens", "Four failures among ten calls open the breaker: calls then wait instead of hammering a server that is down.")
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	changes, err := d.watchBreakers(ctx)
	if err != nil {
		return err
	}
	d.desk.Kill()
	d.page.Line("the desk (pid %d) is killed and not started again", d.desk.PID())
	letters, err := d.send(ctx, max(5, d.share(15)))
	if err != nil {
		return err
	}
	d.page.Line("%s come in", stage.Count(len(letters), "letter", "letters"))
	d.quote(letters, 3)
	opened := false
	for closed := false; !closed; {
		select {
		case b := <-changes:
			d.page.Line("breaker %s is %s%s", breakerName(b), breakerState(b), cause(b))
			if b.GetState() == recoveryv1.BreakerState_BREAKER_STATE_OPEN && !opened {
				opened = true
				if err := pause(ctx, d.random(600*time.Millisecond, 1200*time.Millisecond)); err != nil {
					return err
				}
				if err := d.showWait(ctx, letters); err != nil {
					return err
				}
				if err := d.deskBack(ctx); err != nil {
					return err
				}
			}
			closed = opened && b.GetState() == recoveryv1.BreakerState_BREAKER_STATE_CLOSED
		case <-ctx.Done():
			return fmt.Errorf("the breaker did not open and close: %w", ctx.Err())
		}
	}
	_, err = d.until(ctx, letters, noneMoves(letters))
	return err
}

// showWait tells what one of some runs waits for.
func (d *demo) showWait(ctx context.Context, letters []*letter) error {
	for _, l := range letters {
		resp, err := d.read.Explain(ctx, l.runID)
		if err != nil {
			return err
		}
		if placeOf(resp.GetRun()) == atDesk {
			d.page.Line("signalbox run why %s: %s", l.runID, resp.GetSummary())
			return nil
		}
	}
	return nil
}

// watchBreakers follows changes of the breakers from now on.
func (d *demo) watchBreakers(ctx context.Context) (<-chan *recoveryv1.Breaker, error) {
	stream, err := d.read.Recovery.WatchBreakers(ctx, &recoveryv1.WatchBreakersRequest{})
	if err != nil {
		return nil, err
	}
	if _, err := stream.Recv(); err != nil { // how they stand
		return nil, err
	}
	changes := make(chan *recoveryv1.Breaker, 64)
	go func() {
		for {
			news, err := stream.Recv()
			if err != nil {
				return // the scene is over
			}
			for _, b := range news.GetBreakers() {
				select {
				case changes <- b:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return changes, nil
}

func breakerName(b *recoveryv1.Breaker) string {
	if name := b.GetRef().GetName(); name != "" {
		return fmt.Sprintf("%s (of %s)", name, b.GetRef().GetNamespace())
	}
	return b.GetRef().GetServer() + " (the server's own)"
}

func breakerState(b *recoveryv1.Breaker) string {
	switch b.GetState() {
	case recoveryv1.BreakerState_BREAKER_STATE_OPEN:
		return "OPEN"
	case recoveryv1.BreakerState_BREAKER_STATE_HALF_OPEN:
		return "HALF-OPEN"
	case recoveryv1.BreakerState_BREAKER_STATE_CLOSED:
		return "CLOSED"
	default:
		return b.GetState().String()
	}
}

func cause(b *recoveryv1.Breaker) string {
	switch b.GetState() {
	case recoveryv1.BreakerState_BREAKER_STATE_OPEN:
		return ": " + b.GetCause()
	case recoveryv1.BreakerState_BREAKER_STATE_HALF_OPEN:
		return fmt.Sprintf(": up to %d calls go out on trial", b.GetSpec().GetHalfOpenCalls())
	default:
		return ""
	}
}
