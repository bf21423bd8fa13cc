package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

const (
	// lanes is how many cases are worked on at once, each on a shop of its own.
	lanes = 4
	// overMCP is every how many cases one is worked on over MCP instead of gRPC.
	overMCP = 29
)

// Test578 works all cases of τ-bench retail, each on a fresh shop, as runs whose agent task makes the calls of the case: every result is
// the recorded one, and the shop then differs from its start by exactly what it should.
func Test578(t *testing.T) {
	dir, set := retail(t)
	start := startOf(t, dir)
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		desks := map[string]*deskProcess{}
		for i := range lanes {
			desks[laneName(i)] = startDesk(t, dir)
		}
		w := startWorld(t, topology, serversConfig(t, policies{}, desks))
		var ids []string
		for _, c := range set.Cases {
			ids = append(ids, c.ID)
		}
		calls := callsOf(t, set, ids...)
		began := time.Now()
		t.Run("lanes", func(t *testing.T) {
			for i := range lanes {
				t.Run(laneName(i), func(t *testing.T) {
					t.Parallel()
					l := &lane{w: w, name: laneName(i), desk: desks[laneName(i)], set: set, start: start, ids: share(ids, i)}
					l.agent = &agent{w: w, kind: "case-worker-" + l.name, worker: l.name, server: l.name, calls: calls}
					l.run(t)
				})
			}
		})
		t.Logf("%d cases in %s, %d lanes", len(ids), time.Since(began).Round(time.Millisecond), lanes)
	})
}

func laneName(i int) string { return fmt.Sprintf("desk%d", i+1) }

// share is every lanes-th id.
func share(ids []string, i int) []string {
	var own []string
	for ; i < len(ids); i += lanes {
		own = append(own, ids[i])
	}
	return own
}

// lane works cases one after another on one desk.
type lane struct {
	w     *world
	name  string
	desk  *deskProcess
	agent *agent
	set   *cases.Set
	start check.State
	ids   []string
}

func (l *lane) run(t *testing.T) {
	l.w.apply(t, caseWorkflow(t, l.name, l.agent.kind))
	for n, id := range l.ids {
		work := l.agent.work
		if n%overMCP == 0 {
			work = l.agent.workOverMCP
		}
		runID := "case-" + id
		l.desk.reset(t)
		if err := l.settle(t.Context(), runID, id, work); err != nil {
			t.Fatalf("case %s: %v", id, err)
		}
		l.check(t, runID, id)
	}
}

func (l *lane) settle(ctx context.Context, runID, id string, work workFunc) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.w.start(ctx, "retail-"+l.name, runID, map[string]any{"case_id": id}); err != nil {
		return err
	}
	task, err := l.agent.claim(ctx, runID, 30*time.Second)
	if err != nil {
		return err
	}
	if task == nil {
		return fmt.Errorf("the task of run %s was not offered", runID)
	}
	return work(ctx, task)
}

// check compares what the run's history and the shop's file say with the case's key.
func (l *lane) check(t *testing.T, runID, id string) {
	t.Helper()
	l.w.mustSucceed(t, runID)
	events, err := l.w.history(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := l.set.Case(id)
	key, ok := l.set.Key(id)
	if !ok {
		t.Fatalf("case %s has no key", id)
	}
	if err := checkResults(c, key, l.name, events); err != nil {
		t.Error(err)
	}
	checkShop(t, "case "+id, l.start, key.Final, l.desk.state(t))
	l.w.replaysAlike(t.Context(), t, runID)
}
