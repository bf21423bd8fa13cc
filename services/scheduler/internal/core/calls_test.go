package core

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const helpedDefinition = `api_version: signalbox/v1
metadata: {name: helped, version: 1.0.0}
steps:
  - {id: help, agent: {agent: helper, goal: Help., allowed_tools: [desk/look, desk/write], max_effect: write, budget: {max_turns: 9, max_tokens: 9}}}
`

// helped is a rig with a run whose task is claimed.
type helped struct {
	*rig
	key RunKey

	mu   sync.Mutex
	head *workflowv1.Run
	// held keeps commits of answers back until it is closed; nil: it does not.
	held chan struct{}
	// holding tells that one is kept back.
	holding chan struct{}
}

func newHelped(t *testing.T) *helped {
	t.Helper()
	h := &helped{rig: newRig(t), key: RunKey{Namespace: "default", ID: "h1"}, holding: make(chan struct{}, 1)}
	def, findings := workflow.Check("helped.yaml", []byte(helpedDefinition), catalogue, nil)
	if def == nil {
		t.Fatal(findings)
	}
	h.store.EXPECT().Latest(gomock.Any(), "default", "helped", "").Return(def, nil).AnyTimes()
	h.store.EXPECT().Definition(gomock.Any(), "default", def.Digest).Return(def, nil).AnyTimes()
	h.store.EXPECT().Commit(gomock.Any(), gomock.Any()).DoAndReturn(h.commit).AnyTimes()
	h.store.EXPECT().Run(gomock.Any(), h.key).DoAndReturn(func(context.Context, RunKey) (*workflowv1.Run, uint32, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return proto.CloneOf(h.head), 0, nil
	}).AnyTimes()
	h.store.EXPECT().Events(gomock.Any(), h.key, gomock.Any()).DoAndReturn(func(_ context.Context, _ RunKey, seqs []uint64) ([]*workflowv1.HistoryEvent, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		var events []*workflowv1.HistoryEvent
		for _, seq := range seqs {
			events = append(events, h.events[seq])
		}
		return events, nil
	}).AnyTimes()
	h.sending()
	h.start()
	if _, err := h.sched.StartRun(t.Context(), StartOrder{Namespace: "default", Workflow: "helped", RunID: "h1", RequestID: "q1"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *helped) commit(_ context.Context, c *Commit) error {
	for _, ev := range c.Facts {
		if ev.GetOperationSucceeded() != nil && h.held != nil {
			h.holding <- struct{}{}
			<-h.held
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range c.Facts {
		h.events[ev.GetSequence()] = ev
	}
	h.head = proto.CloneOf(c.Run)
	return nil
}

func (h *helped) claim() *Claim {
	h.t.Helper()
	c, err := h.sched.PollTask(h.t.Context(), Poll{Namespace: "default", Agent: "helper", Worker: "w", Timeout: time.Minute})
	if err != nil || c == nil {
		h.t.Fatal(c, err)
	}
	return c
}

// write calls the WRITE tool and brings what comes of it.
func (h *helped) write(token string) <-chan engine.Reply {
	got := make(chan engine.Reply, 1)
	go func() {
		r, err := h.sched.CallTool(h.t.Context(), Call{Token: token, Tool: "desk/write"})
		var refusal *engine.Refusal
		if errors.As(err, &refusal) {
			r.Failure = refusal
		} else if err != nil {
			h.t.Error(err)
		}
		got <- r
	}()
	return got
}

// inbox waits until a run has inputs waiting.
func (h *helped) inbox() {
	for {
		h.sched.mu.Lock()
		a := h.sched.actors[h.key]
		n := 0
		if a != nil {
			n = len(a.inbox)
		}
		h.sched.mu.Unlock()
		if n > 0 {
			return
		}
	}
}

// The answer to a write is being committed while a restarted agent makes the same call again. It must be judged by the ledger as it is
// once the call's turn comes, or the write is made twice.
func TestACallIsJudgedByTheLedgerAsItIsThen(t *testing.T) {
	h := newHelped(t)
	h.held = make(chan struct{})
	first := h.write(h.claim().Token)
	inv := <-h.sent
	second := h.claim()
	h.answer(inv, `"done"`)
	<-h.holding
	again := h.write(second.Token)
	h.inbox()
	close(h.held)
	for _, r := range []engine.Reply{<-first, <-again} {
		if r.Failure != nil || string(r.Output) != `"done"` {
			t.Errorf("got %+v", r)
		}
	}
	if n := len(h.sent); n != 0 {
		t.Errorf("%d more attempts were sent", n)
	}
}

// A gateway died, and may have taken an answer with it. The same call again is either the same or another one: nobody can tell, so that
// the claim is over and the next one is answered from the record.
func TestWhereNobodyCanTellTheClaimIsOver(t *testing.T) {
	h := newHelped(t)
	token := h.claim().Token
	got := h.write(token)
	h.answer(<-h.sent, `"done"`)
	<-got
	h.sched.Disconnected()
	h.sched.Connected("g2")
	if r := <-h.write(token); r.Failure == nil || r.Failure.Reason != errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE {
		t.Fatalf("got %+v, want a stale claim", r)
	}
	if r := <-h.write(h.claim().Token); !r.Replayed || string(r.Output) != `"done"` {
		t.Errorf("got %+v, want the record", r)
	}
	if n := len(h.sent); n != 0 {
		t.Errorf("%d more attempts were sent", n)
	}
}

func TestIdenticalCallsOfAClaim(t *testing.T) {
	op := func(id string, ordinal, claim uint32, status workflowv1.OperationStatus, seq uint64) *workflowv1.Operation {
		return &workflowv1.Operation{
			Id: id, Ordinal: ordinal, Claim: claim, Status: status, Server: "desk", Tool: "write", UpdateSequence: seq,
			Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL,
		}
	}
	const open, done = workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
	sig := signature("desk/write", nil)
	for _, c := range []struct {
		name string
		ops  []*workflowv1.Operation
		want []uint32 // ordinals of the next calls; 0: it cannot be told
	}{
		{"nothing was done", nil, []uint32{1, 2}},
		{"by an earlier claim only", []*workflowv1.Operation{op("a", 1, 1, done, 5)}, []uint32{1, 2}},
		{"one is open", []*workflowv1.Operation{op("a", 1, 2, open, 5)}, []uint32{1, 2}},
		{"one is done", []*workflowv1.Operation{op("a", 1, 2, done, 5)}, []uint32{0, 0}},
		{"one is done, one is open", []*workflowv1.Operation{op("a", 1, 2, done, 5), op("b", 2, 2, open, 6)}, []uint32{2, 0}},
	} {
		r := &record{}
		for _, o := range c.ops {
			r.keep(o)
		}
		ss := resumedSession(2)
		ss.resume(r)
		for i, want := range c.want {
			if got, ok := ss.next(sig); got != want || ok != (want > 0) {
				t.Errorf("%s: call %d is %d (%v), want %d", c.name, i+1, got, ok, want)
			}
		}
	}
}

func TestTheRecordKeepsTheLaterState(t *testing.T) {
	r := &record{}
	for _, seq := range []uint64{3, 7, 5} {
		r.keep(&workflowv1.Operation{Id: "a", UpdateSequence: seq, Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL})
	}
	if got := r.ops["a"].GetUpdateSequence(); got != 7 {
		t.Errorf("the record has the entry of event %d, want 7", got)
	}
}
