package workflow

import (
	"os"
	"path/filepath"
	"testing"
)

// seedDefinitions adds every example to a corpus.
func seedDefinitions(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/lint/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/hello.yaml", "testdata/support-escalation.yaml", "testdata/defaults.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
}

// FuzzLoad: no text makes Load panic; what it accepts has a definition, and what it refuses says where.
func FuzzLoad(f *testing.F) {
	seedDefinitions(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, fs := Load("f", src)
		if doc == nil && !fs.HasErrors() {
			t.Fatal("neither a document nor an error")
		}
		for _, finding := range fs {
			if finding.Line < 1 || finding.Column < 1 || finding.Message == "" {
				t.Fatalf("without a place: %#v", finding)
			}
		}
	})
}

// evaluate runs what the interpreter would run, on a run that has no data: errors are fine, panics are not.
func evaluate(def *Definition) {
	s := &Scope{}
	for _, state := range def.States {
		for _, t := range state.Transitions {
			if t.When != nil {
				_, _ = t.When.EvalBool(s)
			}
		}
		for _, step := range state.Steps {
			if step.If != nil {
				_, _ = step.If.EvalBool(s)
			}
			for _, e := range step.kindExprs() {
				if e != nil {
					_, _ = e.EvalJSON(s)
					_, _ = e.EvalTime(s)
				}
			}
		}
	}
}

// FuzzCompile: no text makes Compile panic, what it accepts can be evaluated, and can be rebuilt with the same digest.
func FuzzCompile(f *testing.F) {
	seedDefinitions(f)
	cat := testCatalog(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		def, fs := Check("f", src, cat, nil)
		if (def == nil) != fs.HasErrors() {
			t.Fatalf("definition %v with %s", def != nil, fs)
		}
		if def == nil {
			return
		}
		evaluate(def)
		again, err := Rebuild(def.Proto, def.Tools)
		if err != nil || again.Digest != def.Digest {
			t.Fatalf("rebuilt: %v", err)
		}
	})
}
