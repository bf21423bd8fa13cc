package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ok          = errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED
	timeout     = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	unavailable = errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	throttled   = errorsv1.ErrorType_ERROR_TYPE_THROTTLED
	toolError   = errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR
	unknown     = errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME
	circuitOpen = errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN
)

var (
	t0   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	desk = core.Ref{Server: "desk"}
)

// silent is an observer that does not look.
type silent struct{}

func (silent) Reported(string, string, int)  {}
func (silent) Changed(core.Ref, core.State)  {}
func (silent) Asked(string, bool)            {}
func (silent) Assessed(string, core.Verdict) {}

// bench is a Recovery with a clock at hand.
type bench struct {
	*core.Recovery
	clock   *fakeclock.Clock
	batches int
	calls   int
}

func newBench() *bench {
	clk := fakeclock.New(t0)
	cfg := core.Config{BudgetRatio: 0.2, BudgetFloor: 10, BudgetWindow: time.Minute}
	return &bench{Recovery: core.New(cfg, clk, rand.NewPCG(1, 2), silent{}), clock: clk}
}

// report counts calls of the desk one by one.
func (b *bench) report(spec *core.Spec, types ...errorsv1.ErrorType) {
	for _, t := range types {
		b.send(core.Outcome{Ref: desk, Spec: spec, Type: t})
	}
}

func (b *bench) send(outcomes ...core.Outcome) []core.View {
	b.batches++
	views, err := b.Report(fmt.Sprint(b.batches), outcomes)
	if err != nil {
		panic(err)
	}
	return views
}

// allow asks for a new call each time.
func (b *bench) allow(spec *core.Spec) core.Decision {
	b.calls++
	return b.ask(spec, core.CallID{Operation: fmt.Sprint(b.calls), Attempt: 1})
}

func (b *bench) ask(spec *core.Spec, id core.CallID) core.Decision {
	decision, err := b.Allow(core.Call{Ref: desk, Spec: spec, ID: id})
	if err != nil {
		panic(err)
	}
	return decision
}

func (b *bench) state() core.State {
	for _, view := range b.List() {
		if view.Ref == desk {
			return view.State
		}
	}
	return core.Closed
}

func times(n int, t errorsv1.ErrorType) []errorsv1.ErrorType {
	out := make([]errorsv1.ErrorType, n)
	for i := range out {
		out[i] = t
	}
	return out
}

func join(parts ...[]errorsv1.ErrorType) []errorsv1.ErrorType {
	var out []errorsv1.ErrorType
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

// thirty is the example of the design: 30 % of 10.
var thirty = &core.Spec{FailureRate: 0.3, WindowCalls: 10, MinCalls: 10}

func TestWhenABreakerOpens(t *testing.T) {
	for name, test := range map[string]struct {
		spec     *core.Spec
		outcomes []errorsv1.ErrorType
		want     core.State
	}{
		"three of ten":                       {thirty, join(times(7, ok), times(3, timeout)), core.Closed},
		"the fourth of ten":                  {thirty, join(times(6, ok), times(4, timeout)), core.Open},
		"four, but only nine calls":          {thirty, join(times(5, ok), times(4, timeout)), core.Closed},
		"four first, the tenth is a success": {thirty, join(times(4, timeout), times(6, ok)), core.Open},
		"nothing but failures, too few":      {thirty, times(9, unavailable), core.Closed},
		"both kinds count":                   {thirty, join(times(6, ok), times(2, timeout), times(2, unavailable)), core.Open},
		"an unknown outcome was unavailable": {thirty, join(times(6, ok), times(4, unknown)), core.Open},
		"a tool's own errors never":          {thirty, times(50, toolError), core.Closed},
		"throttling does not count":          {thirty, join(times(10, ok), times(50, throttled)), core.Closed},
		"unless it is declared": {
			&core.Spec{FailureRate: 0.3, WindowCalls: 10, Counted: []errorsv1.ErrorType{throttled}},
			join(times(6, ok), times(4, throttled)), core.Open,
		},
		"then a time-out does not": {
			&core.Spec{FailureRate: 0.3, WindowCalls: 10, Counted: []errorsv1.ErrorType{throttled}}, times(50, timeout), core.Closed,
		},
		"refusals before sending do not count":    {thirty, join(times(10, ok), times(50, circuitOpen)), core.Closed},
		"old failures leave the window":           {thirty, join(times(3, timeout), times(10, ok), times(3, timeout)), core.Closed},
		"undeclared: half of ten is not too many": {nil, join(times(5, ok), times(5, timeout)), core.Closed},
		"undeclared: six of ten are":              {nil, join(times(4, ok), times(6, timeout)), core.Open},
		"undeclared: the window is twenty":        {nil, join(times(10, ok), times(10, timeout)), core.Closed},
		"undeclared: eleven of twenty":            {nil, join(times(10, ok), times(11, timeout)), core.Open},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			b.report(test.spec, test.outcomes...)
			if got := b.state(); got != test.want {
				t.Errorf("it is in state %d, want %d", got, test.want)
			}
		})
	}
}

func TestOldCallsDoNotCount(t *testing.T) {
	b := newBench()
	b.report(thirty, join(times(6, ok), times(3, timeout))...)
	b.clock.Advance(10*time.Minute + time.Nanosecond)
	b.report(thirty, join(times(6, ok), times(3, timeout))...)
	if b.state() != core.Closed {
		t.Error("calls of eleven minutes ago opened it")
	}
	b.report(thirty, timeout)
	if b.state() != core.Open {
		t.Error("four of the ten young calls did not open it")
	}
}

func TestSummedUpSuccessesCount(t *testing.T) {
	b := newBench()
	b.send(core.Outcome{Ref: desk, Spec: thirty, Count: 50_000})
	b.report(thirty, times(3, timeout)...)
	if b.state() != core.Closed {
		t.Error("three failures after many successes opened it")
	}
	changed := b.send(core.Outcome{Ref: desk, Type: timeout, Count: 1}, core.Outcome{Ref: core.Ref{Server: "other"}})
	if len(changed) != 1 || changed[0].Ref != desk || changed[0].Cause != "4 of 10 calls failed, the last one: timeout" {
		t.Errorf("changed: %+v", changed)
	}
}

func TestARepeatedBatchCountsOnce(t *testing.T) {
	b := newBench()
	batch := []core.Outcome{{Ref: desk, Spec: thirty, Count: 6}, {Ref: desk, Type: timeout, Count: 3}}
	for range 3 {
		if _, err := b.Report("the same", batch); err != nil {
			t.Fatal(err)
		}
	}
	if view := b.List()[0]; view.Calls != 9 || view.Failures != 3 {
		t.Errorf("%d calls, %d failures", view.Calls, view.Failures)
	}
}

// opened returns a bench whose desk breaker has just opened, for 30s, with two trial calls.
func opened() *bench {
	b := newBench()
	b.report(thirty, times(10, timeout)...)
	return b
}

func TestOpenThenHalfOpenThenClosed(t *testing.T) {
	b := opened()
	if refused := b.allow(nil); refused.Allowed || !refused.RetryAt.Equal(t0.Add(30*time.Second)) {
		t.Errorf("open: %+v", refused)
	}
	b.clock.Advance(30*time.Second - 1)
	if b.allow(nil).Allowed {
		t.Error("open for less than open_for")
	}
	b.clock.Advance(1)
	first, second := b.allow(nil), b.allow(nil)
	if !first.Allowed || !second.Allowed || first.PermitID == "" || first.PermitID == second.PermitID {
		t.Fatalf("trial calls: %+v, %+v", first, second)
	}
	third := b.allow(nil)
	if third.Allowed || !third.RetryAt.After(b.clock.Now()) {
		t.Errorf("a third trial call: %+v", third)
	}
	b.report(nil, times(5, timeout)...) // of calls begun earlier: says nothing now
	b.send(core.Outcome{Ref: desk, PermitID: first.PermitID})
	if b.state() != core.HalfOpen || b.allow(nil).Allowed {
		t.Error("one of two trial calls has succeeded: it must wait for the other")
	}
	b.send(core.Outcome{Ref: desk, PermitID: first.PermitID}) // again: counts for nothing
	if b.state() != core.HalfOpen {
		t.Error("one permit counted twice")
	}
	if changed := b.send(core.Outcome{Ref: desk, Type: toolError, PermitID: second.PermitID}); len(changed) != 1 || changed[0].State != core.Closed {
		t.Errorf("a tool's own error shows that the server works: %+v", changed)
	}
	if closed := b.allow(nil); !closed.Allowed || closed.PermitID != "" || closed.Breaker.Calls != 0 {
		t.Errorf("closed: %+v", closed)
	}
}

func TestOneFailedTrialOpensAgain(t *testing.T) {
	b := opened()
	b.clock.Advance(30 * time.Second)
	first, second := b.allow(nil), b.allow(nil)
	b.send(core.Outcome{Ref: desk, PermitID: first.PermitID})
	b.send(core.Outcome{Ref: desk, PermitID: second.PermitID, Type: unavailable})
	refused := b.allow(nil)
	if refused.Allowed || !refused.RetryAt.Equal(b.clock.Now().Add(30*time.Second)) {
		t.Errorf("after the failed trial: %+v", refused)
	}
	if want := "a trial call failed: unavailable"; refused.Breaker.Cause != want {
		t.Errorf("cause %q, want %q", refused.Breaker.Cause, want)
	}
}

func TestPermits(t *testing.T) {
	b := opened()
	b.clock.Advance(30 * time.Second)
	id := core.CallID{Operation: "op", Attempt: 2}
	first := b.ask(nil, id)
	if again := b.ask(nil, id); again.PermitID != first.PermitID {
		t.Errorf("asked again: %q, first %q", again.PermitID, first.PermitID)
	}
	second := b.allow(nil)
	b.send(core.Outcome{Ref: desk, PermitID: second.PermitID, NotSent: true})
	third := b.allow(nil)
	if !third.Allowed {
		t.Error("a permit that was given back was not given on")
	}
	b.send(core.Outcome{Ref: desk, PermitID: third.PermitID, Type: throttled})
	if b.state() != core.HalfOpen || !b.allow(nil).Allowed {
		t.Error("throttling is neither success nor failure; the permit goes on")
	}
	b.clock.Advance(time.Minute)
	if third, fourth, fifth := b.allow(nil), b.allow(nil), b.allow(nil); !third.Allowed || !fourth.Allowed || fifth.Allowed {
		t.Error("after a minute the two lapsed permits, and only they, go on")
	}
	b.send(core.Outcome{Ref: desk, PermitID: first.PermitID}) // lapsed
	if view := b.List()[0]; view.Succeeded != 0 || view.PermitsOut != 2 {
		t.Errorf("a lapsed permit counted: %+v", view)
	}
}

// Whatever comes in whatever order, the trial calls under way and those that succeeded are together never more than declared,
// and every permit is given once.
func TestHalfOpenNeverGrantsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		spec := &core.Spec{WindowCalls: 4, MinCalls: 2, OpenFor: time.Second, HalfOpenCalls: limit}
		out := map[string]time.Time{} // permits under way, and when they lapse
		given := map[string]bool{}
		succeeded := 0
		for range 80 {
			switch rapid.SampledFrom([]string{"allow", "allow", "report", "fail", "advance", "stray"}).Draw(t, "do") {
			case "allow":
				decision := b.allow(spec)
				if decision.Breaker.State != core.HalfOpen {
					clear(out)
					succeeded = 0
				}
				if id := decision.PermitID; id != "" {
					if given[id] {
						t.Fatalf("permit %s was given twice", id)
					}
					given[id] = true
					out[id] = b.clock.Now().Add(time.Minute)
				}
			case "report", "fail":
				for id := range out {
					outcome := core.Outcome{Ref: desk, PermitID: id, Type: rapid.SampledFrom([]errorsv1.ErrorType{ok, ok, timeout}).Draw(t, "as")}
					if delete(out, id); outcome.Type == ok {
						succeeded++
					}
					if len(b.send(outcome)) > 0 {
						clear(out)
						succeeded = 0
					}
					break
				}
			case "advance":
				b.clock.Advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			case "stray":
				b.report(spec, rapid.SampledFrom([]errorsv1.ErrorType{ok, timeout}).Draw(t, "type"))
			}
			for id, lapses := range out {
				if !b.clock.Now().Before(lapses) {
					delete(out, id)
				}
			}
			if len(out)+succeeded > limit {
				t.Fatalf("%d under way and %d succeeded, of %d", len(out), succeeded, limit)
			}
		}
	})
}

func TestForce(t *testing.T) {
	b := newBench()
	view := b.Force("1", desk, core.ForceOpen, time.Minute, "maintenance")
	if view.State != core.Open || view.ForceReason != "maintenance" || b.allow(nil).Allowed {
		t.Errorf("forced open: %+v", view)
	}
	b.clock.Advance(30 * time.Second)
	if again := b.Force("1", desk, core.ForceOpen, time.Minute, "maintenance"); !again.ForcedUntil.Equal(t0.Add(time.Minute)) {
		t.Errorf("a repeated request moved the end to %v", again.ForcedUntil)
	}
	b.clock.Advance(30 * time.Second)
	if !b.allow(nil).Allowed {
		t.Error("a force that is over still holds")
	}
	b.report(thirty, times(10, timeout)...)
	if view := b.Force("2", desk, core.ForceClosed, time.Minute, ""); view.State != core.Closed || !b.allow(nil).Allowed {
		t.Errorf("forced closed: %+v", view)
	}
	b.report(thirty, times(10, timeout)...)
	if b.state() != core.Closed {
		t.Error("failures opened a breaker that is held closed")
	}
	b.Force("3", desk, core.ForceNone, 0, "")
	b.report(thirty, timeout)
	if b.state() != core.Open {
		t.Error("failures did not open a breaker that is let go")
	}
}

func TestOneServersBreakersAreApart(t *testing.T) {
	b := opened()
	named := core.Ref{Server: "desk", Namespace: "n", Name: "mine"}
	if decision, err := b.Allow(core.Call{Ref: named}); err != nil || !decision.Allowed {
		t.Errorf("%+v, %v", decision, err)
	}
}

// The declaration that came last counts, and the calls counted so far stay as far as its window reaches.
func TestANewDeclaration(t *testing.T) {
	b := newBench()
	b.report(&core.Spec{WindowCalls: 20, MinCalls: 20}, join(times(10, ok), times(4, timeout))...)
	b.report(&core.Spec{FailureRate: 0.3, WindowCalls: 5, MinCalls: 5}, ok)
	if view := b.List()[0]; view.State != core.Open || view.Cause != "4 of 5 calls failed" {
		t.Errorf("%+v", view)
	}
}

func TestADeclarationThatCannotBe(t *testing.T) {
	for field, spec := range map[string]core.Spec{
		"spec.failure_rate":    {FailureRate: 1},
		"spec.window_calls":    {WindowCalls: 1001},
		"spec.min_calls":       {WindowCalls: 5, MinCalls: 6},
		"spec.window_age":      {WindowAge: time.Millisecond},
		"spec.open_for":        {OpenFor: 25 * time.Hour},
		"spec.half_open_calls": {HalfOpenCalls: 101},
		"spec.counted":         {Counted: []errorsv1.ErrorType{toolError}},
	} {
		b := newBench()
		var refused *core.FieldError
		if _, err := b.Allow(core.Call{Ref: desk, Spec: &spec}); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("allow: %v, want a complaint about %s", err, field)
		}
		_, err := b.Report("1", []core.Outcome{{Ref: desk}, {Ref: desk, Spec: &spec}})
		if !errors.As(err, &refused) || refused.Field != "outcomes[1]."+field || len(b.List()) != 0 {
			t.Errorf("report: %v, %d counted", err, len(b.List()))
		}
	}
}

func TestForgottenBreakersDoNotFillTheMemory(t *testing.T) {
	b := opened()
	for i := range 5000 {
		b.send(core.Outcome{Ref: core.Ref{Server: fmt.Sprint(i)}, Type: timeout})
		b.clock.Advance(time.Second)
	}
	if left := len(b.List()); left > 2100 {
		t.Errorf("%d breakers are kept", left)
	}
	if b.state() == core.Closed {
		t.Error("an open breaker was forgotten")
	}
}

var errEnough = errors.New("seen enough")

func TestWatchTellsWhatChanges(t *testing.T) {
	b := opened()
	var seen []string
	step := 0
	err := b.Watch(t.Context(), func(views []core.View, snapshot bool) error {
		for _, view := range views {
			seen = append(seen, fmt.Sprint(view.Ref.Server, " ", view.State, " ", snapshot))
		}
		step++
		switch step {
		case 1:
			b.clock.Advance(30 * time.Second)
			b.allow(nil)      // half-open
			b.report(nil, ok) // changes nothing
			b.Force("f", desk, core.ForceOpen, time.Minute, "")
		case 2:
			return errEnough
		}
		return nil
	})
	want := []string{fmt.Sprint("desk ", core.Open, " true"), fmt.Sprint("desk ", core.Open, " false")}
	if !errors.Is(err, errEnough) || fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("saw %v, %v; want %v", seen, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = b.Watch(ctx, func([]core.View, bool) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSnapshotsCarryOver(t *testing.T) {
	b := opened()
	other := core.Ref{Server: "other"}
	b.Force("1", other, core.ForceOpen, time.Hour, "moved")
	b.send(core.Outcome{Ref: core.Ref{Server: "healthy"}})
	snapshot := b.Snapshot()
	if len(snapshot.Breakers) != 2 {
		t.Errorf("kept %+v", snapshot.Breakers)
	}
	fresh := newBench()
	fresh.Restore(snapshot)
	if refused := fresh.allow(nil); refused.Allowed || !refused.RetryAt.Equal(t0.Add(30*time.Second)) {
		t.Errorf("the open one: %+v", refused)
	}
	if refused, _ := fresh.Allow(core.Call{Ref: other}); refused.Allowed || refused.Breaker.ForceReason != "moved" {
		t.Errorf("the forced one: %+v", refused)
	}
	b.clock.Advance(30 * time.Second)
	lost := b.allow(nil)
	later := newBench()
	later.clock.Advance(30 * time.Second)
	later.Restore(b.Snapshot())
	if got := later.allow(nil); !got.Allowed || got.PermitID == "" {
		t.Errorf("the half-open one: %+v", got)
	}
	later.send(core.Outcome{Ref: desk, PermitID: lost.PermitID + "x"})
	if later.state() != core.HalfOpen {
		t.Error("a permit that was never given counted")
	}
}
