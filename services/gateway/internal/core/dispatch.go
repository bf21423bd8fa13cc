package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// ErrStopping is the cause of the contexts of calls that the gateway gives up because it stops.
var ErrStopping = errors.New("the gateway is stopping")

var errDeadline = errors.New("the time of the attempt is over")

// Dispatcher sends attempts, each at most once, and keeps their results for whoever asks again. All methods may be called from
// several goroutines.
type Dispatcher struct {
	incarnation string
	clock       clock.Clock
	tools       ToolServers
	secrets     Secrets
	servers     *Servers
	metrics     Metrics
	limits      Limits

	base   context.Context // of all calls, so that they outlive the streams that asked for them
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	draining bool
	running  sync.WaitGroup
	entries  map[AttemptID]*entry
	receipts receipts
	memory   *memory
}

// entry is an attempt that runs or has a receipt.
type entry struct {
	done     bool
	result   Result
	waiting  []Receiver
	finished time.Time
}

// NewDispatcher makes a dispatcher. The incarnation is unlike that of every other gateway process.
func NewDispatcher(
	incarnation string, c clock.Clock, tools ToolServers, secrets Secrets, servers *Servers, metrics Metrics, limits Limits,
) *Dispatcher {
	limits = limits.withDefaults()
	d := &Dispatcher{
		incarnation: incarnation, clock: c, tools: tools, secrets: secrets, servers: servers, metrics: metrics, limits: limits,
		entries: map[AttemptID]*entry{}, memory: newMemory(limits.Remembered, c.Now()),
	}
	d.base, d.cancel = context.WithCancelCause(context.Background())
	return d
}

// Incarnation returns the identity of this gateway process.
func (d *Dispatcher) Incarnation() string { return d.incarnation }

// Invoke sends an attempt and delivers its result to r. An attempt that is on its way is joined, and one that has a receipt is answered
// with it: neither is sent again.
func (d *Dispatcher) Invoke(inv Invocation, r Receiver) {
	if inv.Incarnation != d.incarnation {
		// Its own gateway was replaced while its intent was being committed: the scheduler's next attempt is for this one.
		r.Deliver(Result{
			ID: inv.ID, Status: StatusNeverSeen, ErrorType: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
			Message: fmt.Sprintf("the attempt is meant for gateway %q and came to %q; nothing was sent", inv.Incarnation, d.incarnation),
		})
		return
	}
	e, answer := d.admit(&inv, r)
	switch {
	case answer != nil:
		r.Deliver(*answer)
	case e != nil:
		go d.run(e, inv)
	}
}

// admit decides what becomes of an invocation: it is new and has an entry, it is answered at once, or it joined one under way.
func (d *Dispatcher) admit(inv *Invocation, r Receiver) (*entry, *Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	if known, ok := d.entries[inv.ID]; ok {
		if known.done {
			return nil, &known.result
		}
		known.waiting = append(known.waiting, r)
		return nil, nil
	}
	if refusal := d.refusal(inv, now); refusal != nil {
		return nil, refusal
	}
	e := &entry{waiting: []Receiver{r}}
	d.entries[inv.ID] = e
	d.memory.set(inv.ID, markSeen, now)
	d.running.Add(1)
	return e, nil
}

// refusal returns the answer to an invocation that is not sent; nil means that it is. It is called with mu held.
func (d *Dispatcher) refusal(inv *Invocation, now time.Time) *Result {
	var result Result
	switch known := d.memory.get(inv.ID); {
	case known == markRefused:
		result = notSent(inv.ID, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
			"the attempt came after it was answered as never seen, so it was refused; nothing was sent")
	case known == markSeen:
		result = forgotten(inv.ID)
	case d.draining:
		result = notSent(inv.ID, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, "the gateway is stopping; nothing was sent")
		result.Stopping = true
	case !inv.Deadline.IsZero() && !inv.Deadline.After(now):
		result = notSent(inv.ID, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, "the time of the attempt was over before it came; nothing was sent")
	case !d.servers.Known(inv.Server):
		result = notSent(inv.ID, errorsv1.ErrorType_ERROR_TYPE_INVALID,
			fmt.Sprintf("no tool server %q is declared; nothing was sent", inv.Server))
	default:
		return nil
	}
	return &result
}

func notSent(id AttemptID, errorType errorsv1.ErrorType, message string) Result {
	return Result{ID: id, Status: StatusNotSent, ErrorType: errorType, Message: message}
}

func forgotten(id AttemptID) Result {
	return Result{
		ID: id, Status: StatusUnknown, ErrorType: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
		Message: "the attempt was taken, and its result is no longer kept",
	}
}

// Attach delivers the result of an attempt that may have been sent: when it ends, or from its receipt. An attempt that was certainly
// never seen is answered so, and is refused from then on. intended is when the attempt was intended, zero when that is not known.
func (d *Dispatcher) Attach(id AttemptID, intended time.Time, r Receiver) {
	if answer := d.attach(id, intended, r); answer != nil {
		r.Deliver(*answer)
	}
}

func (d *Dispatcher) attach(id AttemptID, intended time.Time, r Receiver) *Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.entries[id]; ok {
		if known.done {
			return &known.result
		}
		known.waiting = append(known.waiting, r)
		return nil
	}
	var result Result
	switch known := d.memory.get(id); {
	case known == markSeen:
		result = forgotten(id)
	case known == markRefused || d.memory.complete(intended):
		d.memory.set(id, markRefused, d.clock.Now())
		result = Result{
			ID: id, Status: StatusNeverSeen, ErrorType: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
			Message: "this gateway has never seen the attempt, and refuses it from now on",
		}
	default:
		// It may have been seen and forgotten, so it must not be called unseen; refusing it costs nothing.
		d.memory.set(id, markRefused, d.clock.Now())
		result = forgotten(id)
		result.Message = "the gateway no longer remembers whether it has seen the attempt"
	}
	return &result
}

// run works on an attempt to its end.
func (d *Dispatcher) run(e *entry, inv Invocation) {
	defer d.running.Done()
	began := d.clock.Now()
	result := d.send(&inv, began)
	result.Latency = d.clock.Now().Sub(began)
	d.metrics.AttemptEnded(inv.Server, inv.Tool, result)
	for _, receiver := range d.finish(inv.ID, e, result) {
		receiver.Deliver(result)
	}
}

// send prepares the call, waits for a slot and makes it.
func (d *Dispatcher) send(inv *Invocation, now time.Time) Result {
	arguments, failure := prepared(inv)
	if failure != nil {
		return resultOf(inv.ID, failure)
	}
	wait := d.limits.DefaultDeadline
	if !inv.Deadline.IsZero() {
		wait = inv.Deadline.Sub(now)
	}
	ctx, cancel := context.WithCancelCause(d.base)
	defer cancel(nil)
	defer d.clock.AfterFunc(wait, func() { cancel(errDeadline) }).Stop()
	return d.call(ctx, inv.ID, Call{Server: inv.Server, Tool: inv.Tool, Arguments: arguments, Meta: metaOf(inv)}, inv.Secret)
}

// call makes one call within a slot and says what it meant. What the server says of the secret is hidden: it goes into records and logs.
func (d *Dispatcher) call(ctx context.Context, id AttemptID, call Call, secret SecretRef) Result {
	if !d.servers.acquire(ctx, call.Server) {
		return resultOf(id, d.explain(ctx, &Failure{
			Cause: CauseTimeout, Detail: "the time of the attempt ended while it waited for a free slot of the server; nothing was sent",
		}))
	}
	defer d.servers.release(call.Server)
	if secret != (SecretRef{}) {
		var err error
		if call.Secret, err = d.secrets.Secret(secret); err != nil {
			return resultOf(id, d.explain(ctx, &Failure{Cause: CauseSecret, Detail: err.Error() + "; nothing was sent"}))
		}
	}
	reply := d.tools.Call(ctx, call)
	if reply.Failure != nil {
		told := *reply.Failure
		told.Detail = call.Secret.Hide(told.Detail)
		return resultOf(id, d.explain(ctx, &told))
	}
	return answerOf(id, call.Secret.hideJSON(reply.Result), d.limits.MaxOutput)
}

// explain tells the end of the gateway from the end of the attempt's time; adapters see both as the end of the context. It leaves the
// failure as it is, because several attempts may have met one and the same.
func (d *Dispatcher) explain(ctx context.Context, f *Failure) *Failure {
	told := *f
	told.Detail = shorten(f.Detail)
	if f.Cause == CauseTimeout && errors.Is(context.Cause(ctx), ErrStopping) {
		told.Cause, told.Detail, told.Stopping = CauseBroken, "the gateway stopped before the answer came", true
	}
	return &told
}

// finish turns an entry into a receipt and returns who waits for it.
func (d *Dispatcher) finish(id AttemptID, e *entry, result Result) []Receiver {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := e.waiting
	e.done, e.result, e.waiting, e.finished = true, result, nil, d.clock.Now()
	d.receipts.add(id, e)
	d.receipts.evict(d.limits, e.finished, func(old AttemptID) { delete(d.entries, old) })
	return waiting
}

// CallDirect makes a call outside of any run. The result's ID is empty. It is not remembered and not joined by others.
func (d *Dispatcher) CallDirect(ctx context.Context, inv Invocation) Result {
	d.mu.Lock()
	draining := d.draining
	if !draining {
		d.running.Add(1)
	}
	d.mu.Unlock()
	if draining {
		return notSent(AttemptID{}, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, "the gateway is stopping; nothing was sent")
	}
	defer d.running.Done()
	arguments, failure := prepared(&inv)
	if failure != nil {
		return resultOf(inv.ID, failure)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.base, func() { cancel(ErrStopping) })()
	defer d.clock.AfterFunc(d.limits.DefaultDeadline, func() { cancel(errDeadline) }).Stop()
	began := d.clock.Now()
	result := d.call(ctx, AttemptID{}, Call{Server: inv.Server, Tool: inv.Tool, Arguments: arguments, Meta: metaOf(&inv)}, inv.Secret)
	result.Latency = d.clock.Now().Sub(began)
	d.metrics.AttemptEnded(inv.Server, inv.Tool, result)
	return result
}

// Refuse makes every new attempt from now on NOT_SENT; those under way go on.
func (d *Dispatcher) Refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
}

// Drain refuses new attempts and waits until those under way have ended. When ctx ends first it gives them up: what was written is
// then unknown. After it returns nothing is sent any more.
func (d *Dispatcher) Drain(ctx context.Context) {
	d.Refuse()
	ended := make(chan struct{})
	go func() {
		d.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	d.cancel(ErrStopping)
	<-ended
}
