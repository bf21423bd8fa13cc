package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const migrationRefused = errorsv1.ErrorReason_ERROR_REASON_MIGRATION_REFUSED

// versionTwo compiles version 2.0.0 of the tests' workflow.
func versionTwo(t *testing.T, yaml string) *workflow.Definition {
	t.Helper()
	return compileAs(t, "2.0.0", yaml)
}

const oldReview = `resources: {locks: {low: {key: "'low'", rank: 10}}}
initial: look
states:
	look: {steps: [{id: a, tool: {server: s, tool: read}}, {id: unread, tool: {server: s, tool: read}}], transitions: [{to: review}]}
	review: {locks: [{lock: low}], max_visits: 3, steps: [{id: gate, human: {roles: [boss], decisions: [yes, no], due: 1h}}, {id: ` + `w, wait_event: {any_of: [{type: t}]}}], transitions: [{when: "steps.gate.output.decision == 'no'", to: review}, {to: end}]}
	end: {terminal: succeeded}
`

var newReview = strings.NewReplacer("review", "approval", "{to: end}", "{to: sure}", "end: {ter",
	"sure: {steps: [{id: tell, tool: {server: s, tool: write, arguments: {v: '${steps.unread.output}', n: '${run.visits(\"approval\")}'}}}], transitions: [{to: end}]}\n\tend: {ter").Replace(oldReview)

func toGate(t *testing.T) *world {
	w := begin(t, oldReview)
	w.answer("s/read", `1`)
	w.answer("s/read", `7`)
	w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
	return w
}

// TestMigrate: a run moves where it stands, with its open waits, visits, locks and values, and goes on as the new definition says.
func TestMigrate(t *testing.T) {
	w := toGate(t)
	w.decideAs(gate, "no", "")
	to := versionTwo(t, newReview)
	in := engine.Migrate{To: to, StateMap: map[string]string{"review": "approval"}, By: "ann"}
	w.arrives("review/w", 1, event("t", "", "1"))
	w.give(engine.LockFreed{AcquisitionID: "r1/review/low/1"})
	w.give(engine.LockAcquired{AcquisitionID: "r1/review/low/2", Token: "t"})
	w.refused(engine.Migrate{To: to}, migrationRefused)
	if err := w.try(engine.Migrate{To: to}); !strings.Contains(err.Error(), `has no state "review"`) {
		t.Error(err)
	}
	dry := in
	dry.DryRun = true
	if w.give(dry); len(w.made) > 0 || w.def == to {
		t.Fatal("a dry run moves the run")
	}
	w.give(in)
	run := w.run()
	if w.def != to || run.GetVersion() != "2.0.0" || run.GetDefinitionDigest() != to.Digest || run.GetState() != "approval" || run.GetVisits()["approval"] != 2 || run.GetVisits()["review"] != 0 {
		t.Fatalf("%v", run)
	}
	for _, h := range run.GetLocks() {
		if h.GetState() != "approval" {
			t.Errorf("%v", h)
		}
	}
	w.give(in) // it is there
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
	w.decideAs(gate, "yes", "")
	w.arrives("approval/w", 2, event("t", "", "1"))
	w.answer("s/write", `1`)
	w.ends(succeeded)
	if got := w.sent()[2]; got != `write{"n":2,"v":7}` {
		t.Error(got)
	}
}

// TestMigrateRefused: a run with an operation open is busy; a recorded value that does not fit stands in the way.
func TestMigrateRefused(t *testing.T) {
	w := begin(t, oldReview)
	to := versionTwo(t, newReview)
	w.refused(engine.Migrate{To: to, StateMap: map[string]string{"review": "approval"}}, busyRun)
	w = toGate(t)
	strict := versionTwo(t, strings.Replace(newReview, "{id: unread, tool: {server: s, tool: read}}", "{id: unread, tool: {server: s, tool: read}, output: {json_schema: {type: string}}}", 1))
	in := engine.Migrate{To: strict, StateMap: map[string]string{"review": "approval"}}
	w.refused(in, migrationRefused)
	if err := w.try(in); !strings.Contains(err.Error(), `the output of step "unread" does not fit`) {
		t.Error(err)
	}
	w.edits("unread", `"x"`)
	w.give(in)
	w.in("approval")
}

// TestMigrateInBranchesAndItems: waits in branches and items go on under the new definition, and new items too.
func TestMigrateInBranchesAndItems(t *testing.T) {
	const yaml = `steps:
	- id: p
	  parallel:
	  	branches:
	  		a: {steps: [{id: x, wait_event: {any_of: [{type: t}]}}, {id: y, set: {values: {v: "1"}}}]}
	  		b: {steps: [{id: m, map: {items: "[1, 2]", max_items: 2, max_concurrency: 1, steps: [{id: z, wait: {duration: 1h}}, {id: o, set: {values: {v: "1"}}}]}}]}
`
	w := begin(t, yaml)
	w.give(engine.Migrate{To: versionTwo(t, strings.ReplaceAll(yaml, `{v: "1"}`, `{v: "2"}`))})
	w.arrives("main/p/a/x", 1, event("t", "", "1"))
	w.wake()
	w.wake()
	w.ends(succeeded)
	if got := w.output("y") + w.output("m"); got != `{"v":2}[{"v":2},{"v":2}]` {
		t.Error(got)
	}
}

const upgrading = `versioning: {behavior: auto_upgrade, migrate_from: [1.0.0]}
initial: one
states:
	one: {steps: [{id: a, tool: {server: s, tool: read}}, {id: b, ` + writeStep + `}], transitions: [{to: two}]}
	two: {steps: [{id: c, tool: {server: s, tool: write, arguments: {n: 1}}}], transitions: [{to: end}]}
	end: {terminal: succeeded}
`

// TestAutoUpgrade: a run that upgrades by itself moves when it enters a state, goes on there under the new definition, and undoes what it did before.
func TestAutoUpgrade(t *testing.T) {
	w := begin(t, upgrading)
	w.newest = versionTwo(t, strings.Replace(upgrading, "arguments: {n: 1}}", "arguments: {n: '${steps.a.output}'}}", 1))
	if len(w.entered) > 0 {
		t.Error("a run that starts is asked")
	}
	w.answer("s/read", `5`)
	w.answer("s/write", `1`)
	if w.run().GetVersion() != "2.0.0" || w.def != w.newest || !strings.Contains(w.facts(), "RunMigrated StateEntered") {
		t.Fatal(w.facts())
	}
	if got := w.sent()[2]; got != `write{"n":5}` {
		t.Error(got)
	}
	w.fail("s/write", invalid)
	w.undoes("one/b")
	w.ends(failed)
}

// TestAutoUpgradeStays: a version that does not name the run's, that has not the state, or that the values do not fit, is left alone.
func TestAutoUpgradeStays(t *testing.T) {
	for name, yaml := range map[string]string{
		"not named":   strings.Replace(upgrading, ", migrate_from: [1.0.0]", "", 1),
		"other state": strings.ReplaceAll(upgrading, "two", "too"),
		"misfit": strings.Replace(strings.Replace(upgrading, "{id: a, tool: {server: s, tool: read}}", "{id: a, tool: {server: s, tool: read}, output: {json_schema: {type: string}}}", 1),
			"arguments: {n: 1}}", "arguments: {n: '${steps.a.output}'}}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, upgrading)
			w.newest = versionTwo(t, yaml)
			w.answer("s/read", `5`)
			w.answer("s/write", `1`)
			if w.run().GetVersion() != "1.0.0" || len(w.entered) == 0 {
				t.Error(w.facts())
			}
			w.answer("s/write", `1`)
			w.ends(succeeded)
		})
	}
	w := begin(t, strings.Replace(upgrading, "behavior: auto_upgrade, ", "", 1))
	w.newest = versionTwo(t, upgrading)
	w.answer("s/read", `5`)
	w.answer("s/write", `1`)
	if w.run().GetVersion() != "1.0.0" || len(w.entered) > 0 {
		t.Error("a pinned run moves")
	}
}

// TestMigrateAnswers: what was under way when the run was to move is settled under its own definition first, also by a person.
func TestMigrateAnswers(t *testing.T) {
	w := begin(t, "steps: [{id: x, tool: {server: s, tool: write}}]")
	to := versionTwo(t, "steps: [{id: x, tool: {server: s, tool: write}}, {id: y, set: {values: {n: '1'}}}]")
	w.lose("s/write")
	w.refused(engine.Migrate{To: to}, busyRun)
	w.decideAs(onUnknown, "happened", "1")
	w.ends(succeeded)
	w.refused(engine.Migrate{To: to}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
	w = begin(t, "steps: [{id: x, agent: {agent: helper, max_effect: read, budget: {max_turns: 1, max_tokens: 1}}}]")
	w.give(engine.Migrate{To: versionTwo(t, "steps: [{id: x, agent: {agent: helper, max_effect: read, budget: {max_turns: 1, max_tokens: 1}}}, {id: y, set: {values: {n: steps.x.output}}}]")})
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: []byte("t")})
	w.give(engine.CompleteTask{StepPath: path, TokenDigest: []byte("t"), Output: json.RawMessage(`3`)})
	w.ends(succeeded)
	if got := w.output("y"); got != `{"n":3}` {
		t.Error(got)
	}
	if w.run().GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		t.Error("it has not ended")
	}
}

// TestMigrateBeforeTheLock: a step that waits for the lock of its state goes on with it under the state's new name, and no other begins beside it.
func TestMigrateBeforeTheLock(t *testing.T) {
	w := begin(t, oldReview)
	w.answer("s/read", `1`)
	w.give(engine.Pause{By: "ann"})
	w.answer("s/read", `7`)
	w.give(engine.Unpause{By: "ann"})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK)
	w.give(engine.Migrate{To: versionTwo(t, newReview), StateMap: map[string]string{"review": "approval"}, By: "ann"})
	w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
	if a := w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN); a.GetPath() != "review/gate" {
		t.Errorf("open is %s", a.GetPath())
	}
}
