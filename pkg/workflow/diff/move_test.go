package diff_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// refund is a definition that asks before it pays. Tests change its text.
const refund = `
api_version: signalbox/v1
metadata: {name: refund, version: 1.0.0}
input: {json_schema: {type: object, required: [order], properties: {order: {type: string}}}}
initial: gather
deadline: 24h
resources:
  locks: {order: {key: "'order/' + input.order", rank: 10}}
on_error: {handlers: [{types: ["*"], compensate: {}}]}
states:
  gather:
    steps:
      - {id: look, tool: {server: shop, tool: get_order, effect: read, arguments: {id: "${input.order}"}}, output: {json_schema: {type: object, properties: {total: {type: number}}}}}
    transitions: [{to: review}]
  review:
    max_visits: 3
    steps:
      - {id: ask, human: {roles: [lead], decisions: [approve, reject], due: 4h, subject: {total: "${steps.look.output.total}"}}}
    transitions:
      - {when: "steps.ask.output.decision == 'approve'", to: pay}
      - {to: rejected}
  pay:
    rollback_scope: money
    locks: [{lock: order}]
    steps:
      - id: charge
        tool: {server: shop, tool: refund, effect: write, idempotency_argument: key, arguments: {total: "${steps.look.output.total}"}}
        compensate: {tool: {server: shop, tool: unrefund, effect: idempotent_write, arguments: {}}}
      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}
    transitions: [{to: done}]
  done: {terminal: succeeded}
  rejected: {terminal: rejected}
`

// compile compiles a definition as it is rebuilt from the store: the linter is not asked. Every tool that it names exists.
func compile(t testing.TB, source string) *workflow.Definition {
	t.Helper()
	doc, findings := workflow.Load("test.yaml", []byte(source))
	if findings.HasErrors() {
		t.Fatalf("the definition is broken: %v", findings.Errors())
	}
	return build(t, doc.Definition, toolsOf(doc.Definition))
}

func build(t testing.TB, source *workflowv1.WorkflowDefinition, tools []*workflowv1.ToolDeclaration) *workflow.Definition {
	t.Helper()
	def, err := workflow.Rebuild(source, tools)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// toolsOf declares the tools that a definition names: all of them read.
func toolsOf(def *workflowv1.WorkflowDefinition) []*workflowv1.ToolDeclaration {
	var tools []*workflowv1.ToolDeclaration
	add := func(call *workflowv1.ToolCall) {
		if call != nil {
			tools = append(tools, &workflowv1.ToolDeclaration{Server: call.GetServer(), Name: call.GetTool(), Effect: workflowv1.Effect_EFFECT_READ})
		}
	}
	var walk func(steps []*workflowv1.Step)
	walk = func(steps []*workflowv1.Step) {
		for _, s := range steps {
			add(s.GetTool())
			add(s.GetCompensate().GetTool())
			for _, b := range s.GetParallel().GetBranches() {
				walk(b.GetSteps())
			}
			walk(s.GetMap().GetSteps())
		}
	}
	for _, state := range def.GetStates() {
		walk(state.GetSteps())
	}
	return tools
}

// edited is refund with other text, as version 2.0.0. Each text to replace must be there.
func edited(t testing.TB, oldNew ...string) *workflow.Definition {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(refund, oldNew[i]) {
			t.Fatalf("the definition does not hold %q", oldNew[i])
		}
	}
	return compile(t, strings.NewReplacer(append([]string{"version: 1.0.0", "version: 2.0.0"}, oldNew...)...).Replace(refund))
}

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(t0.Add(d)) }

func succeeded(seq uint64) *workflowv1.StepRecord {
	return &workflowv1.StepRecord{Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, OutputSequence: seq}
}

// asking is a run that waits at the gate.
func asking() *workflowv1.Run {
	return &workflowv1.Run{
		Id: "r", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "review", StartTime: at(0), UpdateTime: at(time.Hour),
		Visits: map[string]uint32{"gather": 1, "review": 1}, Steps: map[string]*workflowv1.StepRecord{"look": succeeded(4)},
		Active: []*workflowv1.ActiveStep{{Path: "review/ask", StepId: "ask", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN}},
	}
}

// paying is a run that has charged and waits for a slot to tell.
func paying() *workflowv1.Run {
	run := asking()
	run.State = "pay"
	run.Steps["ask"], run.Steps["charge"] = succeeded(7), succeeded(11)
	run.Undo = map[string]*workflowv1.UndoStack{"money": {Top: 11, Count: 1}}
	run.Locks = []*workflowv1.LockHold{{Name: "order", State: "pay", Status: workflowv1.LockStatus_LOCK_STATUS_HELD}}
	run.Active = []*workflowv1.ActiveStep{{Path: "pay/tell", StepId: "tell", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT}}
	return run
}

// kinds are the kinds of obstacles with their paths.
func kinds(obstacles []diff.Obstacle) []string {
	out := []string{}
	for _, o := range obstacles {
		out = append(out, string(o.Kind)+" "+o.Path)
	}
	return out
}

func TestCanMove(t *testing.T) {
	for name, test := range map[string]struct {
		run      *workflowv1.Run
		to       []string // old, new
		stateMap map[string]string
		want     []string
		state    string
	}{
		"nothing changed":       {run: asking(), state: "review"},
		"a later state changed": {run: asking(), to: []string{"{terminal: rejected}", "{terminal: failed}"}, state: "review"},
		"a state renamed": {
			run: asking(), to: []string{"review:", "approval:", "to: review", "to: approval"}, want: []string{"state review"},
		},
		"a state renamed and mapped": {
			run: asking(), to: []string{"review:", "approval:", "to: review", "to: approval"}, stateMap: map[string]string{"review": "approval"}, state: "approval",
		},
		"a map of what is not there": {
			run: asking(), stateMap: map[string]string{"revue": "review", "review": "audit"}, want: []string{"state-map review", "state-map revue", "state review"},
		},
		"a state that ends the run": {
			run: asking(), stateMap: map[string]string{"review": "rejected"}, want: []string{"step review/ask", "state review"}, state: "rejected",
		},
		"an open step renamed": {
			run: asking(), to: []string{"id: ask", "id: asked", "steps.ask.", "steps.asked."}, want: []string{"step review/ask"}, state: "review",
		},
		"an open step of another kind": {
			run: asking(), to: []string{"human: {roles: [lead], decisions: [approve, reject], due: 4h, subject: {total: \"${steps.look.output.total}\"}}",
				"tool: {server: bot, tool: judge, effect: read}"}, want: []string{"step review/ask"}, state: "review",
		},
		"a decision that was asked for is gone": {
			run: asking(), to: []string{"[approve, reject]", "[approve, refuse]"}, want: []string{"step review/ask"}, state: "review",
		},
		"an open step calls another tool": {
			run: paying(), to: []string{"tool: send,", "tool: post,"}, want: []string{"step pay/tell"}, state: "pay",
		},
		"a step that may have to be undone is gone": {
			run: paying(), to: []string{"id: charge", "id: pay_out"}, want: []string{"undo pay/charge"}, state: "pay",
		},
		"a step that may have to be undone is in another scope": {
			run: paying(), to: []string{"rollback_scope: money", "rollback_scope: funds"}, want: []string{"undo pay/charge"}, state: "pay",
		},
		"the key of a held lock differs": {
			run: paying(), to: []string{"'order/' + input.order", "'orders/' + input.order"}, want: []string{"lock order"}, state: "pay",
		},
		"a held lock is not taken any more": {
			run: paying(), to: []string{"    locks: [{lock: order}]\n", ""}, want: []string{"lock order"}, state: "pay",
		},
		"a lock is taken that the run does not hold": {
			run: asking(), to: []string{"    max_visits: 3\n", "    max_visits: 3\n    locks: [{lock: order}]\n"}, want: []string{"lock order"}, state: "review",
		},
		"an output is read whose step is behind": {
			run: asking(), to: []string{
				"    transitions: [{to: review}]", "      - {id: rate, tool: {server: shop, tool: rate, effect: read}}\n    transitions: [{to: review}]",
				"effect: write, idempotency_argument: key}}", "effect: write, idempotency_argument: key, arguments: {rate: \"${steps.rate.output}\"}}}",
			}, want: []string{"missing-output step pay/tell"}, state: "review",
		},
		"an output is read whose step is still to come": {
			run: asking(), to: []string{
				"      - id: charge", "      - {id: rate, tool: {server: shop, tool: rate, effect: read}}\n      - id: charge",
				"effect: write, idempotency_argument: key}}", "effect: write, idempotency_argument: key, arguments: {rate: \"${steps.rate.output}\"}}}",
			}, state: "review",
		},
		"the deadline is over": {run: asking(), to: []string{"deadline: 24h", "deadline: 30m"}, want: []string{"deadline deadline"}, state: "review"},
		"versions that are taken do not name this one": {
			run: asking(), to: []string{"deadline: 24h", "deadline: 24h\nversioning: {migrate_from: [0.9.0]}"}, want: []string{"version versioning.migrate_from"}, state: "review",
		},
		"another workflow": {run: asking(), to: []string{"name: refund", "name: payout"}, want: []string{"workflow "}, state: "review"},
	} {
		t.Run(name, func(t *testing.T) {
			from := compile(t, refund)
			move, obstacles := diff.CanMove(from, edited(t, test.to...), test.stateMap, test.run)
			if got := kinds(obstacles); !slices.Equal(got, append([]string{}, test.want...)) {
				t.Errorf("obstacles %q, want %q\n%v", got, test.want, obstacles)
			}
			if move.State != test.state {
				t.Errorf("state %q, want %q", move.State, test.state)
			}
		})
	}
}

func TestEndedAndBusyRunsDoNotMove(t *testing.T) {
	from, to := compile(t, refund), edited(t)
	run := asking()
	run.Status = workflowv1.RunStatus_RUN_STATUS_ENDED
	if _, obstacles := diff.CanMove(from, to, nil, run); !slices.Equal(kinds(obstacles), []string{"ended "}) {
		t.Errorf("an ended run: %v", obstacles)
	}
	run = paying()
	run.Active[0].Operation = &workflowv1.OpenOperation{Status: workflowv1.OperationStatus_OPERATION_STATUS_INTENDED}
	if _, obstacles := diff.CanMove(from, to, nil, run); !slices.Equal(kinds(obstacles), []string{"busy pay/tell"}) {
		t.Errorf("a call under way: %v", obstacles)
	}
	run.Active[0].Operation.Status = workflowv1.OperationStatus_OPERATION_STATUS_FAILED
	if _, obstacles := diff.CanMove(from, to, nil, run); len(obstacles) != 0 {
		t.Errorf("a call that failed and will be tried again: %v", obstacles)
	}
}

func TestRunThatUndoesMovesWhenItsNextStateIsThere(t *testing.T) {
	run := paying()
	run.Status = workflowv1.RunStatus_RUN_STATUS_COMPENSATING
	run.Compensation = &workflowv1.CompensationProgress{Scope: "money", Then: "review"}
	run.Active = []*workflowv1.ActiveStep{{Path: "pay/charge", StepId: "charge", UndoSequence: 11, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF}}
	from := compile(t, refund)
	if move, obstacles := diff.CanMove(from, edited(t, "tool: refund,", "tool: refund2,"), nil, run); len(obstacles) != 0 || move.State != "pay" {
		t.Errorf("%q, %v", move.State, obstacles)
	}
	to := edited(t, "review:", "approval:", "to: review", "to: approval")
	if _, obstacles := diff.CanMove(from, to, nil, run); !slices.Equal(kinds(obstacles), []string{"state review"}) {
		t.Errorf("the state to go to is gone: %v", obstacles)
	}
}

func TestCanEnterAsksForNothingOfTheStateLeft(t *testing.T) {
	run := asking()
	run.Active = nil
	run.Steps["ask"] = succeeded(7)
	from := compile(t, refund)
	to := edited(t, "id: ask,", "id: asked,", "steps.ask.", "steps.asked.", "pay:", "pay_out:", "to: pay", "to: pay_out")
	move, obstacles := diff.CanEnter(from, to, map[string]string{"pay": "pay_out"}, run, "pay")
	if len(obstacles) != 0 || move.State != "pay_out" {
		t.Errorf("%q, %v", move.State, obstacles)
	}
	if _, obstacles := diff.CanEnter(from, to, nil, run, "pay"); !slices.Equal(kinds(obstacles), []string{"state pay"}) {
		t.Errorf("without the map: %v", obstacles)
	}
}

func TestValuesWhoseSchemaDiffersAreNamedAndChecked(t *testing.T) {
	from := compile(t, refund)
	to := edited(t, "{total: {type: number}}", "{total: {type: integer}}", "required: [order],", "required: [order, reason],")
	move, obstacles := diff.CanMove(from, to, nil, asking())
	if len(obstacles) != 0 {
		t.Fatal(obstacles)
	}
	if want := []diff.Value{{Sequence: 1}, {Step: "look", Sequence: 4}}; !slices.Equal(move.Values, want) {
		t.Fatalf("values %v, want %v", move.Values, want)
	}
	for value, want := range map[diff.Value]map[string]diff.Kind{
		move.Values[0]: {`{"order":"A1"}`: diff.KindInput, `{"order":"A1","reason":"late"}`: ""},
		move.Values[1]: {`{"total":1.5}`: diff.KindOutput, `{"total":2}`: "", `null`: "", ``: ""},
	} {
		for raw, kind := range want {
			o := value.Check(to, json.RawMessage(raw))
			if (o == nil) != (kind == "") || o != nil && o.Kind != kind {
				t.Errorf("%v of %q: %v", value, raw, o)
			}
		}
	}
	// What nothing reads any more need not fit.
	if move, _ := diff.CanMove(from, to, nil, func() *workflowv1.Run { r := paying(); r.State = "done"; return r }()); slices.Contains(move.Values, diff.Value{Step: "look", Sequence: 4}) {
		t.Errorf("values %v", move.Values)
	}
}

// What is open keeps the path that it began with, also when its state has another name since.
func TestARunThatWasMovedMovesAgain(t *testing.T) {
	run := paying()
	run.State, run.Locks[0].State = "payment", "payment"
	from := compile(t, strings.NewReplacer("  pay:", "  payment:", "to: pay}", "to: payment}").Replace(refund))
	again := func(oldNew ...string) *workflow.Definition {
		return compile(t, strings.NewReplacer(append([]string{"version: 1.0.0", "version: 3.0.0", "  pay:", "  payment:", "to: pay}", "to: payment}"}, oldNew...)...).Replace(refund))
	}
	if move, obstacles := diff.CanMove(from, again(), nil, run); len(obstacles) != 0 || move.State != "payment" {
		t.Errorf("%q, %v", move.State, obstacles)
	}
	to := again("      - id: charge", "      - {id: rate, tool: {server: shop, tool: rate}}\n      - id: charge",
		"effect: write, idempotency_argument: key}}", "effect: write, idempotency_argument: key, arguments: {rate: \"${steps.rate.output}\"}}}")
	if _, obstacles := diff.CanMove(from, to, nil, run); !slices.Equal(kinds(obstacles), []string{"missing-output step payment/tell"}) {
		t.Errorf("the new step is behind: %v", obstacles)
	}
}

func TestTakes(t *testing.T) {
	open, named := edited(t), edited(t, "deadline: 24h", "deadline: 24h\nversioning: {migrate_from: [1.0.0]}")
	if !diff.Takes(open, "1.0.0", false) || diff.Takes(open, "1.0.0", true) {
		t.Error("without migrate_from runs are moved by hand only")
	}
	if !diff.Takes(named, "1.0.0", true) || diff.Takes(named, "0.1.0", false) {
		t.Error("migrate_from names who may move")
	}
}
