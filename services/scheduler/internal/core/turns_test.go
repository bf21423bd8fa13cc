package core

import (
	"fmt"
	"slices"
	"testing"
)

func TestRunsTakeTurns(t *testing.T) {
	at := func(run, step string) waiter { return waiter{RunKey{"default", run}, step} }
	q := newTurns()
	for i := range 3 {
		q.push(at("big", fmt.Sprint(i)))
	}
	q.push(at("big", "1")) // it keeps its place
	q.push(at("small", "a"))
	q.push(at("other", "x"))
	q.push(at("other", "y"))
	q.remove(at("other", "x"))
	q.remove(at("other", "never"))
	var got []string
	for w, ok := q.pop(); ok; w, ok = q.pop() {
		got = append(got, w.key.ID+"/"+w.path)
	}
	if want := []string{"big/0", "small/a", "other/y", "big/1", "big/2"}; !slices.Equal(got, want) {
		t.Errorf("turns were %v, want %v", got, want)
	}
	if !q.empty() || q.runs.Len() != 0 || len(q.of) != 0 {
		t.Error("something is left of those who no longer wait")
	}
}
