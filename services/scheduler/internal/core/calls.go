package core

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// session counts the calls of one claim, so that the n-th identical call is known when it comes again.
type session struct {
	mu    sync.Mutex
	claim uint32
	// resumed is set while the calls of a claim that was given in a former life of the scheduler are still to be counted.
	resumed bool
	counts  map[string]*repeats
}

// repeats are the identical calls of a claim.
type repeats struct {
	// n is the ordinal of the last.
	n uint32
	// undelivered are ordinals whose answer did not reach their caller: the next identical call is the same call again.
	undelivered []uint32
	// doubtful tells that nobody knows whether the last answer reached its caller: whether the next identical call is the same call
	// again or another one cannot be told, and taking a repetition for another call would repeat its effect.
	doubtful bool
}

// newSession makes the session of a claim that begins.
func newSession() *session { return &session{counts: map[string]*repeats{}} }

// resumedSession makes the session of a claim that stood when the scheduler came.
func resumedSession(claim uint32) *session {
	return &session{claim: claim, resumed: true, counts: map[string]*repeats{}}
}

func signature(tool string, digest []byte) string { return tool + "#" + hex.EncodeToString(digest) }

// resume counts what the claim did before this scheduler came: who asked is gone, but a call that is open was not answered, and of one
// that is not open nobody knows.
func (ss *session) resume(r *record) {
	if !ss.resumed {
		return
	}
	r.each(func(op *workflowv1.Operation) {
		if op.GetClaim() != ss.claim || op.GetOrdinal() == 0 {
			return
		}
		same := ss.of(signature(op.GetServer()+"/"+op.GetTool(), op.GetArgumentsDigest()))
		same.n = max(same.n, op.GetOrdinal())
		switch op.GetStatus() {
		case workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN:
			same.undelivered = append(same.undelivered, op.GetOrdinal())
			slices.Sort(same.undelivered)
		default:
			same.doubtful = true
		}
	})
	ss.resumed = false
}

// doubt notes that answers may have been lost on their way to the agent.
func (ss *session) doubt() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, r := range ss.counts {
		r.doubtful = r.doubtful || r.n > 0
	}
}

func (ss *session) of(sig string) *repeats {
	r := ss.counts[sig]
	if r == nil {
		r = &repeats{}
		ss.counts[sig] = r
	}
	return r
}

// next gives the ordinal of a call; false: it cannot be told.
func (ss *session) next(sig string) (uint32, bool) {
	r := ss.of(sig)
	if len(r.undelivered) > 0 {
		ord := r.undelivered[0]
		r.undelivered = r.undelivered[1:]
		return ord, true
	}
	if r.doubtful {
		return 0, false
	}
	r.n++
	return r.n, true
}

// callKey names a call that somebody waits for.
type callKey struct {
	run RunKey
	op  string
}

// caller is somebody who waits for a call's answer.
type caller struct{ got chan engine.Reply }

// Call is an agent's call.
type Call struct {
	// Token of the claim; Tool as "server/tool"; Arguments raw JSON; Key the agent's own, or empty.
	Token, Tool string
	Arguments   []byte
	Key         string
}

// CallTool makes an agent's call, or answers it from the record. An identical call whose answer did not reach its caller is the same call
// again: so an agent that lost the connection may simply repeat itself.
func (s *Scheduler) CallTool(ctx context.Context, c Call) (engine.Reply, error) {
	tk, digest, err := s.tasks.byToken(c.Token)
	if err != nil {
		return engine.Reply{}, err
	}
	ss := s.tasks.calling(tk, 1)
	defer s.tasks.calling(tk, -1)
	if ss == nil {
		return engine.Reply{}, staleClaim()
	}
	args := c.Arguments
	if len(args) == 0 {
		args = []byte(`{}`)
	}
	sig := signature(c.Tool, engine.CallDigest(args))
	id, err := s.identify(ctx, ss, tk, c, args, sig)
	if err != nil {
		if errors.Is(err, errDoubtful) {
			s.post(tk.key, engine.ReleaseTask{StepPath: tk.path, TokenDigest: digest, Reason: "released"}, nil)
			return engine.Reply{}, doubtfulCall()
		}
		return engine.Reply{}, err
	}
	m := message{event: engine.CallTool{StepPath: tk.path, TokenDigest: digest, Tool: c.Tool, Arguments: args, Call: id}}
	reply, recorded, err := s.await(ctx, tk.key, id.OperationID, m)
	if err != nil || reply.Failure != nil {
		ss.notDelivered(sig, id.Ordinal, recorded)
	}
	return reply, err
}

// errDoubtful: whether a call is the same again cannot be told.
var errDoubtful = errors.New("the call may be a repetition")

func doubtfulCall() *engine.Refusal {
	return &engine.Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE,
		Message: "this very call was made before a connection was lost, and whether its answer arrived is not known; claim the task again and make its calls " +
			"from the first: what was done answers from the record. A call that is meant to be made twice needs a key",
	}
}

func (s *Scheduler) identify(ctx context.Context, ss *session, tk *task, c Call, args []byte, sig string) (engine.CallIdentity, error) {
	if err := tk.record.load(ctx, s.opts.Store, tk); err != nil {
		return engine.CallIdentity{}, err
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.resume(&tk.record)
	var ordinal uint32
	if c.Key == "" {
		n, ok := ss.next(sig)
		if !ok {
			return engine.CallIdentity{}, errDoubtful
		}
		ordinal = n
	}
	return engine.IdentifyCall(tk.path, &workflowv1.TaskProgress{Generation: tk.generation()}, c.Tool, args, ordinal, c.Key), nil
}

// notDelivered lets the next identical call have this ordinal again. What was not even recorded was no call.
func (ss *session) notDelivered(sig string, ordinal uint32, recorded bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ordinal == 0 {
		return
	}
	r := ss.of(sig)
	if !recorded && r.n == ordinal {
		r.n--
		return
	}
	r.undelivered = append(r.undelivered, ordinal)
	slices.Sort(r.undelivered)
}

// doubt notes that answers may have been lost on their way to agents.
func (t *tasks) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tk := range t.byID {
		if tk.session != nil {
			tk.session.doubt()
		}
	}
}

// await posts a call and waits for its answer. It reports whether the call is on record.
func (s *Scheduler) await(ctx context.Context, key RunKey, op string, m message) (engine.Reply, bool, error) {
	w := &caller{got: make(chan engine.Reply, 1)}
	ck := callKey{run: key, op: op}
	s.tasks.mu.Lock()
	s.tasks.callers[ck] = append(s.tasks.callers[ck], w)
	s.tasks.mu.Unlock()
	defer s.tasks.leave(ck, w)
	refused := make(chan error, 1)
	m.done = func(_ uint64, err error) {
		if err != nil {
			refused <- err
		}
	}
	s.deliver(key, m)
	select {
	case r := <-w.got:
		return r, true, nil
	case err := <-refused:
		return engine.Reply{}, false, err
	case <-ctx.Done():
		return engine.Reply{}, true, ctx.Err()
	}
}

func (t *tasks) leave(ck callKey, w *caller) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.callers[ck]
	for i, c := range list {
		if c == w {
			t.callers[ck] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(t.callers[ck]) == 0 {
		delete(t.callers, ck)
	}
}

// answer brings an answer to those who wait for it.
func (t *tasks) answer(key RunKey, r engine.Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ck := callKey{run: key, op: r.OperationID}
	for _, w := range t.callers[ck] {
		select {
		case w.got <- r:
		default:
		}
	}
}
