package core

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// Lease is how long a claim lives without a call or a heartbeat.
type Lease = time.Duration

// tasks are the agent tasks that are offered or claimed, and the agents that wait for one.
type tasks struct {
	s *Scheduler

	mu      sync.Mutex
	byID    map[string]*task
	byStep  map[stepKey]*task
	offered *list.List
	pollers *list.List
	callers map[callKey][]*caller
	closed  bool
}

// stepKey names a step of a run; it has at most one task at a time.
type stepKey struct {
	run  RunKey
	path string
}

// task is one offered or claimed agent task.
type task struct {
	id       string
	key      RunKey
	path     string
	agent    string
	since    time.Time
	claimed  bool
	claiming bool
	worker   string
	digest   []byte
	element  *list.Element
	lease    clock.Timer
	session  *session
	record   record
	// calls are those whose callers wait now: meanwhile the claim does not expire.
	calls int
	// used is what the agent has told of its use under the claim.
	used Usage
}

// poller is an agent that waits for a task.
type poller struct {
	poll Poll
	got  chan *task
}

// Poll is an agent's wish for work.
type Poll struct {
	// Namespace and Agent say whose tasks; Worker is a stable name; RunID restricts to one run.
	Namespace, Agent, Worker, RunID string
	// Timeout is the longest wait.
	Timeout time.Duration

	// refused are tasks that this poll has asked for in vain: a claim of the worker's own whose run is paused is left to its next poll.
	refused []string
}

func newTasks(s *Scheduler) *tasks {
	return &tasks{s: s, byID: map[string]*task{}, byStep: map[stepKey]*task{}, offered: list.New(), pollers: list.New(), callers: map[callKey][]*caller{}}
}

// offer makes a task known, or its claim after a restart.
func (t *tasks) offer(key RunKey, run *workflowv1.Run, c engine.OfferTask) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tk := t.byID[c.Task.GetId()]
	if tk == nil {
		tk = &task{id: c.Task.GetId(), key: key, path: c.StepPath, agent: c.Task.GetAgent()}
		tk.record.whole = c.Task.GetClaims() == 0 // nobody has made a call yet
		t.byID[tk.id], t.byStep[stepKey{key, c.StepPath}] = tk, tk
	}
	tk.stopLease()
	tk.used = Usage{}
	tk.since, tk.claimed, tk.worker, tk.digest, tk.session = run.GetUpdateTime().AsTime(), c.Claimed, c.Task.GetWorker(), slices.Clone(c.Task.GetTokenDigest()), nil
	if c.Claimed {
		tk.session = resumedSession(c.Task.GetClaims())
		t.startLease(tk)
		t.match() // its worker may have come back before this scheduler knew of the task
		return
	}
	if tk.element == nil {
		tk.element = t.offered.PushBack(tk)
	}
	t.match()
}

// withdraw forgets a task that has ended.
func (t *tasks) withdraw(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tk := t.byID[id]
	if tk == nil {
		return
	}
	tk.stopLease()
	t.forget(tk)
}

func (t *tasks) forget(tk *task) {
	t.unlist(tk)
	delete(t.byID, tk.id)
	if at := (stepKey{tk.key, tk.path}); t.byStep[at] == tk {
		delete(t.byStep, at)
	}
}

func (t *tasks) unlist(tk *task) {
	if tk.element != nil {
		t.offered.Remove(tk.element)
		tk.element = nil
	}
}

// match gives offered tasks to agents that wait, the oldest of each first.
func (t *tasks) match() {
	for e := t.pollers.Front(); e != nil; {
		next := e.Next()
		p := e.Value.(*poller) //nolint:forcetypeassert // only pollers are pushed
		if tk := t.find(p.poll); tk != nil {
			t.pollers.Remove(e)
			tk.claiming = true
			t.unlist(tk)
			p.got <- tk
		}
		e = next
	}
}

func (t *tasks) find(p Poll) *task {
	if p.Worker != "" {
		var back *task
		for _, tk := range t.byID {
			if tk.claimed && !tk.claiming && tk.worker == p.Worker && tk.fits(p) && !slices.Contains(p.refused, tk.id) && (back == nil || tk.id < back.id) {
				back = tk
			}
		}
		if back != nil {
			return back
		}
	}
	for e := t.offered.Front(); e != nil; e = e.Next() {
		if tk := e.Value.(*task); !tk.claiming && tk.fits(p) { //nolint:forcetypeassert // only tasks are pushed
			return tk
		}
	}
	return nil
}

func (tk *task) fits(p Poll) bool {
	return tk.agent == p.Agent && tk.key.Namespace == p.Namespace && (p.RunID == "" || p.RunID == tk.key.ID)
}

func (tk *task) stopLease() {
	if tk.lease != nil {
		tk.lease.Stop()
		tk.lease = nil
	}
}

// startLease ends the claim when nothing is heard of it in time.
func (t *tasks) startLease(tk *task) {
	tk.stopLease()
	if tk.calls > 0 || t.closed {
		return
	}
	digest := tk.digest
	key, path := tk.key, tk.path
	tk.lease = t.s.opts.Clock.AfterFunc(t.s.opts.Lease, func() {
		t.s.post(key, engine.ReleaseTask{StepPath: path, TokenDigest: digest, Reason: "expired"}, nil)
	})
}

// calling counts a call whose caller waits, or one that does not any more, and returns the claim's session.
func (t *tasks) calling(tk *task, n int) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	tk.calls += n
	if tk.claimed {
		t.startLease(tk)
	}
	return tk.session
}

// Claim is a task in the hands of a worker.
type Claim struct {
	// Token is the secret of the claim; StepPath its step.
	Token    string
	Key      RunKey
	StepPath string
	TaskID   string
}

// PollTask waits for a task and claims it; nil without error: there was none in time.
func (s *Scheduler) PollTask(ctx context.Context, p Poll) (*Claim, error) {
	inTime, cancel := context.WithCancel(ctx)
	defer cancel()
	over := s.opts.Clock.AfterFunc(p.Timeout, cancel)
	defer over.Stop()
	for {
		tk := s.tasks.wait(inTime, p)
		if tk == nil {
			return nil, nil //nolint:nilnil // the contract: no task in time
		}
		c, err := s.claim(ctx, tk, p.Worker)
		var refusal *engine.Refusal
		if err == nil || (!errors.As(err, &refusal) && !errors.Is(err, ErrNotFound)) {
			return c, err
		}
		// Somebody else was quicker, the task has ended, or its run is paused: wait for another.
		s.tasks.withdrawIfClaimable(tk)
		p.refused = append(p.refused, tk.id)
	}
}

// wait returns a task that nobody else will get, or nil when ctx ends.
func (t *tasks) wait(ctx context.Context, p Poll) *task {
	t.mu.Lock()
	if t.closed || ctx.Err() != nil {
		t.mu.Unlock()
		return nil
	}
	pl := &poller{poll: p, got: make(chan *task, 1)}
	e := t.pollers.PushBack(pl)
	t.match()
	t.mu.Unlock()
	select {
	case tk := <-pl.got:
		return tk
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case tk := <-pl.got:
		if tk != nil {
			t.giveBack(tk)
		}
	default:
		t.pollers.Remove(e)
	}
	return nil
}

// giveBack offers a task again that nobody has claimed after all.
func (t *tasks) giveBack(tk *task) {
	tk.claiming = false
	if !tk.claimed && tk.element == nil && t.byID[tk.id] == tk {
		tk.element = t.offered.PushFront(tk)
		t.match()
	}
}

func (t *tasks) withdrawIfClaimable(tk *task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tk.claiming = false
	if t.byID[tk.id] == tk && !tk.claimed {
		t.forget(tk)
	}
}

// claim records the claim and begins its lease. It goes through with it even when the poller has left meanwhile, and then gives the task
// back: a claim on record that nobody knows of would keep the task from everybody.
func (s *Scheduler) claim(ctx context.Context, tk *task, worker string) (*Claim, error) {
	token, digest := newToken(tk.key, tk.path)
	s.tasks.mu.Lock()
	stands := tk.claimed
	s.tasks.mu.Unlock()
	ev := engine.ClaimTask{StepPath: tk.path, TokenDigest: digest, Worker: worker, Supersede: stands}
	if _, err := s.do(s.ctx, tk.key, message{event: ev}); err != nil {
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) && !errors.Is(err, ErrNotFound) {
			s.tasks.mu.Lock()
			s.tasks.giveBack(tk)
			s.tasks.mu.Unlock()
		}
		return nil, err
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if s.tasks.byID[tk.id] == tk {
		tk.claimed, tk.claiming, tk.worker, tk.digest, tk.used = true, false, worker, digest, Usage{}
		tk.since = s.opts.Clock.Now()
		tk.session = newSession()
		s.tasks.startLease(tk)
	}
	if ctx.Err() != nil {
		s.post(tk.key, engine.ReleaseTask{StepPath: tk.path, TokenDigest: digest, Reason: "released"}, nil)
		return nil, ctx.Err()
	}
	return &Claim{Token: token, Key: tk.key, StepPath: tk.path, TaskID: tk.id}, nil
}

// newToken makes the secret of a claim. It names its run and step, so that any scheduler finds them, and 256 random bits.
func newToken(key RunKey, path string) (string, []byte) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	token := strings.Join([]string{encode(key.Namespace), encode(key.ID), encode(path), base64.RawURLEncoding.EncodeToString(secret)}, ".")
	return token, tokenDigest(token)
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func tokenDigest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// parseToken finds run and step of a claim. Whether it counts is the run's to say.
func parseToken(token string) (RunKey, string, error) {
	parts := strings.Split(token, ".")
	var text [3]string
	for i := range text {
		if len(parts) != 4 {
			break
		}
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			parts = nil
			break
		}
		text[i] = string(b)
	}
	if len(parts) != 4 {
		return RunKey{}, "", &engine.Refusal{
			Reason: errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, Message: "claim_token is not one that this service gave; claim a task and use its token",
		}
	}
	return RunKey{Namespace: text[0], ID: text[1]}, text[2], nil
}

// byToken returns the task of a claim that stands.
func (t *tasks) byToken(token string) (*task, []byte, error) {
	key, path, err := parseToken(token)
	if err != nil {
		return nil, nil, err
	}
	digest := tokenDigest(token)
	t.mu.Lock()
	defer t.mu.Unlock()
	if tk := t.byStep[stepKey{key, path}]; tk != nil && tk.claimed && slices.Equal(tk.digest, digest) {
		t.startLease(tk)
		return tk, digest, nil
	}
	return nil, nil, staleClaim()
}

func staleClaim() *engine.Refusal {
	return &engine.Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, Message: "this claim of the task is over; claim the task again if it is still offered",
	}
}

// CompleteTask ends a task with its output.
func (s *Scheduler) CompleteTask(ctx context.Context, token string, output []byte) (uint64, error) {
	tk, digest, err := s.tasks.byToken(token)
	if err != nil {
		return 0, err
	}
	return s.do(ctx, tk.key, message{event: engine.CompleteTask{StepPath: tk.path, TokenDigest: digest, Output: output}})
}

// FailTask ends a task with an error.
func (s *Scheduler) FailTask(ctx context.Context, token, text string) (uint64, error) {
	tk, digest, err := s.tasks.byToken(token)
	if err != nil {
		return 0, err
	}
	return s.do(ctx, tk.key, message{event: engine.FailTask{StepPath: tk.path, TokenDigest: digest, Message: text}})
}

// ReleaseTask gives a task back.
func (s *Scheduler) ReleaseTask(ctx context.Context, token string) (uint64, error) {
	tk, digest, err := s.tasks.byToken(token)
	if err != nil {
		return 0, err
	}
	return s.do(ctx, tk.key, message{event: engine.ReleaseTask{StepPath: tk.path, TokenDigest: digest, Reason: "released"}})
}

// TaskSummary is an open task.
type TaskSummary struct {
	ID, StepPath, Agent, Worker string
	Key                         RunKey
	Claimed                     bool
	Since                       time.Time
}

// ListTasks lists open tasks, oldest first.
func (s *Scheduler) ListTasks(namespace, agent string) []TaskSummary {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	var out []TaskSummary
	for _, tk := range s.tasks.byID {
		if (namespace == "*" || tk.key.Namespace == namespace) && (agent == "" || tk.agent == agent) {
			out = append(out, TaskSummary{ID: tk.id, StepPath: tk.path, Agent: tk.agent, Worker: tk.worker, Key: tk.key, Claimed: tk.claimed, Since: tk.since})
		}
	}
	slices.SortFunc(out, func(a, b TaskSummary) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// drain lets nobody wait for tasks any more.
func (t *tasks) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for e := t.pollers.Front(); e != nil; e = t.pollers.Front() {
		close(t.pollers.Remove(e).(*poller).got) //nolint:forcetypeassert // only pollers are pushed
	}
	for _, tk := range t.byID {
		tk.stopLease()
	}
}
