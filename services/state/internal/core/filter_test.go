package core

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestParseFilter(t *testing.T) {
	text := func(field Field, op Operator, value string) Comparison {
		return Comparison{Field: field, Operator: op, Text: value}
	}
	a, b, c := text(FieldWorkflow, OpEqual, "a"), text(FieldWorkflow, OpEqual, "b"), text(FieldState, OpNotEqual, "c")
	for filter, want := range map[string]Filter{
		"":                                  nil,
		" \n":                               nil,
		"workflow=a":                        a,
		`workflow = "a"`:                    a,
		`workflow = 'a'`:                    a,
		`workflow = "a\"b"`:                 text(FieldWorkflow, OpEqual, `a"b`),
		`workflow = "AND"`:                  text(FieldWorkflow, OpEqual, "AND"),
		`workflow = a-b.c`:                  text(FieldWorkflow, OpEqual, "a-b.c"),
		"workflow = a*":                     Comparison{Field: FieldWorkflow, Operator: OpEqual, Text: "a", Prefix: true},
		"workflow >= a*":                    text(FieldWorkflow, OpGreaterOrEqual, "a*"),
		"status = RUNNING":                  Comparison{Field: FieldStatus, Operator: OpEqual, Number: int64(workflowv1.RunStatus_RUN_STATUS_RUNNING)},
		"outcome != CANCELLED":              Comparison{Field: FieldOutcome, Operator: OpNotEqual, Number: int64(workflowv1.Outcome_OUTCOME_CANCELLED)},
		"start_time < 1970-01-01T00:00:01Z": Comparison{Field: FieldStartTime, Operator: OpLess, Number: 1e9},
		"parent = a root != b*":             And{text(FieldParent, OpEqual, "a"), Comparison{Field: FieldRoot, Operator: OpNotEqual, Text: "b", Prefix: true}},
		"paused = true":                     Comparison{Field: FieldPaused, Operator: OpEqual, Number: 1},
		"paused != false":                   Comparison{Field: FieldPaused, Operator: OpNotEqual},
		// OR binds tighter than AND, and two conditions side by side are joined by AND.
		"workflow=a AND workflow=b OR state!=c":   And{a, Or{b, c}},
		"workflow=a OR workflow=b AND state!=c":   And{Or{a, b}, c},
		"workflow=a workflow=b":                   And{a, b},
		"(workflow=a AND workflow=b) OR state!=c": Or{And{a, b}, c},
		"NOT workflow=a AND workflow=b":           And{Not{a}, b},
		"NOT NOT (workflow=a)":                    Not{Not{a}},
		"-workflow=a":                             Not{a},
	} {
		got, err := ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", filter, diff)
		}
	}
}

func TestParseFilterRefuses(t *testing.T) {
	for filter, c := range map[string]struct {
		position string
		message  string
		want     string
	}{
		"workflw = a":                       {"1", "no field", "workflw"},
		"status = RUNNIN":                   {"10", "RUNNING", "RUNNIN"},
		"status > RUNNING":                  {"8", "no order", ""},
		"paused < true":                     {"8", "no order", ""},
		"paused = 1":                        {"10", "neither true nor false", ""},
		"start_time > yesterday":            {"14", "2026", ""},
		"workflow = a and state = b":        {"14", "capitals", ""},
		"workflow = a AND":                  {"17", "a field is missing", ""},
		"workflow":                          {"9", "a comparison", ""},
		"workflow =":                        {"11", "a value is missing", ""},
		"workflow = AND":                    {"12", "a value", ""},
		"(workflow = a":                     {"14", `")"`, ""},
		"workflow = a)":                     {"13", "the end", ""},
		`workflow = "a`:                     {"12", "does not end", ""},
		"workflow : a":                      {"10", "not offered", ""},
		"workflow == a":                     {"10", "no comparison", ""},
		"wörkflow = a":                      {"1", "no field", "wörkflow"},
		"state = ä AND wf = b":              {"15", "no field", "wf"},
		strings.Repeat("(", 40) + "state=a": {"34", "levels", ""},
		strings.Repeat("state=a ", 101):     {"801", "more than 100", ""},
	} {
		_, err := ParseFilter(filter)
		if !IsReason(err, errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID) {
			t.Errorf("%s: error %v", filter, err)
			continue
		}
		r := RefusalOf(err)
		if r.Metadata["position"] != c.position || !strings.Contains(r.Message, c.message) || r.Want != c.want {
			t.Errorf("%s: position %s, message %q, name %q", filter, r.Metadata["position"], r.Message, r.Want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"workflow = a AND (status = RUNNING OR NOT state != 'b')", "-(((", `"`, "start_time < 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseFilter(text); err != nil && RefusalOf(err) == nil {
			t.Errorf("%q: %v is no refusal", text, err)
		}
	})
}
