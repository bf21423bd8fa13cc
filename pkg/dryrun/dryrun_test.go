package dryrun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

var t0 = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// catalogue has a tool of each kind. "read" and "book" have schemas; "keyed" takes a key, "probed" has a probe.
var catalogue = workflow.NewCatalog([]*workflowv1.ToolDeclaration{
	{Server: "s", Name: "read", Effect: workflowv1.Effect_EFFECT_READ, OutputSchema: json.RawMessage(
		`{"type":"object","properties":{"status":{"enum":["open","closed"]},"n":{"type":"integer","minimum":1}},"required":["status","n"]}`)},
	{Server: "s", Name: "write", Effect: workflowv1.Effect_EFFECT_WRITE},
	{Server: "s", Name: "put", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
	{Server: "s", Name: "keyed", Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key"},
	{Server: "s", Name: "undo", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
	{Server: "s", Name: "book", Effect: workflowv1.Effect_EFFECT_WRITE, OutputSchema: json.RawMessage(
		`{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`)},
})

// compiled compiles a definition; tabs stand for two spaces, and head and name need not be written.
func compiled(t fataler, yaml string, workflows ...*workflow.Definition) *workflow.Definition {
	t.Helper()
	if !strings.Contains(yaml, "metadata:") {
		yaml = "metadata: {name: w, version: 1.0.0}\n" + yaml
	}
	yaml = "api_version: signalbox/v1\n" + strings.ReplaceAll(yaml, "\t", "  ")
	def, findings := workflow.Check("w.yaml", []byte(yaml), catalogue, library(workflows))
	if def == nil {
		t.Fatalf("%v\n%s", findings, yaml)
	}
	return def
}

// library is some definitions, for the compiler and for the dry run.
type library []*workflow.Definition

func (l library) Workflow(_, name, _ string) (*workflow.Definition, bool) {
	for _, d := range l {
		if d.Proto.GetMetadata().GetName() == name {
			return d, true
		}
	}
	return nil, false
}

type byDigest library

func (l byDigest) Workflow(_ context.Context, digest string) (*workflow.Definition, error) {
	for _, d := range l {
		if d.Digest == digest {
			return d, nil
		}
	}
	return nil, nil
}

func play(t fataler, def *workflow.Definition, o dryrun.Options) *dryrun.Result {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = t0
	}
	r, err := dryrun.Run(context.Background(), def, o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	folds(t, r)
	return r
}

// folds asserts that the history gives the run and its ledger.
func folds(t fataler, r *dryrun.Result) {
	t.Helper()
	f := engine.NewFold(nil)
	for _, ev := range r.Events {
		if err := f.Apply(ev); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if !proto.Equal(f.Run, r.Run) {
		t.Fatalf("the history folds to\n%v\nand the run is\n%v", f.Run, r.Run)
	}
	if len(f.Operations) != len(r.Operations) {
		t.Fatalf("the history has %d operations, the ledger %d", len(f.Operations), len(r.Operations))
	}
	for _, op := range r.Operations {
		if !proto.Equal(f.Operations[op.GetId()], op) {
			t.Fatalf("operation %s folds to\n%v\nand is\n%v", op.GetId(), f.Operations[op.GetId()], op)
		}
	}
}

// ends asserts how the run ended.
func ends(t *testing.T, r *dryrun.Result, outcome workflowv1.Outcome) {
	t.Helper()
	if r.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || r.Run.GetOutcome() != outcome {
		t.Fatalf("the run is %s %s in %s (%v), want %s; it waits for %+v", r.Run.GetStatus(), r.Run.GetOutcome(), r.Run.GetState(), r.Run.GetProblem(), outcome, r.Waits)
	}
}

const (
	succeeded   = workflowv1.Outcome_OUTCOME_SUCCEEDED
	failed      = workflowv1.Outcome_OUTCOME_FAILED
	compensated = workflowv1.Outcome_OUTCOME_COMPENSATED
	rejected    = workflowv1.Outcome_OUTCOME_REJECTED
)

// attempts are the tools that were called, in order.
func attempts(r *dryrun.Result) string {
	var out []string
	for _, ev := range r.Events {
		if op := ev.GetOperationIntended().GetOperation(); op != nil {
			out = append(out, op.GetTool())
		}
	}
	return strings.Join(out, " ")
}

// outputOf is what a step gave.
func outputOf(r *dryrun.Result, id string) string {
	return string(dryrun.Recorded(r.Events)[id])
}

func sources(r *dryrun.Result) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(r.Sources)) {
		out = append(out, id+"="+r.Sources[id])
	}
	return strings.Join(out, " ")
}

const hello = `
input: {json_schema: {type: object, required: [id], properties: {id: {type: string}}}}
output: {json_schema: {type: object, properties: {s: {type: string}}}}
result: {s: steps.look.output.status}
steps:
	- {id: look, tool: {server: s, tool: read}}
	- {id: note, if: steps.look.output.status == 'open', tool: {server: s, tool: write, arguments: {n: "${steps.look.output.n}"}}}
`

func TestOutputsComeByPrecedence(t *testing.T) {
	def := compiled(t, hello)
	other := map[string]json.RawMessage{"look": json.RawMessage(`{"status":"closed","n":7}`)}
	given := map[string]json.RawMessage{"look": json.RawMessage(`{"status":"open","n":9}`)}
	for name, c := range map[string]struct {
		options         dryrun.Options
		output, sources string
	}{
		"sample":   {dryrun.Options{}, `{"n":1,"status":"open"}`, "look=sample note=null"},
		"recorded": {dryrun.Options{Recorded: other}, `{"status":"closed","n":7}`, "look=recorded"},
		"given":    {dryrun.Options{Recorded: other, Outputs: given}, `{"status":"open","n":9}`, "look=given note=null"},
		"called":   {dryrun.Options{Reader: reader{}}, `{"status":"closed","n":3}`, "look=called"},
		"recorded, not called": {
			dryrun.Options{Recorded: other, Reader: reader{}}, `{"status":"closed","n":7}`, "look=recorded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, def, c.options)
			ends(t, r, succeeded)
			if got := outputOf(r, "look"); got != c.output || sources(r) != c.sources {
				t.Errorf("output %s from %s, want %s from %s", got, sources(r), c.output, c.sources)
			}
			if len(r.Waits) != 0 {
				t.Errorf("an ended run waits for %v", r.Waits)
			}
		})
	}
	def = compiled(t, strings.Replace(hello, "tool: read}", "tool: read}, dry_run_output: {status: closed, n: 4}", 1))
	if r := play(t, def, dryrun.Options{}); outputOf(r, "look") != `{"n":4,"status":"closed"}` || string(r.Result) != `{"s":"closed"}` {
		t.Errorf("output %s, result %s", outputOf(r, "look"), r.Result)
	}
	if r := play(t, def, dryrun.Options{Reader: reader{}}); r.Sources["look"] != dryrun.SourceCalled {
		t.Errorf("a READ that is to be called came from %s", r.Sources["look"])
	}
}

// reader answers with a closed thing, or fails with an error of a type.
type reader struct{ fails errorsv1.ErrorType }

func (r reader) Read(_ context.Context, c dryrun.Call) (json.RawMessage, bool, error) {
	if c.Server != "s" || c.Tool != "read" || c.Definition == nil || c.Timeout != time.Minute || string(c.Arguments) != "{}" {
		return nil, false, fmt.Errorf("the call is %+v", c)
	}
	if r.fails != 0 {
		return nil, false, &dryrun.CallError{Type: r.fails, Message: "away"}
	}
	return json.RawMessage(`{"status":"closed","n":3}`), false, nil
}

func TestAReadThatCannotBeCalledIsRetriedAndFails(t *testing.T) {
	for kind, want := range map[errorsv1.ErrorType]string{
		errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE: "read read read read", errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED: "read",
	} {
		r := play(t, compiled(t, hello), dryrun.Options{Reader: reader{fails: kind}})
		ends(t, r, failed)
		if got := attempts(r); got != want || r.Run.GetProblem().GetType() != kind {
			t.Errorf("%v: attempts are %s, the problem %v", kind, got, r.Run.GetProblem())
		}
	}
}

func TestTheInputIsGivenOrMade(t *testing.T) {
	def := compiled(t, hello)
	r := play(t, def, dryrun.Options{})
	if got := r.Events[0].GetRunStarted().GetInput().GetInline(); string(got) != `{"id":"sample"}` {
		t.Errorf("the input made is %s", got)
	}
	r = play(t, def, dryrun.Options{Input: json.RawMessage(`{"id":"o1"}`)})
	if got := r.Events[0].GetRunStarted().GetInput().GetInline(); string(got) != `{"id":"o1"}` {
		t.Errorf("the input is %s", got)
	}
	for _, input := range []string{`{`, `{"id":1}`} {
		_, err := dryrun.Run(t.Context(), def, dryrun.Options{Input: json.RawMessage(input)})
		refused(t, err, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	}
}

func refused(t *testing.T, err error, reason errorsv1.ErrorReason) string {
	t.Helper()
	var r *engine.Refusal
	if !errors.As(err, &r) || r.Reason != reason {
		t.Fatalf("got %v, want %v", err, reason)
	}
	return r.Message
}

func TestTheClockJumps(t *testing.T) {
	def := compiled(t, "steps:\n\t- {id: a, wait: {duration: 2h}}\n\t- {id: b, wait: {until: \"timestamp('2026-11-22T20:00:00Z')\"}}\n")
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if got := r.Run.GetEndTime().AsTime(); !got.Equal(t0.Add(10 * time.Hour)) {
		t.Errorf("it ended at %v", got)
	}
}

const gated = `
initial: ask
states:
	ask:
		steps:
			- {id: gate, human: {roles: [lead], decisions: [approve, reject], due: 1h, quorum: 2}DRY}
		transitions: [{when: "steps.gate.output.decision == 'approve'", to: done}, {to: no}]
	done: {terminal: succeeded}
	no: {terminal: rejected}
`

func TestGates(t *testing.T) {
	def := compiled(t, strings.Replace(gated, "DRY", "", 1))
	ends(t, play(t, def, dryrun.Options{}), succeeded)
	ends(t, play(t, def, dryrun.Options{Decisions: map[string]string{"gate": "reject"}}), rejected)
	ends(t, play(t, def, dryrun.Options{Recorded: map[string]json.RawMessage{"gate": json.RawMessage(`{"decision":"reject"}`)}}), rejected)
	r := play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "gate", Type: "decision-overdue"}}})
	ends(t, r, failed)
	if !r.Run.GetEndTime().AsTime().Equal(t0.Add(time.Hour)) {
		t.Errorf("nobody decided until %v", r.Run.GetEndTime().AsTime())
	}
	ends(t, play(t, compiled(t, strings.Replace(gated, "DRY", ", dry_run_output: {decision: reject}", 1)), dryrun.Options{}), rejected)
}

func TestAgentsCompleteTheirTasks(t *testing.T) {
	def := compiled(t, `
steps:
	- id: draft
	  agent: {agent: writer, goal: write, budget: {max_turns: 3, max_tokens: 1000}}
	  attempt_timeout: 10m
	  output: {json_schema: {type: object, required: [text], properties: {text: {type: string, minLength: 3}}}}
	  on_error: {handlers: [{types: [tool-error, timeout], retry: {max_attempts: 3, initial_interval: 1m}}]}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if outputOf(r, "draft") != `{"text":"sample"}` || r.Sources["draft"] != "sample" {
		t.Errorf("draft is %s from %s", outputOf(r, "draft"), r.Sources["draft"])
	}
	for _, kind := range []string{"tool-error", "timeout"} {
		r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "draft", Type: kind, Times: 2}}})
		ends(t, r, succeeded)
		if n := count(r, func(ev *workflowv1.HistoryEvent) bool { return ev.GetTaskClaimed() != nil }); n != 3 {
			t.Errorf("%s: the task was claimed %d times", kind, n)
		}
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "draft", Type: "budget"}}})
	ends(t, r, failed)
	if r.Run.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_BUDGET {
		t.Errorf("the problem is %v", r.Run.GetProblem())
	}
	r = play(t, def, dryrun.Options{Outputs: map[string]json.RawMessage{"draft": json.RawMessage(`{"text":"x"}`)}})
	ends(t, r, failed) // what does not fit is what the agent cannot complete with
	if !strings.Contains(r.Run.GetProblem().GetMessage(), "does not fit") {
		t.Errorf("the problem is %v", r.Run.GetProblem())
	}
}

func count(r *dryrun.Result, is func(*workflowv1.HistoryEvent) bool) int {
	n := 0
	for _, ev := range r.Events {
		if is(ev) {
			n++
		}
	}
	return n
}

const calls = `
on_error: {handlers: [{types: [timeout, unavailable, throttled, circuit-open, schema], retry: {max_attempts: 3, initial_interval: 1s, jitter: full}}]}
steps:
	- {id: book, tool: {server: s, tool: TOOL}, compensate: {tool: {server: s, tool: undo}}}
	- {id: last, tool: {server: s, tool: put}}
`

func callsOf(t *testing.T, tool string) *workflow.Definition {
	t.Helper()
	yaml := strings.Replace(calls, "TOOL", tool, 1)
	if tool == "book" { // it must not be retried
		yaml = strings.Replace(yaml, "[timeout, unavailable, throttled, circuit-open, schema], retry: {max_attempts: 3, initial_interval: 1s, jitter: full}", "[budget], skip: true", 1)
	}
	return compiled(t, yaml)
}

func TestFailuresGoTheRealWays(t *testing.T) {
	for _, c := range []struct {
		tool, kind string
		times      int
		attempts   string
		outcome    workflowv1.Outcome
	}{
		{"put", "unavailable", 1, "put put put", succeeded},
		{"put", "unavailable", 0, "put put put", failed},
		{"put", "timeout", 2, "put put put put", succeeded},
		{"put", "throttled", 1, "put put put", succeeded},
		{"put", "invalid", 1, "put", failed},
		{"put", "unauthorised", 1, "put", failed},
		{"put", "tool-error", 1, "put", failed},
		{"put", "unknown-outcome", 1, "put put put", succeeded}, // twice is once
		{"put", "circuit-open", 2, "put put", succeeded},
		{"keyed", "unknown-outcome", 1, "keyed keyed put", succeeded}, // the key makes it so
		{"book", "schema", 1, "book undo", failed},                    // it had its effect, and is not done again
	} {
		t.Run(c.tool+" "+c.kind, func(t *testing.T) {
			r := play(t, callsOf(t, c.tool), dryrun.Options{Failures: []dryrun.Failure{{StepID: "book", Type: c.kind, Times: c.times}}})
			ends(t, r, c.outcome)
			if got := attempts(r); got != c.attempts {
				t.Errorf("attempts are %s, want %s", got, c.attempts)
			}
		})
	}
	r := play(t, callsOf(t, "put"), dryrun.Options{Failures: []dryrun.Failure{{StepID: "book", Type: "unavailable", Times: 1}}})
	for _, ev := range r.Events {
		if f := ev.GetAttemptFailed(); f != nil && f.GetJitter() != 0.5 {
			t.Errorf("the jitter is %v", f.GetJitter())
		}
	}
}

func TestAnUnknownOutcomeWaitsForAPerson(t *testing.T) {
	def := callsOf(t, "book")
	fails := []dryrun.Failure{{StepID: "book", Type: "unknown-outcome", Times: 1}}
	r := play(t, def, dryrun.Options{Failures: fails})
	if r.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_RUNNING || len(r.Waits) != 1 || r.Waits[0].Status != workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED {
		t.Fatalf("the run is %v and waits for %+v", r.Run.GetStatus(), r.Waits)
	}
	for decision, want := range map[string]struct {
		attempts string
		outcome  workflowv1.Outcome
	}{"happened": {"book put", succeeded}, "did_not_happen": {"book book put", succeeded}, "undo": {"book undo", compensated}} {
		r = play(t, def, dryrun.Options{Failures: fails, Decisions: map[string]string{"book": decision}})
		ends(t, r, want.outcome)
		if got := attempts(r); got != want.attempts {
			t.Errorf("%s: attempts are %s, want %s", decision, got, want.attempts)
		}
	}
}

func TestUndo(t *testing.T) {
	def := compiled(t, `
compensation: {on_failure: escalate_and_stop}
on_error: {handlers: [{types: ["*"], compensate: {}}]}
steps:
	- {id: book, tool: {server: s, tool: book}, compensate: {tool: {server: s, tool: undo}, retry: {max_attempts: 2}}}
	- {id: pay, tool: {server: s, tool: write}}
`)
	fails := []dryrun.Failure{{StepID: "pay", Type: "tool-error"}}
	r := play(t, def, dryrun.Options{Failures: fails})
	ends(t, r, compensated)
	if got := attempts(r); got != "book write undo" {
		t.Errorf("attempts are %s", got)
	}
	r = play(t, def, dryrun.Options{Failures: append(fails, dryrun.Failure{StepID: "book", Type: "tool-error", Times: 1, Undo: true})})
	ends(t, r, compensated)
	if got := attempts(r); got != "book write undo undo" {
		t.Errorf("attempts are %s", got)
	}
	r = play(t, def, dryrun.Options{Failures: append(fails, dryrun.Failure{StepID: "book", Type: "tool-error", Undo: true})})
	if r.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_COMPENSATING || len(r.Waits) == 0 {
		t.Errorf("the run is %v and waits for %+v", r.Run.GetStatus(), r.Waits)
	}
}

func TestFallbackStepsHaveTheirOwnFailures(t *testing.T) {
	def := compiled(t, `
steps:
	- id: a
	  tool: {server: s, tool: read}
	  on_error: {handlers: [{types: ["*"], fallback: {step: {id: b, tool: {server: s, tool: read}, on_error: {handlers: [{types: ["*"], skip: true}]}}}}]}
`)
	r := play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "a", Type: "tool-error"}}})
	ends(t, r, succeeded)
	if attempts(r) != "read read" || r.Sources["b"] != "sample" || r.Sources["a"] != "" {
		t.Errorf("attempts %s, sources %s", attempts(r), sources(r))
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "a", Type: "tool-error"}, {StepID: "b", Type: "tool-error"}}})
	ends(t, r, succeeded)
	if r.Run.GetSteps()["a"].GetStatus() != workflowv1.StepStatus_STEP_STATUS_SKIPPED {
		t.Errorf("a is %v", r.Run.GetSteps()["a"])
	}
}
