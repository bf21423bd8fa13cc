package core

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInvokeAnswersOnceAndKeepsTheReceipt(t *testing.T) {
	b := newBench(t, Limits{})
	b.tools.respond = func(context.Context, Call) Reply { return Reply{Result: []byte(`{"structuredContent":{"ok":true}}`)} }
	inv := invocation("1")
	b.dispatcher.Invoke(inv, b.inbox)
	first := b.inbox.next(t)
	if first.Status != StatusAnswered || string(first.Output) != `{"ok":true}` || first.ID != inv.ID {
		t.Errorf("got %+v", first)
	}
	b.dispatcher.Invoke(inv, b.inbox)
	b.dispatcher.Attach(inv.ID, time.Time{}, b.inbox)
	for range 2 {
		if again := b.inbox.next(t); string(again.Output) != `{"ok":true}` {
			t.Errorf("the receipt is %+v", again)
		}
	}
	if n := b.tools.count(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}

func TestSecondInvocationAndAttachJoin(t *testing.T) {
	b := newBench(t, Limits{})
	answer := make(chan Reply)
	b.tools.respond = func(context.Context, Call) Reply { return <-answer }
	inv := invocation("1")
	b.dispatcher.Invoke(inv, b.inbox)
	<-b.tools.begun
	others := make(inbox, 2)
	b.dispatcher.Invoke(inv, others)
	b.dispatcher.Attach(inv.ID, time.Time{}, others)
	answer <- Reply{Result: []byte(`{"content":[]}`)}
	for _, in := range []inbox{b.inbox, others, others} {
		if got := in.next(t); got.Status != StatusAnswered {
			t.Errorf("got %+v", got)
		}
	}
	if n := b.tools.count(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}

func TestAttachOfTheUnseenRefusesItForEver(t *testing.T) {
	b := newBench(t, Limits{})
	inv := invocation("1")
	for range 2 {
		b.dispatcher.Attach(inv.ID, time.Time{}, b.inbox)
		if got := b.inbox.next(t); got.Status != StatusNeverSeen {
			t.Errorf("got %+v", got)
		}
	}
	b.dispatcher.Invoke(inv, b.inbox)
	if got := b.inbox.next(t); got.Status != StatusNotSent {
		t.Errorf("the late invocation gave %+v", got)
	}
	inv.ID.Attempt++
	b.dispatcher.Invoke(inv, b.inbox)
	if got := b.inbox.next(t); got.Status != StatusAnswered {
		t.Errorf("the next attempt gave %+v", got)
	}
	if n := b.tools.count(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}

func TestInvocationsThatAreNotSent(t *testing.T) {
	b := newBench(t, Limits{})
	for name, c := range map[string]struct {
		change func(*Invocation)
		want   string
	}{
		"too late":       {func(i *Invocation) { i.Deadline = start }, "the time of the attempt was over before it came; nothing was sent"},
		"unknown server": {func(i *Invocation) { i.Server = "desc" }, `no tool server "desc" is declared; nothing was sent`},
		"no object":      {func(i *Invocation) { i.Arguments = []byte("[]") }, "arguments: not a JSON object; nothing was sent"},
	} {
		t.Run(name, func(t *testing.T) {
			inv := invocation(name)
			c.change(&inv)
			b.dispatcher.Invoke(inv, b.inbox)
			if got := b.inbox.next(t); got.Status != StatusNotSent || got.Message != c.want {
				t.Errorf("got %+v", got)
			}
		})
	}
	if n := b.tools.count(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

// What came to the wrong gateway, or to one that stops, is told apart from what the tool server refused.
func TestInvocationsThatTheirGatewayDoesNotTake(t *testing.T) {
	b := newBench(t, Limits{})
	inv := invocation("elsewhere")
	inv.Incarnation = "g-0"
	b.dispatcher.Invoke(inv, b.inbox)
	got := b.inbox.next(t)
	if want := `the attempt is meant for gateway "g-0" and came to "g-1"; nothing was sent`; got.Status != StatusNeverSeen || got.Message != want {
		t.Errorf("got %+v", got)
	}
	b.dispatcher.Refuse()
	b.dispatcher.Invoke(invocation("late"), b.inbox)
	if got := b.inbox.next(t); got.Status != StatusNotSent || !got.Stopping {
		t.Errorf("got %+v", got)
	}
	if n := b.tools.count(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestReceiptsAreBoundedAndForgottenOnesAreUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		after  func(*bench)
	}{
		"by count": {Limits{Receipts: 2}, func(*bench) {}},
		"by bytes": {Limits{ReceiptBytes: 2*receiptCost + 100}, func(*bench) {}},
		"by age":   {Limits{ReceiptAge: time.Minute}, func(b *bench) { b.clock.Advance(time.Minute) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.limits)
			b.dispatcher.Invoke(invocation("old"), b.inbox)
			b.inbox.next(t)
			c.after(b)
			for _, operation := range []string{"a", "b"} {
				inv := invocation(operation)
				inv.Deadline = time.Time{}
				b.dispatcher.Invoke(inv, b.inbox)
				b.inbox.next(t)
			}
			b.dispatcher.Attach(invocation("old").ID, time.Time{}, b.inbox)
			if got := b.inbox.next(t); got.Status != StatusUnknown {
				t.Errorf("attach gave %+v", got)
			}
			again := invocation("old")
			again.Deadline = time.Time{}
			b.dispatcher.Invoke(again, b.inbox)
			if got := b.inbox.next(t); got.Status != StatusUnknown {
				t.Errorf("invoke gave %+v", got)
			}
			b.dispatcher.Attach(invocation("b").ID, time.Time{}, b.inbox)
			if got := b.inbox.next(t); got.Status != StatusAnswered {
				t.Errorf("the newest receipt gave %+v", got)
			}
			if n := b.tools.count(); n != 3 {
				t.Errorf("%d calls were made", n)
			}
		})
	}
}

// TestMemoryNeverCallsUnseenWhatItMayHaveForgotten fills the memory of seen attempts over its size.
func TestMemoryNeverCallsUnseenWhatItMayHaveForgotten(t *testing.T) {
	b := newBench(t, Limits{Remembered: 10, Receipts: 1})
	for i := range 25 {
		inv := invocation(fmt.Sprint(i))
		inv.Deadline = time.Time{}
		b.dispatcher.Invoke(inv, b.inbox)
		b.inbox.next(t)
		b.clock.Advance(time.Minute)
	}
	now := b.clock.Now()
	for name, c := range map[string]struct {
		operation string
		intended  time.Time
		want      Status
	}{
		"forgotten, time unknown":  {"0", time.Time{}, StatusUnknown},
		"forgotten, old":           {"1", start.Add(time.Minute), StatusUnknown},
		"remembered":               {"22", time.Time{}, StatusUnknown},
		"never seen, time unknown": {"x", time.Time{}, StatusUnknown},
		"never seen, recent":       {"y", now, StatusNeverSeen},
		"never seen, long ago":     {"z", start, StatusUnknown},
		"the newest has a receipt": {"24", now, StatusAnswered},
	} {
		t.Run(name, func(t *testing.T) {
			b.dispatcher.Attach(invocation(c.operation).ID, c.intended, b.inbox)
			if got := b.inbox.next(t); got.Status != c.want {
				t.Errorf("got %+v, wanted %v", got, c.want)
			}
		})
	}
}

func TestDeadlineEndsACall(t *testing.T) {
	b := newBench(t, Limits{})
	b.tools.respond = func(ctx context.Context, _ Call) Reply {
		<-ctx.Done()
		return failedCall(CauseTimeout, true)
	}
	b.dispatcher.Invoke(invocation("1"), b.inbox)
	<-b.tools.begun
	b.clock.Advance(time.Minute)
	got := b.inbox.next(t)
	if got.Status != StatusUnknown || got.ErrorType != timeout || got.Latency != time.Minute {
		t.Errorf("got %+v", got)
	}
}

func failedCall(cause Cause, written bool) Reply {
	return Reply{Failure: &Failure{Cause: cause, Written: written, Detail: "test"}}
}

func TestSlotsBoundTheCallsOfAServer(t *testing.T) {
	b := newBench(t, Limits{})
	release := make(chan struct{})
	b.tools.respond = func(ctx context.Context, c Call) Reply {
		if c.Server == "desk" {
			<-release
		}
		return Reply{Result: []byte(`{"content":[]}`)}
	}
	for i := range 3 {
		b.dispatcher.Invoke(invocation(fmt.Sprint(i)), b.inbox)
	}
	<-b.tools.begun
	<-b.tools.begun
	// The third waits; another server is not held up by that.
	other := invocation("other")
	other.Server = "mail"
	b.dispatcher.Invoke(other, b.inbox)
	if got := b.inbox.next(t); got.ID.Operation != "other" || got.Status != StatusAnswered {
		t.Errorf("got %+v", got)
	}
	if n := b.tools.count(); n != 3 {
		t.Errorf("%d calls were begun", n)
	}
	// Its time ends while it waits: it was certainly not sent.
	b.clock.Advance(time.Minute)
	if got := b.inbox.next(t); got.Status != StatusNotSent || got.ErrorType != timeout {
		t.Errorf("the waiting one gave %+v", got)
	}
	close(release)
	b.inbox.next(t)
	b.inbox.next(t)
}

func TestDrainWaitsThenGivesUp(t *testing.T) {
	b := newBench(t, Limits{})
	b.tools.respond = func(ctx context.Context, _ Call) Reply {
		<-ctx.Done()
		return failedCall(CauseTimeout, true)
	}
	b.dispatcher.Invoke(invocation("1"), b.inbox)
	<-b.tools.begun
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		b.dispatcher.Drain(ctx)
		close(drained)
	}()
	cancel()
	<-drained
	if got := b.inbox.next(t); got.Status != StatusUnknown || got.ErrorType != unavailable {
		t.Errorf("got %+v", got)
	}
	b.dispatcher.Invoke(invocation("2"), b.inbox)
	if got := b.inbox.next(t); got.Status != StatusNotSent {
		t.Errorf("after the drain: %+v", got)
	}
	if got := b.dispatcher.CallDirect(t.Context(), invocation("3")); got.Status != StatusNotSent {
		t.Errorf("directly after the drain: %+v", got)
	}
}

func TestCallDirect(t *testing.T) {
	b := newBench(t, Limits{})
	got := b.dispatcher.CallDirect(t.Context(), Invocation{
		Server: "desk", Tool: "refund", Arguments: []byte(`{"amount":1}`), IdempotencyKey: "k", IdempotencyArgument: "key",
	})
	if got.Status != StatusAnswered {
		t.Fatalf("got %+v", got)
	}
	call := <-b.tools.begun
	if string(call.Arguments) != `{"key":"k","amount":1}` || string(call.Meta) != `{"signalbox.dev/idempotency-key":"k"}` {
		t.Errorf("sent %s with _meta %s", call.Arguments, call.Meta)
	}
}

// TestManyAtOnce lets several schedulers ask for the same attempts in every way at once.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t, Limits{})
	b.servers = NewServers(map[string]int{"desk": 8}, noMetrics{})
	b.dispatcher.servers = b.servers
	const attempts, askers = 200, 4
	var wait sync.WaitGroup
	for asker := range askers {
		wait.Go(func() {
			for i := range attempts {
				inv := invocation(fmt.Sprint(i))
				if asker%2 == 0 {
					b.dispatcher.Invoke(inv, b.inbox)
				} else {
					b.dispatcher.Attach(inv.ID, time.Time{}, b.inbox)
				}
			}
		})
	}
	wait.Wait()
	perAttempt := map[string]map[Status]int{}
	for range attempts * askers {
		got := b.inbox.next(t)
		if perAttempt[got.ID.Operation] == nil {
			perAttempt[got.ID.Operation] = map[Status]int{}
		}
		perAttempt[got.ID.Operation][got.Status]++
	}
	for operation, seen := range perAttempt {
		if seen[StatusNeverSeen] > 0 && seen[StatusAnswered] > 0 {
			t.Errorf("attempt %s was called unseen and answered: %v", operation, seen)
		}
	}
	if n := b.tools.count(); n > attempts {
		t.Errorf("%d calls were made for %d attempts", n, attempts)
	}
}

// Several attempts that wait for one connection meet one and the same failure: what is told to one must not change it under the others.
func TestExplainingLeavesASharedFailureAsItIs(t *testing.T) {
	shared := &Failure{Cause: CauseTimeout, Detail: strings.Repeat("x", 1<<16)}
	before := *shared
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrStopping)
	d := &Dispatcher{}
	if told := d.explain(ctx, shared); told == shared || told.Cause != CauseBroken {
		t.Errorf("told %v", told.Cause)
	}
	if told := d.explain(t.Context(), shared); told == shared || len(told.Detail) >= len(shared.Detail) {
		t.Errorf("the detail is told in %d bytes", len(told.Detail))
	}
	if *shared != before {
		t.Error("the failure that others share has changed")
	}
}
