package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const cards = `api_version: signalbox/v1
metadata: {name: cards, version: 1.0.0}
input:
  json_schema:
    type: object
    properties:
      names: {type: array, items: {type: string}}
    required: [names]
steps:
  - id: each
    map:
      items: input.names
      max_items: 60000
      max_concurrency: %d
      steps:
        - {id: draw, tool: {server: desk, tool: draw, arguments: {name: "${item}"}}}
result:
  cards: steps.each.output
`

func (w *world) drawing() {
	w.tools.answer("draw", func(inv Invocation) (string, bool) {
		var args struct{ Name string }
		_ = json.Unmarshal(inv.Arguments, &args)
		return fmt.Sprintf(`{"card":%q}`, "card of "+args.Name), false
	})
}

func names(n, size int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%05d", i) + strings.Repeat("x", size)
	}
	raw, err := json.Marshal(map[string]any{"names": all})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// drew checks that the result has the card of every name, in order.
func drew(t *testing.T, result string, n, size int) {
	t.Helper()
	var got struct {
		Cards []struct{ Card string } `json:"cards"`
	}
	if err := json.Unmarshal([]byte(result), &got); err != nil || len(got.Cards) != n {
		t.Fatalf("got %d cards, want %d: %v", len(got.Cards), n, err)
	}
	for i, c := range got.Cards {
		if want := "card of " + fmt.Sprintf("%05d", i) + strings.Repeat("x", size); c.Card != want {
			t.Fatalf("card %d is %q", i, c.Card)
		}
	}
}

// Ten thousand items of 300 bytes with outputs of 300 bytes: every commit stays small, and the outputs are put together in order.
func TestALargeMap(t *testing.T) {
	n, size := 10_000, 300
	if testing.Short() {
		n = 1_000
	}
	w := newWorld(t, fmt.Sprintf(cards, 32))
	w.drawing()
	w.boot()
	w.start("cards", "m1", names(n, size))
	w.succeeds("m1")
	drew(t, w.result("m1"), n, size)
	if w.store.largest > 5<<20 {
		t.Errorf("a commit has %d bytes of events", w.store.largest)
	}
	if again := w.tools.repeated(); len(again) > 0 {
		t.Errorf("called again: %v", again)
	}
}

// A map in which hundreds begin at once is several commits, and each input that comes meanwhile is taken.
func TestManyItemsAtOnce(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(cards, 600))
	w.drawing()
	w.boot()
	w.start("cards", "m1", names(600, 20))
	w.succeeds("m1")
	drew(t, w.result("m1"), 600, 20)
	if w.store.largest > 1<<20 {
		t.Errorf("a commit has %d bytes of events", w.store.largest)
	}
}

// Killed after every few commits, a map calls no item's tool twice and ends with every output.
func TestAMapSurvivesCrashes(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(cards, 8))
	w.drawing()
	n := 0
	lost := make(chan struct{}, 1)
	w.store.committed = func(*Commit) bool {
		if n++; n%7 != 0 || n > 600 {
			return false
		}
		select {
		case lost <- struct{}{}:
		default:
		}
		return true
	}
	w.boot()
	sched := w.sched
	go func() {
		_, _ = sched.StartRun(w.ctx, StartOrder{Namespace: "default", Workflow: "cards", RunID: "m1", RequestID: "q", Input: []byte(names(100, 10))})
	}()
	for crashes := 0; ; crashes++ {
		select {
		case <-lost:
			w.reboot()
			continue
		case <-w.endOf("m1"):
		}
		t.Logf("%d crashes", crashes)
		break
	}
	w.succeeds("m1")
	drew(t, w.result("m1"), 100, 10)
	if again := w.tools.repeated(); len(again) > 0 {
		t.Errorf("called again: %v", again)
	}
}

// endOf is closed when a run has ended.
func (w *world) endOf(id string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.store.await(w.ctx, func() bool { r := w.store.runs[RunKey{"default", id}]; return r != nil && isOver(r.head) })
	}()
	return done
}

// One run with many items that wait for a tool server does not keep another's only call behind all of them.
func TestALargeMapStarvesNobody(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(cards, 300), definition)
	w.tools.hold("draw")
	w.boot()
	w.start("cards", "big", names(300, 1))
	w.await("big", "its items wait", func(r *workflowv1.Run) bool { return len(r.GetActive()) > 300 })
	small := make(chan struct{})
	w.tools.answer("look", func(Invocation) (string, bool) { close(small); return `{}`, false })
	w.start("two", "small", `{}`)
	w.drawing()
	w.tools.release("draw")
	<-small
	if made := w.tools.made("draw", ""); made > 100 {
		t.Errorf("the small run's call went out after %d of the large one", made)
	}
	w.succeeds("small")
	w.succeeds("big")
}
