package render_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func TestNameDropsThePrefixAndKeepsUnknownNumbers(t *testing.T) {
	for value, want := range map[workflowv1.Outcome]string{
		workflowv1.Outcome_OUTCOME_UNSPECIFIED:               "",
		workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION: "SUCCEEDED_WITH_LIMITATION",
		workflowv1.Outcome(99):                               "#99",
	} {
		if got := render.Name(value); got != want {
			t.Errorf("Name(%d) = %q, want %q", value, got, want)
		}
	}
}

func TestCleanKeepsTheTerminalSafe(t *testing.T) {
	hostile := "a\x1b[2Jb\r\nc\u202Ed\u009b31me\x7f"
	got := render.Clean(hostile)
	if strings.ContainsAny(got, "\x1b\r\n\u202E\u009b\x7f") {
		t.Errorf("Clean(%q) = %q still moves the cursor", hostile, got)
	}
	if kept := "Zürich 東京"; render.Clean(kept) != kept {
		t.Errorf("Clean(%q) = %q", kept, render.Clean(kept))
	}
}

func TestPreviewCutsBetweenCharacters(t *testing.T) {
	raw := []byte(`{ "name": "` + strings.Repeat("ü", 200) + `" }`)
	for limit := 10; limit < 20; limit++ {
		got := render.Preview(raw, limit)
		if !utf8.ValidString(got) || !strings.HasSuffix(got, "…") || len(got) > limit+len("…") {
			t.Errorf("Preview(%d) = %q", limit, got)
		}
	}
	if got := render.Preview([]byte("not\njson \xff"), 0); got != "not json \uFFFD" {
		t.Errorf("text that is no JSON: %q", got)
	}
}

func TestPayloadNamesArtifacts(t *testing.T) {
	ref := &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: "sha256:ab", SizeBytes: 46080}}}
	if got, want := render.Payload(ref), "artifact sha256:ab (45.0 KiB)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := render.Payload(nil); got != "" {
		t.Errorf("no payload: %q", got)
	}
}

func TestDurationsAndAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234567 * time.Nanosecond: "1ms", 1530 * time.Millisecond: "1.5s", 5 * time.Minute: "5m", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m",
	} {
		if got := render.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "now", 59 * time.Second: "59s ago", -3 * time.Hour: "in 3h", 100 * time.Minute: "1h40m ago", 72 * time.Hour: "3d ago",
	} {
		if got := render.Ago(t0.Add(-d), t0); got != want {
			t.Errorf("Ago(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestRunSheetSaysWhatIsOpen(t *testing.T) {
	run := &workflowv1.Run{
		Id: "run-1", Workflow: "refund", Version: "1.0.0", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "execute",
		Phase: workflowv1.Phase_PHASE_EXECUTION, StartTime: at(-time.Minute), UpdateTime: at(0), Sequence: 7,
		Steps: map[string]*workflowv1.StepRecord{
			"b": {Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, OutputSequence: 4}, "a": {Status: workflowv1.StepStatus_STEP_STATUS_SKIPPED, OutputSequence: 6},
		},
		Active: []*workflowv1.ActiveStep{{
			Path: "execute/refund", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING, Since: at(-2 * time.Second),
			Operation: &workflowv1.OpenOperation{Server: "desk", Tool: "create_refund", Attempt: 3}, Problem: timeout("slow"),
		}},
		Locks:    []*workflowv1.LockHold{{Name: "order", Key: "orders/A1", Status: workflowv1.LockStatus_LOCK_STATUS_HELD, Since: at(-time.Minute)}},
		Counters: &workflowv1.RunCounters{Steps: 2, Operations: 1},
	}
	got := map[string]string{}
	for _, pair := range render.Run(run, t0) {
		got[pair.Key] = pair.Value
	}
	for key, want := range map[string]string{
		"Status": "RUNNING", "State": "execute (EXECUTION)", "Started": "2026-11-22T11:59:00Z (1m ago)",
		"Open step": "execute/refund waits for the answer of its tool desk/create_refund, attempt 3, since 2026-11-22T11:59:58Z (2s ago); last error timeout: slow",
		"Lock":      "order (orders/A1) HELD since 2026-11-22T11:59:00Z (1m ago)", "Steps": "b SUCCEEDED, a SKIPPED", "Counts": "2 steps, 1 operation",
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if _, there := got["Ended"]; there {
		t.Error("a run that goes on has a line about its end")
	}
}
