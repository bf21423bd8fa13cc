package core

import (
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// longer is careful with a step more.
var longer = strings.Replace(careful, "version: 1.0.0", "version: 1.1.0", 1) + `  - id: third
    tool: {server: desk, tool: draw, arguments: {name: third}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {name: third}}}
`

// other is careful without the step that runs wait in.
var other = strings.NewReplacer("version: 1.0.0", "version: 1.2.0", "id: go", "id: gone").Replace(careful)

func TestMigrate(t *testing.T) {
	w := newCareful(t)
	w.boot()
	w.start("careful", "r", `{}`)
	w.await("r", "it waits", parked("main/go"))
	w.define(longer)
	w.define(other)
	_, err := w.sched.MigrateRun(w.ctx, MigrateOrder{Run: theRun})
	refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_MIGRATION_REFUSED)
	order := MigrateOrder{Run: theRun, Version: "1.1.0", DryRun: true, By: "ann"}
	for _, want := range []Migrated{{Version: "1.1.0", State: "main"}, {Version: "1.1.0", State: "main", Moved: true}, {Version: "1.1.0", State: "main"}} {
		got, err := w.sched.MigrateRun(w.ctx, order)
		if err != nil || got.Version != want.Version || got.State != want.State || got.Moved != want.Moved {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		order.DryRun = false
	}
	w.reboot()
	w.signal("r")
	if run := w.succeeds("r"); run.GetVersion() != "1.1.0" || w.tools.made("draw", `{"name":"third"}`) != 1 {
		t.Errorf("the run ended at %s, having called %v", run.GetVersion(), w.tools.calls)
	}
}

const upgrading = `api_version: signalbox/v1
metadata: {name: upgrading, version: 1.0.0}
versioning: {behavior: auto_upgrade}
signals:
  go: {json_schema: {}}
initial: wait
states:
  wait:
    steps:
      - id: go
        timeout: 100h
        wait_event: {any_of: [{type: signal.go}]}
    transitions: [{to: draw}]
  draw:
    steps:
      - {id: draw, tool: {server: desk, tool: draw, arguments: {name: "1"}}}
    transitions: [{to: done}]
  done: {terminal: succeeded}
`

// A run that upgrades by itself goes on under the newest version when it enters a state, if that version takes it.
func TestAutoUpgrade(t *testing.T) {
	newer := strings.NewReplacer("version: 1.0.0", "version: 1.1.0", "{behavior: auto_upgrade}", "{behavior: auto_upgrade, migrate_from: [1.0.0]}",
		`name: "1"`, `name: "2"`).Replace(upgrading)
	w := newWorld(t, upgrading)
	w.boot()
	for _, id := range []string{"r", "stays"} {
		w.start("upgrading", id, `{}`)
		w.await(id, "it waits", parked("wait/go"))
		if id == "r" {
			w.define(newer)
		} else {
			w.define(strings.NewReplacer("version: 1.1.0", "version: 1.2.0", "[1.0.0]", "[0.9.0]").Replace(newer))
		}
		w.signal(id)
		w.succeeds(id)
	}
	if got := w.store.head("r").GetVersion(); got != "1.1.0" || w.tools.made("draw", `{"name":"2"}`) != 2 {
		t.Errorf("the run ended at %s, having called %v", got, w.tools.calls)
	}
	if got := w.store.head("stays").GetVersion(); got != "1.1.0" {
		t.Errorf("a run of 1.1.0 moved to %s, which does not take it", got)
	}
}
