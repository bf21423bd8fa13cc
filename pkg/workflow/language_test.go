package workflow

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLanguageExamples: what the reference of the language shows can be copied.
func TestLanguageExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/language/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if def, fs := Check(file, src, testCatalog(t), testWorkflows(t)); def == nil || len(notIdle(fs)) > 0 {
			t.Error(fs)
		}
	}
}
