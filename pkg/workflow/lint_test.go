package workflow

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wantFinding is a comment `# want [warning] RULE "part of the message"` on the line of a finding.
var wantFinding = regexp.MustCompile(`# want (warning )?(\S+) ("(?:[^"\\]|\\.)*")`)

// TestLintExamples checks each example against its comments: every finding is wanted, every wanted finding is there.
func TestLintExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	cat := testCatalog(t)
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/lint/"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			def, findings := Check(file, src, cat, testWorkflows(t))
			if (def == nil) != findings.HasErrors() {
				t.Errorf("definition %v with findings\n%s", def != nil, findings)
			}
			wanted := wantedFindings(t, string(src))
			if good := strings.HasPrefix(filepath.Base(file), "good"); good == (len(wanted) > 0) {
				t.Errorf("a good example wants no findings, a bad one wants some; this wants %d", len(wanted))
			}
			for _, f := range notIdle(findings) {
				if !takeWanted(wanted, f) {
					t.Errorf("not wanted: %s", f)
				}
				if f.Column == 0 || f.File != file {
					t.Errorf("without a place: %#v", f)
				}
			}
			for key, parts := range wanted {
				for _, part := range parts {
					t.Errorf("missing: %s %q", key, part)
				}
			}
		})
	}
}

// wantedFindings reads the comments: "line severity rule" -> parts of messages.
func wantedFindings(t *testing.T, src string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for i, line := range strings.Split(src, "\n") {
		for _, m := range wantFinding.FindAllStringSubmatch(line, -1) {
			part, err := strconv.Unquote(m[3])
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			severity := SeverityError
			if m[1] != "" {
				severity = SeverityWarning
			}
			key := fmt.Sprintf("%d %s %s", i+1, severity, m[2])
			out[key] = append(out[key], part)
		}
	}
	return out
}

// takeWanted removes the finding from those wanted.
func takeWanted(wanted map[string][]string, f Finding) bool {
	key := fmt.Sprintf("%d %s %s", f.Line, f.Severity, f.Rule)
	for i, part := range wanted[key] {
		if strings.Contains(f.Message, part) {
			wanted[key] = append(wanted[key][:i:i], wanted[key][i+1:]...)
			return true
		}
	}
	return false
}
