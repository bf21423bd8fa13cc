package draw_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/draw"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares bytes with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run with -update and look at the picture", path)
	}
}

func load(t testing.TB, path string) *workflowv1.WorkflowDefinition {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, findings := workflow.Load(path, source)
	if doc == nil {
		t.Fatal(findings)
	}
	return doc.Definition
}

func TestPictures(t *testing.T) {
	for name, run := range map[string]*workflowv1.Run{
		"support-escalation": nil, "support-escalation-asks": escalated(), "support-escalation-failed": failed(), "cards": nil, "cards-making": making(), "hello": nil,
	} {
		file := name
		for _, suffix := range []string{"-asks", "-failed", "-making"} {
			file = strings.TrimSuffix(file, suffix)
		}
		def := load(t, filepath.Join("testdata", file+".yaml"))
		golden(t, name+".svg", draw.SVG(def, run))
		golden(t, name+".mmd", draw.Mermaid(def, run))
		golden(t, name+".dot", draw.DOT(def, run))
	}
}
