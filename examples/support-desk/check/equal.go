package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// halfCent is how far two numbers may lie apart and still be the same amount of money.
const halfCent = 0.005

// Equal reports whether two JSON values are the same: numbers to the cent, objects whatever the order of
// their keys, all else exactly. Text that is not JSON equals nothing.
func Equal(a, b json.RawMessage) bool { return Explain(a, b) == "" }

// Explain says where got first differs from want, "" when they are Equal.
func Explain(want, got json.RawMessage) string {
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		return fmt.Sprintf("what is wanted is no JSON: %v", err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		return fmt.Sprintf("is no JSON: %v", err)
	}
	return explain("", w, g)
}

func explain(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return explainObject(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return explainArray(path, w, g)
		}
	case float64:
		if g, ok := got.(float64); ok && math.Abs(w-g) < halfCent {
			return ""
		}
	default:
		if want == got { // string, bool, nil
			return ""
		}
	}
	return fmt.Sprintf("%s: want %s, got %s", place(path), short(want), short(got))
}

func explainObject(path string, want, got map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[k]
		if !ok {
			return fmt.Sprintf("%s: is missing", place(path+"."+k))
		}
		if why := explain(path+"."+k, want[k], g); why != "" {
			return why
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("%s: is not wanted", place(path+"."+k))
		}
	}
	return ""
}

func explainArray(path string, want, got []any) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%s: want %d entries, got %d", place(path), len(want), len(got))
	}
	for i := range want {
		if why := explain(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); why != "" {
			return why
		}
	}
	return ""
}

func place(path string) string {
	if path == "" {
		return "the value"
	}
	return path
}

func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(b) > 120 {
		return string(b[:120]) + "…"
	}
	return string(b)
}

// Value reads the text block of a tool's answer by Signalbox's rule: JSON if it parses as JSON, else a
// string. The result is JSON.
func Value(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil { // a Go string always marshals
		return nil
	}
	return quoted
}
