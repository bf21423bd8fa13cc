package workflow

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// sarifOf renders findings and holds them to the parts of SARIF's own schema that are used.
func sarifOf(t *testing.T, fs Findings, files ...string) sarifLog {
	t.Helper()
	raw, err := fs.SARIF("1.2.3", files)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/sarif-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	var out sarifLog
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(value); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSARIF: what code scanning needs of each result is there, and fits the standard.
func TestSARIF(t *testing.T) {
	_, fs := Check("testdata/lint/L7/bad.yaml", readTestdata(t, "lint/L7/bad.yaml"), testCatalog(t), nil)
	fs = append(fs, Finding{Rule: RuleSyntax, Severity: SeverityError, File: "/a b.yaml", Message: "no place"})
	log := sarifOf(t, fs, "testdata/lint/L7/bad.yaml", "clean.yaml")
	run := log.Runs[0]
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(run.Results) != len(fs) || run.Tool.Driver.Version != "1.2.3" {
		t.Fatalf("%+v", log)
	}
	var files []string
	for _, a := range run.Artifacts {
		files = append(files, a.Location.URI)
	}
	if want := []string{"testdata/lint/L7/bad.yaml", "clean.yaml", "file:///a%20b.yaml"}; !slices.Equal(files, want) {
		t.Error(files)
	}
	prints := map[string]bool{}
	for i, r := range run.Results {
		at := r.Locations[0].Physical
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.RuleID != fs[i].Rule || r.Level != string(fs[i].Severity) || run.Artifacts[*at.Artifact.Index].Location.URI != at.Artifact.URI {
			t.Errorf("%+v", r)
		}
		if fs[i].Line > 0 && (at.Region.StartLine != fs[i].Line || at.Region.StartColumn != fs[i].Column) || fs[i].Line == 0 && at.Region != nil {
			t.Errorf("%+v", at)
		}
		if !strings.Contains(r.Message.Text, fs[i].Message) || !strings.Contains(r.Message.Text, fs[i].Mend) {
			t.Error(r.Message.Text)
		}
		prints[fmt.Sprint(r.Fingerprints)] = true
	}
	if len(prints) != len(fs) {
		t.Errorf("%d findings have %d fingerprints", len(fs), len(prints))
	}
	if empty := sarifOf(t, nil); len(empty.Runs[0].Results) != 0 || len(empty.Runs[0].Tool.Driver.Rules) != len(Rules()) {
		t.Errorf("%+v", empty)
	}
}

// TestRulesAreTold: every rule has what readers and machines need, and every example's rule is one of them.
func TestRulesAreTold(t *testing.T) {
	known := map[string]bool{}
	for i, r := range Rules() {
		if r.ID == "" || r.Name == "" || r.Checks == "" || r.Why == "" || known[r.ID] || i < 16 && r.ID != fmt.Sprintf("L%d", i+1) {
			t.Errorf("%+v", r)
		}
		known[r.ID] = true
	}
	dirs, err := os.ReadDir("testdata/lint")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !known[d.Name()] {
			t.Errorf("the rule of testdata/lint/%s is not told", d.Name())
		}
		delete(known, d.Name())
	}
	for id := range known {
		if strings.HasPrefix(id, "L") {
			t.Errorf("there are no examples of %s", id)
		}
	}
}
