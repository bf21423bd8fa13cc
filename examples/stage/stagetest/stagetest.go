// Package stagetest is what the tests of the examples' demonstrations share.
package stagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a demonstration, and fails when they leave goroutines or processes behind.
func Main(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if left := children(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "processes were left running:", left)
		code = max(code, 1)
	}
	os.Exit(code)
}

// children are the processes that this one has started and not waited for.
func children() []string {
	var names []string
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		names = append(names, strings.Fields(string(text))...)
	}
	return names
}

// Play plays a demonstration that lies two folders below the examples, and fails when it does, or does not tell all of what is wanted.
func Play(t *testing.T, run func(ctx context.Context, args []string, out io.Writer) error, args []string, wants ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds and starts the whole suite")
	}
	notice(t, filepath.Join("..", "..", ".."))
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range wants {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not tell %q:\n%s", want, out.String())
		}
	}
}

// notice looks at everything that a demonstration builds, which lies in the module at root. go test remembers what its tests have looked at and
// runs them again when that has changed; of what is built there it would know nothing.
func notice(t *testing.T, root string) {
	t.Helper()
	for _, room := range []string{"services", "pkg", "gen", "examples"} {
		if err := filepath.WalkDir(filepath.Join(root, room), func(string, os.DirEntry, error) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}
