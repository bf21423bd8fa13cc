package dryrun_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const mapped = `
steps:
	- {id: list, set: {values: {ids: "[1, 2, 3, 4]"}}}
	- id: each
	  map:
	  	items: steps.list.output.ids
	  	max_items: 10
	  	max_concurrency: 2
	  	tolerated_failures: 1
	  	steps:
	  		- {id: look, tool: {server: s, tool: read}}
	  		- {id: made, set: {values: {n: "steps.look.output.n + item", at: index}}}
`

func TestMaps(t *testing.T) {
	def := compiled(t, mapped)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if got := outputOf(r, "each"); got != `[{"at":0,"n":2},{"at":1,"n":3},{"at":2,"n":4},{"at":3,"n":5}]` {
		t.Errorf("the map gives %s", got)
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "look", Type: "tool-error", Times: 1}}})
	ends(t, r, succeeded)
	if got := outputOf(r, "each"); !strings.HasPrefix(got, `[null,`) {
		t.Errorf("with a failure the map gives %s", got)
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "look", Type: "tool-error"}}})
	ends(t, r, failed)
	// Each item of the run that is played again has its own output.
	other := play(t, def, dryrun.Options{Reader: reader{}})
	for _, ev := range other.Events {
		if c := ev.GetStepCompleted(); c.GetStepPath() == "main/each[2]/look" {
			c.Output.Value = &workflowv1.Payload_Inline{Inline: []byte(`{"status":"open","n":90}`)}
		}
	}
	r = play(t, def, dryrun.Options{Recorded: dryrun.Recorded(other.Events)})
	if got := outputOf(r, "each"); got != `[{"at":0,"n":4},{"at":1,"n":5},{"at":2,"n":93},{"at":3,"n":7}]` {
		t.Errorf("with recorded outputs the map gives %s", got)
	}
}

func TestBranches(t *testing.T) {
	def := compiled(t, `
steps:
	- id: both
	  parallel:
	  	join: any
	  	cancel_rest: true
	  	branches:
	  		slow: {steps: [{id: nap, wait: {duration: 1h}}, {id: late, tool: {server: s, tool: put}, compensate: {none_needed: a test}}]}
	  		fast: {steps: [{id: look, tool: {server: s, tool: read}}]}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if attempts(r) != "read" || !strings.Contains(outputOf(r, "both"), `"slow":{"status":"cancelled"`) {
		t.Errorf("attempts %s, output %s", attempts(r), outputOf(r, "both"))
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "look", Type: "tool-error"}}})
	ends(t, r, succeeded)
	if attempts(r) != "read put" || !r.Run.GetEndTime().AsTime().Equal(t0.Add(time.Hour)) {
		t.Errorf("attempts %s, ended at %v", attempts(r), r.Run.GetEndTime().AsTime())
	}
}

const waiting = `
signals: {go: {json_schema: {type: object, required: [speed], properties: {speed: {type: integer, minimum: 3}}}}}
resources: {events: {sold: {external: true, data: {json_schema: {type: object, required: [price], properties: {price: {type: integer, minimum: 9}}}}}}}
input: {json_schema: {type: object, required: [id], properties: {id: {type: string}}}}
steps:
	- {id: wait, timeout: 1h, wait_event: {FILTERS}, on_error: {handlers: [{types: [timeout], fallback: {output: OUTPUT}}]}}
`

func waitFor(t *testing.T, filters string) *workflow.Definition {
	t.Helper()
	yaml := strings.Replace(waiting, "FILTERS", filters, 1)
	return compiled(t, strings.Replace(yaml, ", on_error: {handlers: [{types: [timeout], fallback: {output: OUTPUT}}]}", "", 1))
}

func TestEventsAndSignalsCome(t *testing.T) {
	for name, c := range map[string]struct{ filters, want string }{
		"signal": {`any_of: [{type: signal.go}]`, `"data":{"speed":3},"filter":0`},
		"event":  {`any_of: [{type: paid, source: shop, correlate: {data.order.id: input.id}}]`, `"source":"shop","subject":"","time":"2026-11-22T10:00:00Z","data":{"order":{"id":"sample"}},"filter":0`},
		"typed":  {`any_of: [{type: sold, when: event.data.price > 8}]`, `"data":{"price":9}`},
		"second": {`any_of: [{type: paid, when: "event.data.amount > 100"}, {type: signal.go}]`, `"filter":1`},
		"all":    {`all_of: [{type: paid}, {type: signal.go}]`, `"data":{"speed":3}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, waitFor(t, c.filters), dryrun.Options{})
			ends(t, r, succeeded)
			if got := outputOf(r, "wait"); !strings.Contains(got, c.want) || r.Sources["wait"] != dryrun.SourceSample {
				t.Errorf("the wait gives %s (%s), want %s", got, sources(r), c.want)
			}
		})
	}
}

func TestAnEventThatIsGivenIsTaken(t *testing.T) {
	def := waitFor(t, `any_of: [{type: paid, when: "event.data.amount > 100"}]`)
	for name, given := range map[string]string{"data": `{"amount":200}`, "event": `{"id":"e1","type":"paid","source":"bank","data":{"amount":200}}`} {
		r := play(t, def, dryrun.Options{Outputs: map[string]json.RawMessage{"wait": json.RawMessage(given)}})
		ends(t, r, succeeded)
		if got := outputOf(r, "wait"); !strings.Contains(got, `"data":{"amount":200}`) || r.Sources["wait"] != dryrun.SourceGiven {
			t.Errorf("%s: the wait gives %s", name, got)
		}
	}
	// Without one, the sample does not meet the condition: the run waits, and says for what.
	r := play(t, def, dryrun.Options{})
	if len(r.Waits) != 1 || !strings.Contains(r.Waits[0].What, "an event of type paid; no event that could be made up meets its condition: give one as the output of wait") {
		t.Errorf("the run waits for %+v", r.Waits)
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "wait", Type: "timeout"}}})
	ends(t, r, failed)
	if !r.Run.GetEndTime().AsTime().Equal(t0.Add(time.Hour)) {
		t.Errorf("nothing came until %v", r.Run.GetEndTime().AsTime())
	}
}

func TestTheDeclaredOutputSaysWhatAnEventHolds(t *testing.T) {
	def := compiled(t, `
steps:
	- id: wait
	  timeout: 1h
	  wait_event: {any_of: [{type: signal.x, when: event.data.n > 4}]}
	  output: {json_schema: {type: object, required: [data], properties: {data: {type: object, required: [n], properties: {n: {type: integer, minimum: 5}}}}}}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if got := outputOf(r, "wait"); !strings.Contains(got, `"data":{"n":5}`) {
		t.Errorf("the wait gives %s", got)
	}
}

func TestBranchesTalkByEvents(t *testing.T) {
	def := compiled(t, `
steps:
	- id: both
	  parallel:
	  	branches:
	  		asks: {steps: [{id: ask, emit: {type: question, data: {n: 7}}}, {id: heard, timeout: 1h, wait_event: {any_of: [{type: answer}]}}]}
	  		tells:
	  			steps:
	  				- {id: asked, timeout: 1h, wait_event: {any_of: [{type: question, when: "event.data.n == 7"}], buffer_from_run_start: true}}
	  				- {id: tell, emit: {type: answer, data: {n: 8}}}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if sources(r) != "asked=emitted heard=emitted" || !strings.Contains(outputOf(r, "heard"), `"n":8`) {
		t.Errorf("%s; heard %s", sources(r), outputOf(r, "heard"))
	}
}

func TestStepLocksCanBeOverdue(t *testing.T) {
	def := compiled(t, `
resources: {locks: {l: {key: "'k'", rank: 1, wait: 10m, lease: 20m}}}
steps:
	- {id: a, locks: [{lock: l}], tool: {server: s, tool: put}}
	- {id: b, tool: {server: s, tool: put}}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if attempts(r) != "put put" || len(r.Run.GetLocks()) != 0 {
		t.Errorf("attempts %s, locks %v", attempts(r), r.Run.GetLocks())
	}
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "a", Type: "lock-overdue"}}})
	ends(t, r, failed)
	if r.Run.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE || !r.Run.GetEndTime().AsTime().Equal(t0.Add(10*time.Minute)) {
		t.Errorf("it ended at %v with %v", r.Run.GetEndTime().AsTime(), r.Run.GetProblem())
	}
	_, err := dryrun.Run(t.Context(), def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "b", Type: "lock-overdue"}}})
	refused(t, err, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
}

var inner = `
metadata: {name: inner, version: 1.0.0}
input: {json_schema: {type: object, required: [id], properties: {id: {type: string, minLength: 2}}}}
output: {json_schema: {type: object, required: [n], properties: {n: {type: integer}}}}
result: {n: steps.look.output.n}
on_error: {handlers: [{types: ["*"], compensate: {}}]}
steps:
	- {id: nap, wait: {duration: 2h}}
	- {id: look, tool: {server: s, tool: read}}
	- {id: book, tool: {server: s, tool: book}, compensate: {tool: {server: s, tool: undo}}}
`

const outer = `
on_error: {handlers: [{types: ["*"], compensate: {}}]}
steps:
	- {id: sub, workflow: {name: inner, input: {id: "${run.id}"}, compensatable: true}DEADLINE}
	- {id: pay, tool: {server: s, tool: write, arguments: {n: "${steps.sub.output.n}"}}}
`

func TestSubWorkflowsArePlayed(t *testing.T) {
	child := compiled(t, inner)
	def := compiled(t, strings.Replace(outer, "DEADLINE", "", 1), child)
	r := play(t, def, dryrun.Options{Workflows: byDigest{child}})
	ends(t, r, succeeded)
	if want := "pay=null sub=dry_run sub/book=sample sub/look=sample"; sources(r) != want || outputOf(r, "sub") != `{"n":1}` {
		t.Errorf("sources %s; sub gives %s", sources(r), outputOf(r, "sub"))
	}
	if !r.Run.GetEndTime().AsTime().Equal(t0.Add(2 * time.Hour)) {
		t.Errorf("it ended at %v", r.Run.GetEndTime().AsTime())
	}
	// Without its definition, or with an output, it is not played.
	r = play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if r.Sources["sub"] != dryrun.SourceSample || outputOf(r, "sub") != `{"n":0}` {
		t.Errorf("sources %s; sub gives %s", sources(r), outputOf(r, "sub"))
	}
	r = play(t, def, dryrun.Options{Workflows: byDigest{child}, Outputs: map[string]json.RawMessage{"sub": json.RawMessage(`{"n":5}`)}})
	if r.Sources["sub"] != dryrun.SourceGiven || outputOf(r, "sub") != `{"n":5}` {
		t.Errorf("sources %s; sub gives %s", sources(r), outputOf(r, "sub"))
	}
}

func TestSubWorkflowsFailAndAreUndone(t *testing.T) {
	child := compiled(t, inner)
	def := compiled(t, strings.Replace(outer, "DEADLINE", "", 1), child)
	for name, c := range map[string]struct {
		failures []dryrun.Failure
		outcome  workflowv1.Outcome
	}{
		"the step":    {[]dryrun.Failure{{StepID: "sub", Type: "unavailable"}}, compensated},
		"a later one": {[]dryrun.Failure{{StepID: "pay", Type: "tool-error"}}, compensated},
	} {
		for _, workflows := range []dryrun.Workflows{nil, byDigest{child}} {
			r := play(t, def, dryrun.Options{Workflows: workflows, Failures: c.failures})
			if r.Run.GetOutcome() != c.outcome {
				t.Errorf("%s: the run is %v, %+v", name, r.Run.GetOutcome(), r.Waits)
			}
		}
	}
	r := play(t, def, dryrun.Options{Workflows: byDigest{child}, Failures: []dryrun.Failure{
		{StepID: "pay", Type: "tool-error"}, {StepID: "sub", Type: "unavailable", Undo: true},
	}})
	if len(r.Waits) == 0 {
		t.Errorf("nobody is asked about an undo that failed: %v", r.Run)
	}
}

func TestASubWorkflowThatTakesTooLongIsCancelled(t *testing.T) {
	child := compiled(t, inner)
	def := compiled(t, strings.Replace(outer, "DEADLINE", ", timeout: 1h", 1), child)
	r := play(t, def, dryrun.Options{Workflows: byDigest{child}})
	ends(t, r, compensated)
	if !r.Run.GetEndTime().AsTime().Equal(t0.Add(time.Hour)) {
		t.Errorf("it ended at %v", r.Run.GetEndTime().AsTime())
	}
}

func TestASubWorkflowThatWaitsIsNamed(t *testing.T) {
	child := compiled(t, "metadata: {name: inner, version: 1.0.0}\nsteps:\n\t- {id: wait, timeout: 1h, wait_event: {any_of: [{type: paid, when: event.data.n == 7}]}}\n")
	def := compiled(t, "steps:\n\t- {id: sub, workflow: {name: inner}}\n", child)
	r := play(t, def, dryrun.Options{Workflows: byDigest{child}})
	if len(r.Waits) != 2 || !strings.Contains(r.Waits[0].What, "sub-workflow inner") || !strings.Contains(r.Waits[1].What, "paid") {
		t.Errorf("the run waits for %+v", r.Waits)
	}
}

func TestALoopIsGivenUp(t *testing.T) {
	def := compiled(t, `
initial: a
states:
	a: {max_visits: 1000000, steps: [{id: s, set: {values: {n: "1"}}}], transitions: [{when: input == null, to: end}, {to: a}]}
	end: {terminal: succeeded}
`)
	r := play(t, def, dryrun.Options{MaxEvents: 500})
	if len(r.Waits) == 0 || !strings.Contains(r.Waits[len(r.Waits)-1].What, "given up after 500 events") {
		t.Errorf("%d events, waits %+v", len(r.Events), r.Waits)
	}
}

func TestTheCacheIsTheRunsOwn(t *testing.T) {
	def := compiled(t, `
initial: a
states:
	a:
		max_visits: 3
		steps:
			- {id: look, tool: {server: s, tool: read}, cache: {key: "'k'", ttl: 1h}}
			- {id: nap, wait: {duration: 40m}}
		transitions: [{when: run.visits('a') < 3, to: a}, {to: end}]
	end: {terminal: succeeded}
`)
	r := play(t, def, dryrun.Options{})
	ends(t, r, succeeded)
	if got := attempts(r); got != "read read" { // at once, from the cache after 40 minutes, and again after 80
		t.Errorf("attempts are %s", got)
	}
	def = compiled(t, `
steps:
	- id: look
	  tool: {server: s, tool: read}
	  cache: {key: "'k'", ttl: 1h}
	  on_error: {handlers: [{types: ["*"], fallback: {cached: {max_staleness: 2h}}}]}
`)
	r = play(t, def, dryrun.Options{Failures: []dryrun.Failure{{StepID: "look", Type: "tool-error"}}})
	ends(t, r, failed) // nothing was kept
}

func TestBadOptionsAreRefusedByField(t *testing.T) {
	def := compiled(t, `
steps:
	- {id: look, tool: {server: s, tool: read}}
	- {id: put, tool: {server: s, tool: put}}
	- {id: made, set: {values: {n: "1"}}}
	- {id: gate, human: {roles: [a], decisions: [yes, no], due: 1h}}
	- {id: heard, wait_event: {any_of: [{type: signal.x}]}, timeout: 1h}
	- {id: both, parallel: {branches: {a: {steps: [{id: in_a, set: {values: {n: "1"}}}]}, b: {steps: [{id: in_b, set: {values: {n: "1"}}}]}}}}
`)
	raw := func(id, v string) map[string]json.RawMessage {
		return map[string]json.RawMessage{id: json.RawMessage(v)}
	}
	for want, o := range map[string]dryrun.Options{
		`input: it is not JSON`:                       {Input: json.RawMessage("{")},
		`outputs: workflow w has no step "loko"`:      {Outputs: raw("loko", "1")},
		`outputs.look: it is not JSON`:                {Outputs: raw("look", "{")},
		`outputs.made: step made makes its output`:    {Outputs: raw("made", "1")},
		`outputs.gate: a person decides`:              {Outputs: raw("gate", "1")},
		`outputs.both: the output of step both`:       {Outputs: raw("both", "1")},
		`decisions: workflow w has no step "x"`:       {Decisions: map[string]string{"x": "yes"}},
		`decisions.gate: "maybe" cannot be decided`:   {Decisions: map[string]string{"gate": "maybe"}},
		`failures.0.step_id: workflow w has no step`:  {Failures: []dryrun.Failure{{StepID: "x", Type: "timeout"}}},
		`failures.0.type: "oops" is no error type`:    {Failures: []dryrun.Failure{{StepID: "look", Type: "oops"}}},
		`failures.0.type: step look cannot fail with`: {Failures: []dryrun.Failure{{StepID: "look", Type: "visit-limit"}}},
		`failures.0.step_id: step made calls nothing`: {Failures: []dryrun.Failure{{StepID: "made", Type: "timeout"}}},
		`failures.0.step_id: step both fails when`:    {Failures: []dryrun.Failure{{StepID: "both", Type: "timeout"}}},
		`failures.0.step_id: step look has no undo`:   {Failures: []dryrun.Failure{{StepID: "look", Type: "timeout", Undo: true}}},
		`failures.0.times: it is negative`:            {Failures: []dryrun.Failure{{StepID: "look", Type: "timeout", Times: -1}}},
	} {
		_, err := dryrun.Run(t.Context(), def, o)
		var r *engine.Refusal
		if !errors.As(err, &r) || r.Reason != errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID || !strings.HasPrefix(r.Message, want) {
			t.Errorf("%v, want %s…", err, want)
		}
	}
}
