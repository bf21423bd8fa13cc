package engine

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Matches reports whether an event fits a subscription, as far as that can be told without the run: by type, source and correlation.
func Matches(sub *workflowv1.EventSubscription, ev *workflowv1.EmittedEvent) bool {
	if sub.GetType() != ev.GetType() || sub.GetSource() != "" && sub.GetSource() != ev.GetSource() {
		return false
	}
	if len(sub.GetCorrelate()) == 0 {
		return true
	}
	value, ok := decoded(cloudEvent(ev, time.Time{}, -1))
	if !ok {
		return false
	}
	for field, want := range sub.GetCorrelate() {
		w, ok := decoded(want)
		if got, there := fieldOf(value, field); !ok || !there || !equalJSON(got, w) {
			return false
		}
	}
	return true
}

func decoded(v json.RawMessage) (any, bool) {
	var out any
	d := json.NewDecoder(bytes.NewReader(nullable(v)))
	d.UseNumber() // a long number is no other long number
	return out, d.Decode(&out) == nil
}

// fieldOf is the value at a path with dots between its parts.
func fieldOf(value any, path string) (any, bool) {
	for part := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[part]; !ok {
			return nil, false
		}
	}
	return value, true
}

func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && equalNumber(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalJSON)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, there := b[k]; !there || !equalJSON(v, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

// equalNumber compares whole numbers by their digits, others by value.
func equalNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(string(a)+string(b), ".eE") {
		return strings.TrimPrefix(string(a), "-") == "0" && strings.TrimPrefix(string(b), "-") == "0"
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}
