package core

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// patience bounds the waits of a test; nothing depends on how long things take.
const patience = 2 * time.Minute

// world is a store and a gateway that live on while schedulers come and go.
type world struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // the test's, bounded
	clock *fakeclock.Clock
	store *memStore
	tools *toolbox
	sched *Scheduler
	ended chan error
	leave context.CancelFunc
	logs  *logbook
	// tune changes the options of the next scheduler.
	tune func(*Options)
}

func newWorld(t *testing.T, definitions ...string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{
		t: t, ctx: ctx, clock: fakeclock.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)), store: newMemStore(), tools: newToolbox(), logs: &logbook{t: t},
	}
	for _, d := range definitions {
		w.define(d)
	}
	return w
}

func (w *world) define(source string) *workflow.Definition {
	w.t.Helper()
	others := workflow.WorkflowsFunc(func(_, name, version string) (*workflow.Definition, bool) {
		def, err := w.store.Latest(w.ctx, "default", name, version)
		return def, err == nil
	})
	def, findings := workflow.Check("test.yaml", []byte(source), catalogue, others)
	if def == nil {
		w.t.Fatal(findings)
	}
	w.store.define(def)
	return def
}

// boot starts a scheduler on the store.
func (w *world) boot() {
	w.t.Helper()
	opts := Options{
		Name: "test", Store: w.store, Dispatcher: w.tools, Locks: noLocks{}, Recovery: calm{}, Clock: w.clock, Events: w.store,
		Records: w.store, Catalogue: w.store,
		Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(w.logs), Lease: time.Minute,
	}
	if w.tune != nil {
		w.tune(&opts)
	}
	w.sched = New(opts)
	ctx, leave := context.WithCancel(w.ctx)
	w.leave, w.ended = leave, make(chan error, 1)
	sched, ended := w.sched, w.ended
	go func() { ended <- sched.Run(ctx) }()
	w.tools.bind(w.sched)
	w.sched.Connected("g1")
	w.t.Cleanup(w.crash)
	for !w.sched.Ready() && w.ctx.Err() == nil {
		runtime.Gosched()
	}
}

// crash ends the scheduler as kill -9 would: what it has not committed is gone.
func (w *world) crash() {
	if w.sched == nil {
		return
	}
	w.tools.bind(nil)
	w.sched.Close()
	w.leave()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
	w.sched = nil
}

// reboot replaces the scheduler by another.
func (w *world) reboot() {
	w.t.Helper()
	w.crash()
	w.boot()
}

func (w *world) start(workflow, id, input string) {
	w.t.Helper()
	_, err := w.sched.StartRun(w.ctx, StartOrder{Namespace: "default", Workflow: workflow, RunID: id, RequestID: "start-" + id, Input: []byte(input)})
	if err != nil {
		w.t.Fatalf("start %s: %v", id, err)
	}
}

// await waits until a run is as wanted.
func (w *world) await(id, what string, so func(*workflowv1.Run) bool) *workflowv1.Run {
	w.t.Helper()
	ok := w.store.await(w.ctx, func() bool {
		r := w.store.runs[RunKey{"default", id}]
		return r != nil && so(r.head)
	})
	run := w.store.head(id)
	if !ok {
		w.dump()
		w.t.Fatalf("run %s: not in time: %s; it is in %s at %d: %s", id, what, run.GetStatus(), run.GetSequence(), engine.Summary(run, engine.Explain(w.definitionOf(run), run)))
	}
	return run
}

// dump shows what the store has.
func (w *world) dump() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for key, r := range w.store.runs {
		def := w.store.defs[r.head.GetDefinitionDigest()]
		w.t.Logf("run %s is %s at %d: %s", key.ID, r.head.GetStatus(), r.head.GetSequence(), engine.Summary(r.head, engine.Explain(def, r.head)))
	}
}

func (w *world) definitionOf(run *workflowv1.Run) *workflow.Definition {
	def, err := w.store.Definition(w.ctx, "default", run.GetDefinitionDigest())
	if err != nil {
		w.t.Fatal(err)
	}
	return def
}

func isOver(r *workflowv1.Run) bool { return r.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED }

// over waits for the end of a run.
func (w *world) over(id string) *workflowv1.Run {
	w.t.Helper()
	return w.await(id, "its end", isOver)
}

func (w *world) succeeds(id string) *workflowv1.Run {
	w.t.Helper()
	run := w.over(id)
	if run.GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED {
		w.t.Fatalf("run %s ended %s: %v", id, run.GetOutcome(), run.GetProblem())
	}
	w.replays(id)
	return run
}

// replays checks that a run's history folds to what is stored.
func (w *world) replays(id string) {
	w.t.Helper()
	rep, err := w.sched.ReplayRun(w.ctx, RunKey{"default", id})
	if err != nil || rep.Difference != "" {
		w.t.Errorf("replay of %s: %v %s", id, err, rep.Difference)
	}
}

// result is what a run ended with.
func (w *world) result(id string) string {
	w.t.Helper()
	_, p, err := w.sched.WaitRun(w.ctx, RunKey{"default", id}, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	if ref := p.GetArtifact(); ref != nil {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		return string(w.store.blobs[ref.GetDigest()])
	}
	return string(p.GetInline())
}

// facts counts the events of a run that are so.
func (w *world) facts(id string, so func(*workflowv1.HistoryEvent) bool) int {
	w.t.Helper()
	n := 0
	err := w.store.History(w.ctx, RunKey{"default", id}, 1, func(ev *workflowv1.HistoryEvent) error {
		if so(ev) {
			n++
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return n
}

// toolbox is a gateway with its tools. It answers at once, unless a tool is held.
type toolbox struct {
	mu    sync.Mutex
	sink  *Scheduler
	tools map[string]func(Invocation) (string, bool)
	done  map[Attempt]AttemptResult
	// flying are attempts whose call has not returned.
	flying map[Attempt]bool
	// calls counts the calls by tool and arguments.
	calls map[string]int
	held  map[string]bool
	kept  []Invocation
}

func newToolbox() *toolbox {
	return &toolbox{tools: map[string]func(Invocation) (string, bool){}, done: map[Attempt]AttemptResult{}, flying: map[Attempt]bool{}, calls: map[string]int{}, held: map[string]bool{}}
}

func (b *toolbox) bind(s *Scheduler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sink = s
}

// answer lets a tool answer; true: with an error of its own.
func (b *toolbox) answer(tool string, f func(Invocation) (string, bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tools[tool] = f
}

// hold keeps the calls of a tool until release.
func (b *toolbox) hold(tool string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[tool] = true
}

func (b *toolbox) release(tool string) {
	b.mu.Lock()
	delete(b.held, tool)
	var go1, rest []Invocation
	for _, inv := range b.kept {
		if inv.Tool == tool {
			go1 = append(go1, inv)
		} else {
			rest = append(rest, inv)
		}
	}
	b.kept = rest
	b.mu.Unlock()
	for _, inv := range go1 {
		b.perform(inv)
	}
}

// made is how many calls of a tool there were; of all arguments for the empty text.
func (b *toolbox) made(tool, arguments string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for call, times := range b.calls {
		if call == tool+arguments || arguments == "" && strings.HasPrefix(call, tool+"{") {
			n += times
		}
	}
	return n
}

// repeated lists what was called more than once.
func (b *toolbox) repeated() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for call, times := range b.calls {
		if times > 1 {
			all = append(all, fmt.Sprintf("%s %d times", call, times))
		}
	}
	return all
}

// Send implements Dispatcher.
func (b *toolbox) Send(inv Invocation) bool {
	b.mu.Lock()
	if b.sink == nil {
		b.mu.Unlock()
		return false
	}
	b.flying[inv.Attempt] = true
	if b.held[inv.Tool] {
		b.kept = append(b.kept, inv)
		b.mu.Unlock()
		return true
	}
	b.mu.Unlock()
	go b.perform(inv)
	return true
}

// perform has the effect, and tells the scheduler that is there then.
func (b *toolbox) perform(inv Invocation) {
	b.mu.Lock()
	b.calls[inv.Tool+string(inv.Arguments)]++
	f := b.tools[inv.Tool]
	b.mu.Unlock()
	r := AttemptResult{Attempt: inv.Attempt, Status: SendAnswered, Output: []byte(`{}`)}
	if f != nil {
		out, failed := f(inv)
		r.Output, r.IsError = []byte(out), failed
	}
	b.mu.Lock()
	b.done[inv.Attempt] = r
	delete(b.flying, inv.Attempt)
	sink := b.sink
	b.mu.Unlock()
	if sink != nil {
		sink.Results([]AttemptResult{r})
	}
}

// Attach implements Dispatcher.
func (b *toolbox) Attach(at Attempt, _ time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	sink := b.sink
	if sink == nil {
		return false
	}
	if b.flying[at] {
		return true
	}
	r, known := b.done[at]
	if !known {
		r = AttemptResult{Attempt: at, Status: SendNeverSeen}
	}
	go sink.Results([]AttemptResult{r})
	return true
}

type noLocks struct{}

func (noLocks) Acquire(RunKey, *workflowv1.LockHold)     {}
func (noLocks) Release(RunKey, *workflowv1.LockHold)     {}
func (noLocks) Held(context.Context) ([]HeldLock, error) { return nil, nil }

// calm is a Recovery whose breakers are closed.
type calm struct{}

func (calm) View(BreakerKey) BreakerView                            { return BreakerView{Closed: true} }
func (calm) Permit(context.Context, Breaker, string, string) Permit { return Permit{Granted: true} }
func (calm) Report(Outcome)                                         {}
func (calm) Assess(context.Context, Failure) Facts                  { return Facts{} }

// logbook fails the test for what the engine itself finds wrong.
type logbook struct {
	t  *testing.T
	mu sync.Mutex
	// expected are messages that the test provokes.
	expected []string
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.expected {
		if strings.Contains(r.Message, e) {
			return nil
		}
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	if !strings.Contains(text, context.Canceled.Error()) {
		l.t.Error("the scheduler says: " + text)
	}
	return nil
}

func (l *logbook) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logbook) WithGroup(string) slog.Handler      { return l }

var _ engine.Gate = (*actor)(nil)
