package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/pkg/boot/config"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	outputs, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range outputs {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what its source says; run go generate ./pkg/boot/config\n%s", name, diff)
		}
	}
}

func TestThePageNamesEveryKey(t *testing.T) {
	outputs, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range outputs {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, entry := range config.Reference() {
			key := entry.Path[strings.LastIndexByte(entry.Path, '.')+1:]
			if !entry.Section && strings.Count(string(content), "| `"+key+"` |") == 0 {
				t.Errorf("the page has no row for %s", entry.Path)
			}
		}
	}
}
