package simulation_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/escalation"
	"github.com/signalbox-dev/signalbox/services/recovery"
	"github.com/signalbox-dev/signalbox/services/scheduler"
)

var (
	seeds = flag.Int("seeds", 200, "how many seeds TestSimulation plays")
	first = flag.Uint64("seed", 1, "the first seed")
	shout = flag.Bool("log", false, "whether the services log")
)

// TestSimulation plays the suite under many seeds. A failing one is played again by -seed=N -seeds=1.
func TestSimulation(t *testing.T) {
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { play(t, seed) }) {
			t.Fatalf("seed %d failed; play it again: go test ./services/signalbox/simulation -run TestSimulation -seed=%d -seeds=1", seed, seed)
		}
	}
}

// TestSameSeedSameHistory asserts that a seed decides everything, in whatever order goroutines run. With the race detector the order is
// shuffled on purpose, so that is where it says most.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		if a, b := play(t, seed), play(t, seed); a != b {
			t.Errorf("seed %d gave %s, then %s", seed, a, b)
		}
	}
}

// play plays one seed and returns a digest of all histories.
func play(t *testing.T, seed uint64) (digest string) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		w, began := newWorld(t, seed), time.Now()
		w.play()
		digest = w.digest()
		t.Logf("seed %d: %v in %s, %d commits, %d calls, %d faults, %v: %s", seed, w.outcomes(), time.Since(began).Round(time.Second), w.state.acknowledged,
			w.desk.calls, w.desk.faults, w.counts, digest)
	})
	return digest
}

// world is one suite with everything around it.
type world struct {
	t     *testing.T
	dice  chance
	state *memory
	locks *locks
	desk  *desk
	log   *slog.Logger

	mu       sync.Mutex
	gen      int
	gw       *gateway
	sched    grpc.ClientConnInterface
	esc      grpc.ClientConnInterface
	wires    []*wire
	stop     func()
	counts   map[string]int
	promised []string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, dice: chance{seed: seed}, state: newMemory(), locks: newLocks(), desk: &desk{effects: map[string]int{}, tools: map[string]string{}},
		log: slog.New(slog.DiscardHandler), counts: map[string]int{},
	}
	if *shout {
		w.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	compileAll(t, w.state)
	return w
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

func (w *world) acknowledged(run string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.promised = append(w.promised, run)
}

func (w *world) scheduler() grpc.ClientConnInterface {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sched
}

func (w *world) escalation() grpc.ClientConnInterface {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.esc
}

// wired is a fresh connection to services in memory.
func (w *world) wired(name string, lossy int, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	channel := &inprocgrpc.Channel{}
	register(channel)
	x := newWire(fmt.Sprintf("%s%d", name, w.gen), channel, w.dice, 5*time.Millisecond, lossy)
	w.wires = append(w.wires, x)
	return x
}

// begin starts scheduler, recovery and escalation over what is stored.
func (w *world) begin(newGatewayToo bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gen++
	if newGatewayToo || w.gw == nil {
		w.gw = newGateway(w.dice, w.desk, fmt.Sprint("gateway-", w.gen))
	}
	rec, err := recovery.New(recovery.Config{}, recovery.Deps{Random: rand.NewPCG(w.dice.seed, uint64(w.gen)), Logger: w.log})
	if err != nil {
		w.t.Fatal(err)
	}
	stateConn := w.wired("state", 0, w.state.register)
	svc, err := scheduler.New(scheduler.Config{Name: "simulated", DrainTimeout: time.Nanosecond}, scheduler.Deps{
		State: stateConn, Lock: w.wired("lock", 20, w.locks.register), Recovery: w.wired("recovery", 50, rec.Register),
		Gateway: w.wired("gateway", 0, w.gw.register), Logger: w.log, Random: rand.New(rand.NewPCG(w.dice.seed, uint64(w.gen))),
		Hesitate: w.hesitation(w.gen),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sched = w.wired("client", 12, svc.Register)
	esc, err := escalation.New(escalation.Config{}, escalation.Deps{State: w.wired("state-of-escalation", 0, w.state.register), Scheduler: w.sched, Logger: w.log})
	if err != nil {
		w.t.Fatal(err)
	}
	w.esc = w.wired("person", 12, esc.Register)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = svc.Run(ctx)
	}()
	w.stop = func() {
		for _, x := range w.wires {
			x.cut()
		}
		cancel()
		_ = svc.Close()
		<-done
		_ = rec.Close()
	}
}

// hesitation lets a moment pass before a run takes what has come for it. It is drawn by the run and how often it was called, so that of two
// runs to which something came at one time, the seed says which decides first.
func (w *world) hesitation(gen int) func(namespace, run string) {
	var mu sync.Mutex
	times := map[string]int{}
	return func(namespace, run string) {
		mu.Lock()
		times[run]++
		n := times[run]
		mu.Unlock()
		time.Sleep(w.dice.within(time.Millisecond, "hesitates", fmt.Sprint(gen), namespace, run, fmt.Sprint(n)))
	}
}

// crash kills scheduler, recovery and escalation at once, and now and then the gateway too, and starts them anew.
func (w *world) crash(n int) {
	w.mu.Lock()
	stop, gw := w.stop, w.gw
	w.mu.Unlock()
	both := w.dice.below(2, "gateway dies", fmt.Sprint(n)) == 0
	if both {
		gw.die()
	}
	stop()
	w.mu.Lock()
	w.wires = nil
	w.mu.Unlock()
	time.Sleep(w.dice.within(10*time.Second, "down", fmt.Sprint(n)))
	w.begin(both)
	w.count("crashes")
}

// hurry makes a time short in every other world: there everything happens at once, and crashes come in the middle of it.
func (w *world) hurry(d time.Duration) time.Duration {
	if w.dice.below(2, "hurry") == 0 {
		return d / 400
	}
	return d
}

// longest is how long everything may take; the longest deadline is 20 hours.
const longest = 72 * time.Hour

func (w *world) play() {
	w.begin(true)
	ctx, cancel := context.WithCancel(context.Background())
	var all, clients sync.WaitGroup
	for n := range 3 + w.dice.below(8, "clients") {
		clients.Go(func() { w.client(ctx, n) })
	}
	all.Go(func() { w.person(ctx) })
	for _, name := range []string{"agent1", "agent2"} {
		all.Go(func() { w.agent(ctx, name) })
	}
	for n := range w.dice.below(6, "crashes") {
		time.Sleep(w.dice.within(w.hurry(time.Hour), "up", fmt.Sprint(n)))
		w.crash(n)
	}
	began := time.Now()
	for w.open() && time.Since(began) < longest {
		time.Sleep(10 * time.Minute)
	}
	clients.Wait()
	for w.open() && time.Since(began) < longest {
		time.Sleep(10 * time.Minute)
	}
	time.Sleep(time.Minute)
	w.check()
	cancel()
	w.stop()
	all.Wait()
}

// open reports whether a run has not ended.
func (w *world) open() bool {
	ids := w.state.ids()
	return len(ids) == 0 || slices.ContainsFunc(ids, func(id string) bool {
		return w.state.head(id).GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED
	})
}

// check asserts what is promised.
func (w *world) check() {
	control := schedulerv1.NewRunControlServiceClient(w.scheduler())
	for _, id := range w.promised {
		if w.state.head(id) == nil {
			w.t.Errorf("the start of %s was acknowledged, and the run is not there", id)
		}
	}
	for _, id := range w.state.ids() {
		run := w.state.head(id)
		if run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
			why, err := control.ExplainRun(context.Background(), &schedulerv1.ExplainRunRequest{RunId: id})
			w.t.Errorf("run %s has not ended: %s (%v)\n%v", id, why.GetSummary(), err, run)
			continue
		}
		rep, err := w.replay(control, id)
		if err != nil || !rep.GetIdentical() {
			w.t.Errorf("run %s does not replay: %s (%v)", id, rep.GetDifference(), err)
		}
		w.checkLedger(id, run)
	}
	for _, again := range w.desk.repeated() {
		w.t.Errorf("an effect was repeated: %s", again)
	}
}

// replay asks until an answer comes through.
func (w *world) replay(control schedulerv1.RunControlServiceClient, id string) (rep *schedulerv1.ReplayRunResponse, err error) {
	for range 10 {
		if rep, err = control.ReplayRun(context.Background(), &schedulerv1.ReplayRunRequest{RunId: id}); err == nil {
			return rep, nil
		}
	}
	return nil, err
}

// checkLedger asserts that the ledger tells the truth about the desk: what it says happened stands there unless it was undone, and a run that
// was undone has left nothing that has an undo.
func (w *world) checkLedger(id string, run *workflowv1.Run) {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	for _, op := range w.state.runs[id].operations {
		key := op.GetIdempotencyKey()
		if op.GetEffect() <= workflowv1.Effect_EFFECT_READ || op.GetTool() == "undo" {
			continue
		}
		there := w.desk.happened(key)
		switch op.GetStatus() {
		case workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED:
			if !there {
				w.t.Errorf("run %s: the ledger says that %s succeeded, and its effect is not there", id, op.GetId())
			}
			if undone(run) && op.GetTool() != "put" && op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
				w.t.Errorf("run %s is %s, and the effect of %s stands", id, run.GetOutcome(), op.GetId())
			}
		case workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED:
			if there {
				w.t.Errorf("run %s: the ledger says that %s was undone, and its effect is there", id, op.GetId())
			}
		case workflowv1.OperationStatus_OPERATION_STATUS_INTENDED:
			w.t.Errorf("run %s has ended with %s under way", id, op.GetId())
		case workflowv1.OperationStatus_OPERATION_STATUS_FAILED:
			if there {
				w.t.Errorf("run %s: the ledger says that %s failed, and its effect is there", id, op.GetId())
			}
		}
	}
}

// outcomes tells how many runs of each workflow ended how.
func (w *world) outcomes() map[string]int {
	out := map[string]int{}
	for _, id := range w.state.ids() {
		run := w.state.head(id)
		out[run.GetWorkflow()+" "+strings.ToLower(strings.TrimPrefix(run.GetOutcome().String(), "OUTCOME_"))]++
	}
	return out
}

func undone(run *workflowv1.Run) bool {
	return slices.Contains([]workflowv1.Outcome{
		workflowv1.Outcome_OUTCOME_CANCELLED, workflowv1.Outcome_OUTCOME_COMPENSATED, workflowv1.Outcome_OUTCOME_TIMED_OUT,
	}, run.GetOutcome())
}

func (w *world) digest() string {
	h := sha256.New()
	for _, id := range w.state.ids() {
		for _, ev := range w.state.runs[id].events {
			ev = proto.CloneOf(ev)
			if c := ev.GetTaskClaimed(); c != nil {
				c.TokenDigest = nil // of a secret that no seed decides
			}
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(ev)
			if err != nil {
				w.t.Fatal(err)
			}
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
