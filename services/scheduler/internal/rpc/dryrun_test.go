package rpc

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// TestARefusedDryRunTellsEachPlaceAndItsMend: to people in the message, and to commands in the fields.
func TestARefusedDryRunTellsEachPlaceAndItsMend(t *testing.T) {
	finding := workflow.Finding{
		Rule: "L3", Severity: workflow.SeverityError, File: "hello.yaml", Line: 3, Column: 7, Path: "steps[0].id", Message: "there is no step", Mend: "name one",
	}
	findings := workflow.Findings{finding}
	for range maxFindingsTold {
		findings = append(findings, finding)
	}
	err := dryRunFailure(&core.DefinitionInvalid{Findings: findings, Unavailable: map[string]string{"desk": "is away"}})
	refusal, ok := errs.From(err)
	if !ok || len(refusal.Fields()) != maxFindingsTold+2 {
		t.Fatalf("%v", err)
	}
	const place = "hello.yaml:3:7: error L3: there is no step; mend: name one"
	if f := refusal.Fields()[0]; f.Field != "steps[0].id" || f.Problem != place {
		t.Errorf("field: %+v", f)
	}
	var all strings.Builder
	for _, f := range refusal.Fields() {
		all.WriteString(f.Problem + "\n")
	}
	for _, text := range []string{refusal.Error(), all.String()} {
		if !strings.Contains(text, place) || !strings.Contains(text, "… and 1 more") || !strings.Contains(text, "could not be read: desk") {
			t.Errorf("it does not tell all:\n%s", text)
		}
	}
}
