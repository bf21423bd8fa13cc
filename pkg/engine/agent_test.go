package engine_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// agentStep is one agent task. The part is more of the step.
const agentStep = `
steps:
	- id: x
		agent:
			agent: helper
			goal: Help.
			arguments: {id: "${input.id}"}
			allowed_tools: [s/read, s/put, s/write, s/keyed, s/probed, s/strict]
			max_effect: write
			budget: {max_turns: 9, max_tokens: 999, max_tool_calls: 6}
		output: {json_schema: {type: object, required: [ok], properties: {ok: {type: boolean}}}}
		%s
`

const path = "main/x"

// agent works on the task of a world as a worker and its scheduler would: it counts identical calls, and looks up the ledger.
type agent struct {
	*world
	path   string
	token  []byte
	counts map[string]uint32
}

// claim claims a task with a token and returns the token's digest.
func claim(w *world, path, token string) []byte {
	w.t.Helper()
	sum := sha256.Sum256([]byte(token))
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: sum[:], Worker: "w-" + token})
	return sum[:]
}

// works claims the task.
func (w *world) works(token string) *agent {
	w.t.Helper()
	return &agent{world: w, path: path, token: claim(w, path, token), counts: map[string]uint32{}}
}

func (a *agent) task() *workflowv1.TaskProgress {
	for _, s := range a.run().GetActive() {
		if s.GetPath() == a.path {
			return s.GetTask()
		}
	}
	return nil
}

// input is a call with the identity that the scheduler would give it.
func (a *agent) input(tool, args, key string) engine.CallTool {
	sig := tool + string(engine.CallDigest(json.RawMessage(args)))
	if key == "" {
		a.counts[sig]++
	}
	id := engine.IdentifyCall(a.path, a.task(), tool, json.RawMessage(args), a.counts[sig], key)
	return engine.CallTool{StepPath: a.path, TokenDigest: a.token, Tool: tool, Arguments: json.RawMessage(args), Call: id, Recorded: a.row(id.OperationID)}
}

// calls makes a call; it returns the answer if there is one already.
func (a *agent) calls(tool, args string) *engine.Reply {
	a.t.Helper()
	a.give(a.input(tool, args, ""))
	if len(a.replies) == 0 {
		return nil
	}
	return &a.replies[0]
}

// reads makes a READ and answers it.
func (a *agent) reads(args, output string) {
	a.t.Helper()
	in := a.input("s/read", args, "")
	a.give(in)
	for _, c := range a.commands {
		if r, ok := c.(engine.InvokeRead); ok {
			if len(a.made) != 0 {
				a.t.Fatalf("a READ needs no intent, made %s", a.facts())
			}
			a.give(engine.ReadAnswered{
				StepPath: a.path, TokenDigest: a.token, Tool: "s/read", Arguments: in.Arguments, Call: in.Call, Attempts: r.Operation.GetAttempt(),
				Output: json.RawMessage(output), Diverged: r.Diverged,
			})
			return
		}
	}
	a.t.Fatalf("the READ was not sent: %v %v", a.commands, a.replies)
}

// reply asserts the only reply to the last input.
func (a *agent) reply(output string, replayed bool) {
	a.t.Helper()
	if len(a.replies) != 1 || string(a.replies[0].Output) != output || a.replies[0].Replayed != replayed || a.replies[0].Failure != nil {
		a.t.Fatalf("replies %+v, wanted %s", a.replies, output)
	}
}

func (a *agent) failure(reason errorsv1.ErrorReason) {
	a.t.Helper()
	if len(a.replies) != 1 || a.replies[0].Failure == nil || a.replies[0].Failure.Reason != reason {
		a.t.Fatalf("replies %+v, wanted %s", a.replies, reason)
	}
}

func (a *agent) completes() {
	a.t.Helper()
	a.give(engine.CompleteTask{StepPath: a.path, TokenDigest: a.token, Output: json.RawMessage(`{"ok":true}`)})
}

func TestAgentTask(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	offered := w.event(w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED).GetTask().GetOfferSequence()).GetTaskOffered()
	if offered.GetGoal() != "Help." || string(offered.GetArguments().GetInline()) != `{"id":"o1"}` || offered.GetTask().GetId() != "r1/main/x/1" {
		t.Errorf("offer %v", offered)
	}
	a := w.works("t1")
	a.reads(`{"q":1}`, `"found"`)
	a.reply(`"found"`, false)
	if a.calls("s/write", `{"n":1}`) != nil || a.facts() != "OperationIntended" {
		t.Errorf("a write is intended first, made %s", a.facts())
	}
	a.answer("s/write", `"done"`)
	a.reply(`"done"`, false)
	a.calls("s/put", `{}`)
	a.refuse("s/put")
	if r := a.replies[0]; !r.IsError || string(r.Output) != `"no"` {
		t.Errorf("reply %+v", r)
	}
	a.refused(engine.CompleteTask{StepPath: path, TokenDigest: a.token, Output: json.RawMessage(`{"ok":1}`)}, errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID)
	a.refused(engine.CompleteTask{StepPath: path, TokenDigest: a.token, Output: json.RawMessage(`{`)}, errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID)
	a.completes()
	a.ends(succeeded)
	if diff := cmp.Diff(`{"ok":true}`, a.output("x")); diff != "" {
		t.Error(diff)
	}
	if n := w.run().GetCounters().GetOperations(); n != 3 {
		t.Errorf("%d operations", n)
	}
}

func TestAgentCallsAreRefused(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	stale := errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE
	w.refused(engine.CallTool{StepPath: path, TokenDigest: []byte("x")}, stale)
	w.refused(engine.ClaimTask{StepPath: "main/y", TokenDigest: []byte("x")}, errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND)
	a := w.works("t1")
	w.refused(engine.ClaimTask{StepPath: path, TokenDigest: []byte("x")}, errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND)
	a.refused(a.input("s/mail", `{}`, ""), errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED)
	a.refused(a.input("s/read", `{`, ""), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	a.refused(a.input("s/strict", `{"id":"too long"}`, ""), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	a.refused(a.input("s/strict", `{"id":"x","more":1}`, ""), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	a.calls("s/strict", `{"id":"x"}`) // the key is the gateway's to add
	a.answer("s/strict", `1`)
	for i := range 5 {
		a.reads(`{"i":`+string(rune('0'+i))+`}`, `1`)
	}
	a.refused(a.input("s/read", `{"i":9}`, ""), errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED)
	w.busy["s"] = true
	w.breaker["s"] = w.now.Add(time.Minute)
	other := w.token("t2", true)
	for _, in := range []engine.InputEvent{
		engine.CallTool{StepPath: path, TokenDigest: a.token, Tool: "s/read"}, engine.CompleteTask{StepPath: path, TokenDigest: a.token},
		engine.FailTask{StepPath: path, TokenDigest: a.token}, engine.ReleaseTask{StepPath: path, TokenDigest: a.token},
		engine.ReadAnswered{StepPath: path, TokenDigest: a.token, Tool: "s/read"}, engine.CompleteTask{StepPath: path},
	} {
		w.refused(in, stale)
	}
	w.give(engine.Signal{Name: "x"})
	w.give(engine.FailTask{StepPath: path, TokenDigest: other, Message: "no"})
	w.ends(failed)
}

// token claims over a claim that stands.
func (w *world) token(token string, supersede bool) []byte {
	w.t.Helper()
	sum := sha256.Sum256([]byte(token))
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: sum[:], Worker: token, Supersede: supersede})
	return sum[:]
}

func TestAgentCallWithoutASlot(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	in := a.input("s/write", `{}`, "")
	w.busy["s"] = true
	if err := w.try(in); !errors.Is(err, engine.ErrSlotBusy) {
		t.Errorf("%v", err)
	}
	w.busy["s"] = false
	w.breaker["s"] = w.now.Add(time.Minute)
	w.refused(in, errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN)
	w.now = w.now.Add(time.Minute)
	w.give(in)
	a.answer("s/write", `1`)
	a.completes()
	w.ends(succeeded)
}

// A worker that starts over makes its calls again: what is on record answers, in order, and a write never repeats.
func TestReplayAfterAReclaim(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.reads(`{}`, `"a"`)
	a.calls("s/write", `{"n": 1}`)
	a.answer("s/write", `"b"`)
	a.calls("s/write", `{"n":1}`) // the same call again is a second one
	a.answer("s/write", `"c"`)
	w.give(engine.ReleaseTask{StepPath: path, TokenDigest: a.token, Reason: "expired"})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED)

	b := w.works("t2")
	b.calls("s/read", `{}`)
	b.reply(`"a"`, true)
	b.calls("s/write", `{"n":1}`)
	b.reply(`"b"`, true)
	b.calls("s/write", `{ "n":1}`)
	b.reply(`"c"`, true)
	if b.task().GetCalls() != 3 || b.task().GetDiverged() {
		t.Errorf("answers from the record cost no budget: %v", b.task())
	}
	b.reads(`{"other":1}`, `"d"`) // it leaves the recorded path
	if !b.task().GetDiverged() {
		t.Error("not diverged")
	}
	c := w.token("t3", true)
	d := &agent{world: w, path: path, token: c, counts: map[string]uint32{}}
	if d.task().GetDiverged() {
		t.Error("a new claim is on the path again")
	}
	d.calls("s/put", `{"new":1}`) // it leaves the path by a write
	d.answer("s/put", `1`)
	d.reads(`{}`, `"fresh"`) // then a READ is live again
	d.reply(`"fresh"`, false)
	d.calls("s/write", `{"n":1}`) // and a write is not
	d.reply(`"b"`, true)
	d.completes()
	w.ends(succeeded)
	if row := w.row(engine.IdentifyCall(path, &workflowv1.TaskProgress{Generation: 1}, "s/write", json.RawMessage(`{"n":1}`), 1, "").OperationID); row.GetClaim() != 3 {
		t.Errorf("entry %v", row)
	}
}

func TestClientKeyMakesCallsTheSame(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.give(a.input("s/keyed", `{"n":1}`, "k"))
	if op := a.call("s/keyed"); op.GetIdempotencyKey() != "k" {
		t.Errorf("operation %v", op)
	}
	a.give(a.input("s/keyed", `{"n":1}`, "k")) // joins the open call
	if len(a.made) != 0 || len(a.commands) != 0 {
		t.Errorf("made %s", a.facts())
	}
	a.answer("s/keyed", `1`)
	a.give(a.input("s/keyed", `{"n":1}`, "k"))
	a.reply(`1`, true)
	a.refused(a.input("s/keyed", `{"n":2}`, "k"), errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED)
	a.completes()
	w.ends(succeeded)
}

func TestAgentTakesTooLong(t *testing.T) {
	part := "attempt_timeout: 5m\n\t\t" + on(`{types: [timeout], retry: {max_attempts: 2, jitter: none}, escalate: {code: person}}`)
	w := begin(t, replace(agentStep, part))
	w.after(time.Hour) // nobody has claimed it yet
	a := w.works("t1")
	a.calls("s/write", `{}`)
	w.after(10 * time.Minute) // its call comes first
	a.answer("s/write", `1`)
	a.reply(`1`, false)
	w.wake()
	w.waits(backingOff)
	a.refused(engine.CompleteTask{StepPath: path, TokenDigest: a.token}, errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
	w.refused(engine.ClaimTask{StepPath: path, TokenDigest: []byte("t")}, errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND)
	w.wake()
	b := w.works("t2")
	b.calls("s/write", `{}`)
	b.reply(`1`, true)
	if d := w.wake(); d != 5*time.Minute {
		t.Errorf("over after %s", d)
	}
	w.decideAs(onError, "retry", "")
	c := w.works("t3")
	c.completes()
	w.ends(succeeded)
}

func TestAgentGivesUp(t *testing.T) {
	w := begin(t, replace(agentStep, on(`{types: [tool-error], retry: {max_attempts: 2, jitter: none}}`)))
	a := w.works("t1")
	w.give(engine.FailTask{StepPath: path, TokenDigest: a.token, Message: "no idea"})
	w.wake()
	b := w.works("t2")
	w.give(engine.FailTask{StepPath: path, TokenDigest: b.token, Message: "neither"})
	w.ends(failed)
	if got := w.run().GetProblem().GetMessage(); got != "the agent gave up: neither" {
		t.Errorf("problem %q", got)
	}
}

// The run ends early while an agent works: its call is waited for, and it is told.
func TestCancelWhileAnAgentWorks(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.calls("s/write", `{}`)
	w.give(engine.Cancel{})
	w.in("main")
	a.refused(a.input("s/put", `{}`, ""), errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
	a.fail("s/write", unavailable)
	a.failure(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE)
	w.ends(cancelled)
	a.refused(engine.CompleteTask{StepPath: path, TokenDigest: a.token}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}

// An agent step may have a tool for a fallback: the task is over then.
func TestFallbackOfAnAgent(t *testing.T) {
	w := newWorld(t, compile(t, `
steps:
	- id: x
		agent: {agent: helper, budget: {max_turns: 1, max_tokens: 1}}
		on_error: {handlers: [{types: ["*"], fallback: {step: {id: f, tool: {server: other, tool: read}}}}]}
`))
	w.busy["other"] = true
	w.give(engine.Start{Namespace: "default", RunID: "r1"})
	token := claim(w, path, "t1")
	w.give(engine.FailTask{StepPath: path, TokenDigest: token, Message: "no idea"})
	w.refused(engine.CompleteTask{StepPath: path, TokenDigest: token}, errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
	w.busy["other"] = false
	w.give(engine.SlotFree{StepPath: path})
	w.answer("other/read", `"f"`)
	w.ends(succeeded)
}

// Two calls of one task are in flight side by side.
func TestConcurrentCalls(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.calls("s/write", `{"n":1}`)
	a.calls("s/put", `{"n":2}`)
	for _, op := range w.flying() {
		w.give(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(`"` + op.GetTool() + `"`)})
		a.reply(`"`+op.GetTool()+`"`, false)
	}
	a.completes()
	w.ends(succeeded)
}
