package core

import (
	"context"
	"encoding/hex"
	"sync"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// session counts the calls of one claim, so that the n-th identical call is known when it comes again.
type session struct {
	mu       sync.Mutex
	claim    uint32
	restored bool
	counts   map[string]*repeats
	recorded map[string]*workflowv1.Operation
}

// repeats are the identical calls of a claim.
type repeats struct {
	// n is the ordinal of the last.
	n uint32
	// undelivered are ordinals whose answer did not reach their caller: the next identical call is the same call again.
	undelivered []uint32
}

func newSession(claim uint32, restored bool) *session {
	return &session{claim: claim, restored: restored, counts: map[string]*repeats{}}
}

func signature(tool string, digest []byte) string { return tool + "#" + hex.EncodeToString(digest) }

// restore reads what earlier claims recorded; after a restart also what this claim did.
func (ss *session) restore(ctx context.Context, s *Scheduler, tk *task) error {
	if !ss.restored {
		return nil
	}
	run, _, err := s.opts.Store.Run(ctx, tk.key)
	if err != nil {
		return err
	}
	ss.recorded = map[string]*workflowv1.Operation{}
	for _, a := range run.GetActive() {
		if a.GetPath() == tk.path {
			ss.claim = a.GetTask().GetClaims()
		}
	}
	ops, err := s.opts.Store.Operations(ctx, tk.key, tk.path)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
			continue
		}
		ss.recorded[op.GetId()] = op
		if op.GetClaim() == ss.claim && op.GetOrdinal() > 0 {
			r := ss.of(signature(op.GetServer()+"/"+op.GetTool(), op.GetArgumentsDigest()))
			r.n = max(r.n, op.GetOrdinal())
		}
	}
	ss.restored = false
	return nil
}

func (ss *session) of(sig string) *repeats {
	r := ss.counts[sig]
	if r == nil {
		r = &repeats{}
		ss.counts[sig] = r
	}
	return r
}

// next gives the ordinal of a call.
func (ss *session) next(sig string) uint32 {
	r := ss.of(sig)
	if n := len(r.undelivered); n > 0 {
		ord := r.undelivered[0]
		r.undelivered = r.undelivered[1:]
		return ord
	}
	r.n++
	return r.n
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
	ss := tk.session
	args := c.Arguments
	if len(args) == 0 {
		args = []byte(`{}`)
	}
	sig := signature(c.Tool, engine.CallDigest(args))
	id, rec, err := s.identify(ctx, ss, tk, c, args, sig)
	if err != nil {
		return engine.Reply{}, err
	}
	m := message{event: engine.CallTool{
		StepPath: tk.path, TokenDigest: digest, Tool: c.Tool, Arguments: args, Call: id, Recorded: rec,
	}}
	if rec.GetOutputSequence() != 0 {
		m.extra = []uint64{rec.GetOutputSequence()}
	}
	reply, recorded, err := s.await(ctx, tk.key, id.OperationID, m)
	if err != nil || reply.Failure != nil {
		ss.notDelivered(sig, id.Ordinal, recorded)
	}
	return reply, err
}

func (s *Scheduler) identify(ctx context.Context, ss *session, tk *task, c Call, args []byte, sig string) (engine.CallIdentity, *workflowv1.Operation, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if err := ss.restore(ctx, s, tk); err != nil {
		return engine.CallIdentity{}, nil, err
	}
	var ordinal uint32
	if c.Key == "" {
		ordinal = ss.next(sig)
	}
	id := engine.IdentifyCall(tk.path, &workflowv1.TaskProgress{Generation: tk.generation()}, c.Tool, args, ordinal, c.Key)
	return id, ss.recorded[id.OperationID], nil
}

// notDelivered lets the next identical call have this ordinal again. What was not even recorded was no call; what was recorded may have
// been recorded after the session read the ledger, so that it is read again.
func (ss *session) notDelivered(sig string, ordinal uint32, recorded bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ordinal > 0 {
		r := ss.of(sig)
		if !recorded && r.n == ordinal {
			r.n--
		} else {
			r.undelivered = append(r.undelivered, ordinal)
		}
	}
	if recorded {
		ss.reread()
	}
}

// reread lets the next call read the ledger again, and keeps the counts.
func (ss *session) reread() { ss.restored = true }

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
