package core

import (
	"cmp"
	"slices"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// flight is an attempt whose result is awaited.
type flight struct {
	breaker     Breaker
	tool        string
	incarnation string
	intended    time.Time
	permit      string
	// read is set for an agent's READ, which is not on record before its answer.
	read *readCall
	// told is set for a READ of a dry run, which belongs to no run.
	told func(AttemptResult)
}

// readCall is an agent's READ under way.
type readCall struct {
	command engine.InvokeRead
	digest  string // of the run's definition
	token   []byte
	tries   int
}

// flights are all attempts whose results are awaited.
type flights struct {
	mu        sync.Mutex
	byAttempt map[Attempt]*flight
	byRun     map[RunKey]int
	// gateway is the incarnation that attempts of a former life can be asked for at; empty: none is connected.
	gateway string
	// failedReads holds the number of the last attempt of READs that were given up. Nothing of them is on record, and the gateway
	// answers an attempt that it knows from its memory: when the agent repeats the call, its attempts have to be new ones.
	failedReads map[callKey]uint32
}

// maxFailedReads bounds failedReads. A READ that is forgotten and repeated is answered with its old failures first.
const maxFailedReads = 10_000

// readFailed remembers the last attempt of a READ that was given up, readDone forgets it, and readNumber is where a repetition goes on.
func (f *flights) readFailed(at Attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failedReads == nil || len(f.failedReads) >= maxFailedReads {
		f.failedReads = map[callKey]uint32{}
	}
	f.failedReads[callKey{run: at.Run, op: at.Operation}] = at.Number
}

func (f *flights) readDone(at Attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.failedReads, callKey{run: at.Run, op: at.Operation})
}

func (f *flights) readNumber(key RunKey, op *workflowv1.OpenOperation) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failedReads[callKey{run: key, op: op.GetId()}] + op.GetAttempt()
}

// add begins to wait for an attempt; false: it is waited for already.
func (f *flights) add(at Attempt, fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addLocked(at, fl)
}

// join begins to wait for an attempt of a former life, and tells at which gateway it can be asked for now. A gateway that connects later asks
// for all that are waited for then: between the two, none is left out.
func (f *flights) join(at Attempt, fl *flight) (gateway string, fresh bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gateway, f.addLocked(at, fl)
}

// meet notes which gateway is connected, and lists what is waited for, in order.
func (f *flights) meet(gateway string) []awaited {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateway = gateway
	if gateway == "" {
		return nil
	}
	all := make([]awaited, 0, len(f.byAttempt))
	for at, fl := range f.byAttempt {
		all = append(all, awaited{at, fl})
	}
	slices.SortFunc(all, func(a, b awaited) int {
		return cmp.Or(compareRuns(a.at.Run, b.at.Run), cmp.Compare(a.at.Operation, b.at.Operation), cmp.Compare(a.at.Number, b.at.Number))
	})
	return all
}

// awaited is an attempt with its flight.
type awaited struct {
	at     Attempt
	flight *flight
}

func (f *flights) addLocked(at Attempt, fl *flight) bool {
	if f.byRun == nil {
		f.byRun = map[RunKey]int{}
	}
	if f.byAttempt[at] != nil {
		return false
	}
	f.byRun[at.Run]++
	f.byAttempt[at] = fl
	return true
}

func (f *flights) take(at Attempt) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.byAttempt[at]
	if fl == nil {
		return nil
	}
	delete(f.byAttempt, at)
	if f.byRun[at.Run]--; f.byRun[at.Run] <= 0 {
		delete(f.byRun, at.Run)
	}
	return fl
}

func (f *flights) has(key RunKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byRun[key] > 0
}

func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byAttempt)
}

func (s *Scheduler) invoke(key RunKey, run *workflowv1.Run, c engine.Invoke, events map[uint64]*workflowv1.HistoryEvent) {
	op := c.Operation
	at := Attempt{Run: key, Operation: op.GetId(), Number: op.GetAttempt()}
	s.flights.add(at, &flight{
		breaker: s.breaker(run, op.GetServer(), c.Breaker), tool: op.GetTool(), incarnation: op.GetIncarnation(),
		intended: op.GetIntentTime().AsTime(), permit: s.slots.permit(waiter{key, c.StepPath}),
	})
	s.sendWithSecret(run.GetDefinitionDigest(), Invocation{
		Attempt: at, Server: op.GetServer(), Tool: op.GetTool(), Arguments: engine.Arguments(events[op.GetArgumentsSequence()]),
		IdempotencyKey: op.GetIdempotencyKey(), IdempotencyArgument: op.GetIdempotencyArgument(), Deadline: op.GetDeadline().AsTime(),
		StepPath: c.StepPath, FencingTokens: c.FencingTokens, Incarnation: op.GetIncarnation(),
	})
}

// breaker is the one that a call of a run counts for.
func (s *Scheduler) breaker(run *workflowv1.Run, server, name string) Breaker {
	b := Breaker{BreakerKey: BreakerKey{Server: server}}
	if name == "" {
		return b
	}
	b.Namespace, b.Name = run.GetNamespace(), name
	if def := s.defs.get(run.GetDefinitionDigest()); def != nil {
		b.Spec = def.Proto.GetResources().GetBreakers()[name]
	}
	return b
}

// send hands an attempt to the gateway; without one it certainly was not sent.
func (s *Scheduler) send(inv Invocation) {
	if !s.opts.Dispatcher.Send(inv) {
		s.Results([]AttemptResult{{
			Attempt: inv.Attempt, Status: SendNeverSeen, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "no gateway was connected",
		}})
	}
}

func (s *Scheduler) invokeRead(key RunKey, run *workflowv1.Run, c engine.InvokeRead) {
	var token []byte
	for _, a := range run.GetActive() {
		if a.GetPath() == c.StepPath {
			token = a.GetTask().GetTokenDigest()
		}
	}
	s.sendRead(key, &readCall{command: c, digest: run.GetDefinitionDigest(), token: token})
}

func (s *Scheduler) sendRead(key RunKey, r *readCall) {
	op := r.command.Operation
	at := Attempt{Run: key, Operation: op.GetId(), Number: s.flights.readNumber(key, op)}
	fresh := s.flights.add(at, &flight{
		breaker: Breaker{BreakerKey: BreakerKey{Server: op.GetServer()}}, tool: op.GetTool(), incarnation: op.GetIncarnation(),
		intended: op.GetIntentTime().AsTime(), read: r,
		permit: s.slots.permit(waiter{key, r.command.StepPath}),
	})
	if !fresh {
		s.slots.free(op.GetServer()) // it joins the same READ of an earlier claim, which has a slot
	}
	s.sendWithSecret(r.digest, Invocation{
		Attempt: at, Server: op.GetServer(), Tool: op.GetTool(), Arguments: r.command.Arguments, IdempotencyKey: op.GetIdempotencyKey(),
		Deadline: op.GetDeadline().AsTime(), StepPath: r.command.StepPath, Incarnation: op.GetIncarnation(),
	})
}

// attach asks what became of an attempt of a former life.
func (s *Scheduler) attach(key RunKey, c engine.Attach) {
	op := c.Operation
	at := Attempt{Run: key, Operation: op.GetId(), Number: op.GetAttempt()}
	fl := &flight{
		breaker: Breaker{BreakerKey: BreakerKey{Server: op.GetServer()}}, tool: op.GetTool(), incarnation: op.GetIncarnation(),
		intended: op.GetIntentTime().AsTime(),
	}
	gateway, fresh := s.flights.join(at, fl)
	if !fresh {
		return
	}
	s.slots.count(op.GetServer())
	if gateway != "" {
		s.askAfter(at, fl, gateway)
	}
}

// askAfter asks the gateway for the result of an attempt, if it is the one that the intent names. Another one was started in its place:
// the gateway of the intent is gone, and with it what it knew.
func (s *Scheduler) askAfter(at Attempt, fl *flight, connected string) {
	if fl.incarnation == connected {
		s.opts.Dispatcher.Attach(at, fl.intended)
		return
	}
	s.Results([]AttemptResult{{
		Attempt: at, Status: SendUnknown, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "the gateway that sent the call has ended", Ours: true,
	}})
}

// Connected implements DispatchSink.
func (s *Scheduler) Connected(incarnation string) {
	s.tasks.doubt() // agents may have come through a gateway that died before it passed their answers on
	for _, a := range s.flights.meet(incarnation) {
		s.askAfter(a.at, a.flight, incarnation)
	}
	s.slots.connect(incarnation)
}

// Disconnected implements DispatchSink.
func (s *Scheduler) Disconnected() {
	s.flights.meet("")
	s.slots.connect("")
	s.tasks.doubt()
}

// Servers implements DispatchSink.
func (s *Scheduler) Servers(servers []ServerStatus) {
	for _, sv := range servers {
		s.slots.limit(sv.Server, sv.MaxConcurrency)
	}
}

// BreakersChanged implements BreakerSink.
func (s *Scheduler) BreakersChanged() { s.slots.breakersChanged() }

// Results implements DispatchSink.
func (s *Scheduler) Results(results []AttemptResult) {
	for i := range results {
		r := results[i]
		fl := s.flights.take(r.Attempt)
		if fl == nil {
			s.landLate(r)
			continue
		}
		if s.opts.Metrics != nil {
			s.opts.Metrics.Attempt(fl.breaker.Server, r.Status)
		}
		s.report(fl, r)
		s.land(fl, r)
		s.slots.free(fl.breaker.Server)
	}
	if s.draining.Load() {
		s.mu.Lock()
		s.idle.Broadcast()
		s.mu.Unlock()
	}
}

// landLate brings a tool's answer to a run that may not wait for it any more: what it tells is true nevertheless. An attempt without an answer tells
// nothing new.
func (s *Scheduler) landLate(r AttemptResult) {
	if r.Status == SendAnswered && r.Attempt.Run.ID != "" {
		s.post(r.Attempt.Run, engine.Answered{OperationID: r.Attempt.Operation, Attempt: r.Attempt.Number, Output: r.Output, IsError: r.IsError}, nil)
	}
}

// report tells the breaker what the server did. What never reached it says nothing about it.
func (s *Scheduler) report(fl *flight, r AttemptResult) {
	o := Outcome{Breaker: fl.breaker, Tool: fl.tool, PermitID: fl.permit}
	switch r.Status {
	case SendAnswered:
	case SendNeverSeen:
		o.NotSent = true
	default:
		o.Type, o.NotSent = r.Type, r.Ours
	}
	if o.NotSent && fl.permit == "" {
		return
	}
	s.opts.Recovery.Report(o)
}

// land brings a result to its run.
func (s *Scheduler) land(fl *flight, r AttemptResult) {
	if fl.told != nil {
		fl.told(r)
		return
	}
	if fl.read != nil {
		s.landRead(fl, r)
		return
	}
	if r.Status == SendAnswered {
		s.post(r.Attempt.Run, engine.Answered{OperationID: r.Attempt.Operation, Attempt: r.Attempt.Number, Output: r.Output, IsError: r.IsError}, nil)
		return
	}
	ev := engine.Unanswered{
		OperationID: r.Attempt.Operation, Attempt: r.Attempt.Number, Unknown: r.Status == SendUnknown, Resend: r.Status == SendNeverSeen || r.Ours,
		Type: r.Type, Message: r.Message, RetryAfter: r.RetryAfter, ServerEnded: r.ServerEnded,
	}
	if ev.Resend || r.Ours {
		s.post(r.Attempt.Run, ev, nil)
		return
	}
	s.begin(func() {
		facts := s.opts.Recovery.Assess(s.ctx, Failure{Breaker: fl.breaker, Tool: fl.tool, Type: r.Type, Attempt: r.Attempt, RetryAfter: r.RetryAfter})
		ev.NoRetryBudget = facts.NoRetryBudget
		s.post(r.Attempt.Run, ev, nil)
	})
}

// begin runs work that may block, and counts it as under way.
func (s *Scheduler) begin(work func()) {
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			s.busy--
			s.idle.Broadcast()
			s.mu.Unlock()
		}()
		work()
	}()
}

const (
	// maxReadTries bounds the attempts of an agent's READ.
	maxReadTries = 5
	// readPause is the wait before the second one; it doubles.
	readPause = 200 * time.Millisecond
)

// landRead brings the answer to an agent's READ to its run, or tries again: a READ may always be repeated.
func (s *Scheduler) landRead(fl *flight, r AttemptResult) {
	rc, op := fl.read, fl.read.command.Operation
	call := engine.CallIdentity{OperationID: op.GetId(), ArgumentsDigest: op.GetArgumentsDigest(), Ordinal: op.GetOrdinal(), Key: op.GetClientKey()}
	if r.Status == SendAnswered {
		s.flights.readDone(r.Attempt)
		s.post(r.Attempt.Run, engine.ReadAnswered{
			StepPath: rc.command.StepPath, TokenDigest: rc.token, Tool: op.GetServer() + "/" + op.GetTool(), Arguments: rc.command.Arguments,
			Call: call, Attempts: op.GetAttempt(), Output: r.Output, IsError: r.IsError, Diverged: rc.command.Diverged,
		}, func(_ uint64, err error) {
			if err != nil {
				s.tasks.answer(r.Attempt.Run, engine.Reply{OperationID: op.GetId(), Failure: asRefusal(err)})
			}
		})
		return
	}
	rc.tries++
	incarnation := s.slots.connected()
	if rc.tries >= maxReadTries || !retriableRead(r) || s.draining.Load() || incarnation == "" && rc.tries > 1 {
		s.flights.readFailed(r.Attempt)
		s.tasks.answer(r.Attempt.Run, engine.Reply{OperationID: op.GetId(), Failure: readFailed(op, r)})
		return
	}
	pause := time.Duration(float64(readPause<<(rc.tries-1)) * s.chance.of(r.Attempt.Run.Namespace, r.Attempt.Run.ID, op.GetId()).jitter(uint64(r.Attempt.Number)))
	s.opts.Clock.AfterFunc(max(pause, r.RetryAfter), func() {
		next := rc.command
		now := s.opts.Clock.Now()
		next.Operation = nextRead(op, s.slots.connected(), now)
		s.slots.count(op.GetServer())
		s.sendRead(r.Attempt.Run, &readCall{command: next, digest: rc.digest, token: rc.token, tries: rc.tries})
	})
}
