package core

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// defaultConcurrency bounds the attempts in flight at a server of which nothing is known yet.
const defaultConcurrency = 32

// slots hands out the right to send an attempt: one slot per attempt in flight at a tool server; runs that wait take turns. Who has to
// wait is told by SlotFree, and the slot is kept for it meanwhile.
type slots struct {
	s *Scheduler

	mu          sync.Mutex
	incarnation string
	servers     map[string]*server
	breakers    map[BreakerKey]*breakerQueue
	// permits are those of calls that have not gone out yet.
	permits map[waiter]trialPermit
}

// trialPermit is the right to one call, for which the breaker then waits.
type trialPermit struct {
	id      string
	breaker Breaker
	tool    string
}

// server is a tool server's slots.
type server struct {
	limit   int
	inUse   int
	waiting *turns
}

// breakerQueue holds those who wait for a permit of a breaker that is not closed.
type breakerQueue struct {
	breaker Breaker
	tool    string
	waiting *turns
	asking  bool
}

// waiter is a step of a run that waits for a slot, for itself or for a call of its agent.
type waiter struct {
	key  RunKey
	path string
}

// handedSlot tells a run that a slot is kept for it.
type handedSlot struct {
	engine.SlotFree
	server string
}

func newSlots(s *Scheduler) *slots {
	return &slots{s: s, servers: map[string]*server{}, breakers: map[BreakerKey]*breakerQueue{}, permits: map[waiter]trialPermit{}}
}

func (l *slots) server(name string) *server {
	sv := l.servers[name]
	if sv == nil {
		sv = &server{limit: defaultConcurrency, waiting: newTurns()}
		l.servers[name] = sv
	}
	return sv
}

// admit answers for a step of an actor that decides now.
func (l *slots) admit(a *actor, b Breaker, tool, path string) engine.Admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := waiter{key: a.key, path: path}
	if a.reserved[b.Server] > 0 && l.incarnation != "" {
		a.reserved[b.Server]--
		return engine.Admission{Verdict: engine.Granted, Incarnation: l.incarnation}
	}
	if view := l.s.opts.Recovery.View(b.BreakerKey); !view.Closed {
		if view.Until.After(l.s.opts.Clock.Now()) {
			return engine.Admission{Verdict: engine.BreakerOpen, Until: view.Until}
		}
		l.queue(b, tool, w)
		return engine.Admission{Verdict: engine.Busy}
	}
	sv := l.server(b.Server)
	if l.s.draining.Load() || l.incarnation == "" || sv.inUse >= sv.limit || !sv.waiting.empty() {
		sv.waiting.push(w)
		return engine.Admission{Verdict: engine.Busy}
	}
	sv.inUse++
	return engine.Admission{Verdict: engine.Granted, Incarnation: l.incarnation}
}

// queue lets a step wait for a permit, and asks for one.
func (l *slots) queue(b Breaker, tool string, w waiter) {
	q := l.breakers[b.BreakerKey]
	if q == nil {
		q = &breakerQueue{waiting: newTurns()}
		l.breakers[b.BreakerKey] = q
	}
	q.breaker, q.tool = b, tool
	q.waiting.push(w)
	l.ask(q)
}

// ask asks for a permit for the first that waits. With one its call goes out on trial. Without, all that wait hear from the breaker if it is
// open; while the trials are other calls, they wait for what becomes of those.
func (l *slots) ask(q *breakerQueue) {
	w, ok := q.waiting.first()
	if q.asking || !ok || l.incarnation == "" || l.s.draining.Load() {
		return
	}
	q.asking = true
	b, tool := q.breaker, q.tool
	l.s.begin(func() {
		p := l.s.opts.Recovery.Permit(l.s.ctx, b, tool, w.key.ID+"/"+w.path)
		l.permitted(q, w, p)
	})
}

func (l *slots) permitted(q *breakerQueue, w waiter, p Permit) {
	l.mu.Lock()
	now := l.s.opts.Clock.Now()
	if !p.Granted && l.halfOpen(q, now) {
		l.mu.Unlock()
		l.s.opts.Clock.AfterFunc(max(p.Until.Sub(now), shortestAsk), func() { l.askAgain(q) })
		return
	}
	q.asking = false
	q.waiting.remove(w)
	if p.Granted {
		l.server(q.breaker.Server).inUse++
		if p.ID != "" {
			l.permits[w] = trialPermit{id: p.ID, breaker: q.breaker, tool: q.tool}
		}
		l.ask(q)
		l.mu.Unlock()
		l.hand(q.breaker.Server, w)
		return
	}
	all := []waiter{w}
	for next, ok := q.waiting.pop(); ok; next, ok = q.waiting.pop() {
		all = append(all, next)
	}
	l.mu.Unlock()
	l.wakeAll(all)
}

// shortestAsk is the shortest time between two questions of which the first was refused: recovery's clock may be behind.
const shortestAsk = 100 * time.Millisecond

// halfOpen tells that some calls may go out on trial, and no others.
func (l *slots) halfOpen(q *breakerQueue, now time.Time) bool {
	view := l.s.opts.Recovery.View(q.breaker.BreakerKey)
	return !view.Closed && !view.Until.After(now)
}

func (l *slots) askAgain(q *breakerQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.asking = false
	l.ask(q)
}

// permit takes the permit under which a step's call goes out; empty: it needs none.
func (l *slots) permit(w waiter) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.permits[w]
	delete(l.permits, w)
	return p.id
}

// giveBack gives a permit back that a step has got and has no use for.
func (l *slots) giveBack(w waiter) {
	l.mu.Lock()
	p, unused := l.permits[w]
	delete(l.permits, w)
	l.mu.Unlock()
	if unused {
		l.s.opts.Recovery.Report(Outcome{Breaker: p.breaker, Tool: p.tool, PermitID: p.id, NotSent: true})
	}
}

// hand gives a slot that is already counted to one that waited.
func (l *slots) hand(name string, w waiter) {
	l.s.deliver(w.key, message{event: handedSlot{SlotFree: engine.SlotFree{StepPath: w.path}, server: name}})
}

// wakeAll lets those that waited ask again.
func (l *slots) wakeAll(all []waiter) {
	for _, w := range all {
		l.s.post(w.key, engine.SlotFree{StepPath: w.path}, nil)
	}
}

// free gives a slot back and hands it to the first that waits.
func (l *slots) free(name string) {
	l.mu.Lock()
	sv := l.server(name)
	sv.inUse--
	woken := l.ready(sv)
	l.mu.Unlock()
	for _, w := range woken {
		l.hand(name, w)
	}
}

// ready takes out those that wait and for whom there is a slot now.
func (l *slots) ready(sv *server) []waiter {
	var woken []waiter
	for !l.s.draining.Load() && l.incarnation != "" && sv.inUse < sv.limit {
		w, ok := sv.waiting.pop()
		if !ok {
			break
		}
		sv.inUse++
		woken = append(woken, w)
	}
	return woken
}

// changed looks again at all servers: a gateway has come, or a limit has changed.
func (l *slots) changed() {
	l.mu.Lock()
	names := slices.Sorted(maps.Keys(l.servers))
	woken := make([][]waiter, len(names))
	for i, name := range names {
		woken[i] = l.ready(l.servers[name])
	}
	for _, q := range l.breakers {
		l.ask(q)
	}
	l.mu.Unlock()
	for i, name := range names {
		for _, w := range woken[i] {
			l.hand(name, w)
		}
	}
}

// breakersChanged lets those that wait for a permit ask again where they need none any more, or get none.
func (l *slots) breakersChanged() {
	l.mu.Lock()
	var all []waiter
	now := l.s.opts.Clock.Now()
	for _, q := range l.breakers {
		if l.halfOpen(q, now) {
			continue
		}
		for w, ok := q.waiting.pop(); ok; w, ok = q.waiting.pop() {
			all = append(all, w)
		}
	}
	l.mu.Unlock()
	l.wakeAll(all)
}

func (l *slots) connect(incarnation string) {
	l.mu.Lock()
	l.incarnation = incarnation
	l.mu.Unlock()
	if incarnation != "" {
		l.changed()
	}
}

func (l *slots) limit(name string, n int) {
	if n <= 0 {
		n = defaultConcurrency
	}
	l.mu.Lock()
	l.server(name).limit = n
	l.mu.Unlock()
	l.changed()
}

// count counts an attempt that is under way without having asked for its slot: one of a former life, or a repeated READ.
func (l *slots) count(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server(name).inUse++
}

// connected is the incarnation of the gateway that is connected; empty: none is.
func (l *slots) connected() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.incarnation
}
