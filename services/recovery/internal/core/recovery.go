// Package core holds the rules of recovery: breakers, retry budgets, retry times.
package core

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// CallID is one attempt of one operation.
type CallID struct {
	Operation string
	Attempt   int
}

// Call is a call somebody wants to send.
type Call struct {
	Ref Ref
	// Spec declares the breaker; nil means the declaration known, or the defaults.
	Spec *Spec
	ID   CallID
	// Timeout is when a permit lapses. Default 1m.
	Timeout time.Duration
}

// Decision is the answer to a Call.
type Decision struct {
	Allowed bool
	// PermitID is set for a trial call.
	PermitID string
	// RetryAt is when asking again is worth it; set when not allowed.
	RetryAt time.Time
	// Breaker is how it stands after this.
	Breaker View
}

// Outcome is what became of one call, or of Count calls alike.
type Outcome struct {
	Ref  Ref
	Spec *Spec
	// Type is how they failed; the zero type means that they succeeded.
	Type     errorsv1.ErrorType
	Count    int
	PermitID string
	NotSent  bool
}

// FieldError says what is wrong with one field, and how to mend it.
type FieldError struct {
	Field   string
	Problem string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Observer is told what happens, for metrics. Its methods must be quick and must not call back.
type Observer interface {
	// Reported tells of calls: result is "success", "failure" or "neither".
	Reported(server, result string, calls int)
	// Changed tells that a breaker came into a state, by itself, by time or by force.
	Changed(ref Ref, state State)
	// Asked tells of an Allow call.
	Asked(server string, allowed bool)
	// Assessed tells of an Assess call; the server is empty for failures of none.
	Assessed(server string, verdict Verdict)
}

// Config is the budget of retries. All of it is required.
type Config struct {
	// BudgetRatio is the share of a server's calls that may be retries.
	BudgetRatio float64
	// BudgetFloor is how many retries are always allowed in a window.
	BudgetFloor int
	// BudgetWindow is the time over which calls and retries are counted.
	BudgetWindow time.Duration
}

// Recovery holds all breakers and budgets, in memory. All methods may be called from several goroutines; none of them waits,
// except Watch.
type Recovery struct {
	cfg      Config
	clock    clock.Clock
	observer Observer

	mu       sync.Mutex
	seed     uint64 // of all jitter
	instance string // part of permit ids, so that those of an earlier process mean nothing
	breakers map[Ref]*breaker
	budgets  map[string]*budget
	sweepAt  int
	watchers map[*watcher]struct{}
	batches  memo[string, struct{}]
	assessed memo[assessmentKey, Assessment]
	forced   memo[string, struct{}]
}

// New returns a Recovery without any breaker.
func New(cfg Config, clk clock.Clock, random rand.Source, observer Observer) *Recovery {
	source := rand.New(random)
	return &Recovery{
		cfg: cfg, clock: clk, observer: observer, seed: source.Uint64(), instance: fmt.Sprintf("%016x", source.Uint64()),
		breakers: map[Ref]*breaker{}, budgets: map[string]*budget{}, sweepAt: firstSweep, watchers: map[*watcher]struct{}{},
		batches: newMemo[string, struct{}](), assessed: newMemo[assessmentKey, Assessment](), forced: newMemo[string, struct{}](),
	}
}

// Allow decides about one call. It fails with a *FieldError for a declaration that cannot be.
func (r *Recovery) Allow(call Call) (Decision, error) {
	spec, err := normalised(call.Spec, "")
	if err != nil {
		return Decision{}, err
	}
	setDefault(&call.Timeout, time.Minute)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	b := r.breaker(now, call.Ref, spec)
	decision := b.allow(now, call, r.instance)
	decision.Breaker = b.view(now)
	r.observer.Asked(call.Ref.Server, decision.Allowed)
	return decision, nil
}

// Report counts a batch, unless it was counted before, and returns the breakers that changed state. It fails with a *FieldError
// when a declaration cannot be; then nothing was counted.
func (r *Recovery) Report(batch string, outcomes []Outcome) ([]View, error) {
	specs := make([]*Spec, len(outcomes))
	for i, o := range outcomes {
		spec, err := normalised(o.Spec, fmt.Sprintf("outcomes[%d].", i))
		if err != nil {
			return nil, err
		}
		specs[i] = spec
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, counted := r.batches.get(batch); counted {
		return nil, nil
	}
	r.batches.put(batch, struct{}{})
	now := r.clock.Now()
	var changed []*breaker
	for i, o := range outcomes {
		b := r.breaker(now, o.Ref, specs[i])
		r.count(now, b, o)
		if b.report(now, o) {
			r.changed(now, b)
			if !slices.Contains(changed, b) {
				changed = append(changed, b)
			}
		}
	}
	views := make([]View, len(changed))
	for i, b := range changed {
		views[i] = b.view(now)
	}
	return views, nil
}

// count puts calls on the budget's side and tells the observer.
func (r *Recovery) count(now time.Time, b *breaker, o Outcome) {
	if o.NotSent {
		return
	}
	calls := max(o.Count, 1)
	r.budget(o.Ref.Server).calls(now, calls)
	result := map[sort]string{success: "success", failure: "failure", neither: "neither"}[b.spec.judge(o.Type)]
	r.observer.Reported(o.Ref.Server, result, calls)
}

// Force holds a breaker in a state for a while, or lets it go. A request that was obeyed before changes nothing.
func (r *Recovery) Force(request string, ref Ref, force Force, duration time.Duration, reason string) View {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	b := r.breaker(now, ref, nil)
	if _, obeyed := r.forced.get(request); !obeyed {
		r.forced.put(request, struct{}{})
		b.hold(now, force, now.Add(duration), reason)
		r.changed(now, b)
	}
	return b.view(now)
}

// List returns all breakers in order of server, namespace and name.
func (r *Recovery) List() []View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

func (r *Recovery) list() []View {
	now := r.clock.Now()
	views := make([]View, 0, len(r.breakers))
	for _, b := range r.breakers {
		if b.advance(now) {
			r.changed(now, b)
		}
		views = append(views, b.view(now))
	}
	slices.SortFunc(views, func(a, b View) int { return a.Ref.Compare(b.Ref) })
	return views
}

// Compare orders by server, namespace and name.
func (ref Ref) Compare(other Ref) int {
	return cmp.Or(cmp.Compare(ref.Server, other.Server), cmp.Compare(ref.Namespace, other.Namespace), cmp.Compare(ref.Name, other.Name))
}

// breaker finds or makes a breaker, declares it unless the declaration is nil, and lets time pass for it.
func (r *Recovery) breaker(now time.Time, ref Ref, declared *Spec) *breaker {
	b, known := r.breakers[ref]
	if !known {
		r.sweep(now)
		b = newBreaker(ref, defaultSpec, now)
		r.breakers[ref] = b
	}
	if declared != nil {
		b.declare(*declared)
	}
	if b.advance(now) {
		r.changed(now, b)
	}
	return b
}

// normalised writes a declaration's defaults out; nil stays nil.
func normalised(declared *Spec, path string) (*Spec, error) {
	if declared == nil {
		return nil, nil
	}
	spec, err := declared.WithDefaults()
	var field *FieldError
	if errors.As(err, &field) {
		return nil, &FieldError{path + "spec." + field.Field, field.Problem}
	}
	return &spec, err
}

func (r *Recovery) changed(now time.Time, b *breaker) {
	r.observer.Changed(b.ref, b.view(now).State)
	for w := range r.watchers {
		w.mark(b.ref)
	}
}

const firstSweep = 1024

// sweep drops what says nothing any more, whenever there are twice as many breakers as after the last time: names come from
// outside, and must not fill the memory.
func (r *Recovery) sweep(now time.Time) {
	if len(r.breakers) < r.sweepAt {
		return
	}
	for ref, b := range r.breakers {
		b.advance(now)
		if b.idle(now) {
			delete(r.breakers, ref)
		}
	}
	for server, g := range r.budgets {
		if g.idle(now) {
			delete(r.budgets, server)
		}
	}
	r.sweepAt = max(firstSweep, 2*len(r.breakers))
}
