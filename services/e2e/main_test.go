// Package e2e_test looks at Signalbox from outside: real processes, real tool servers, real crashes. It knows the contracts and the
// binary, and nothing of any service's inside. Each test runs in two topologies: everything in one process, and a process per service.
package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// programs are built once, by the first test that needs them, into a folder that goes with the last.
var programs struct {
	dir, signalbox, desk string
	once                 sync.Once
	err                  error
}

// topologyVariable restricts the topologies; empty: both.
const topologyVariable = "SIGNALBOX_E2E_TOPOLOGY"

func TestMain(m *testing.M) {
	if url := os.Getenv(asHelper); url != "" {
		os.Exit(helper(url))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "signalbox-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs.dir = dir
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
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// build builds the programs under test, with the race detector if the tests have it.
func build(t *testing.T) {
	t.Helper()
	p := &programs
	p.once.Do(func() {
		if p.err = noticeSources(); p.err != nil {
			return
		}
		var flags []string
		if raceDetector {
			flags = append(flags, "-race")
		}
		if p.signalbox, p.err = suite.Build(context.Background(), p.dir, flags...); p.err == nil {
			p.desk, p.err = suite.BuildProgram(context.Background(), p.dir, "github.com/signalbox-dev/signalbox/examples/support-desk/cmd/desk")
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
}

// noticeSources looks at everything that the programs are built from. go test remembers what its tests have looked at and runs them again
// when that has changed; of what is built here it would know nothing.
func noticeSources() error {
	for _, room := range []string{"services", "pkg", "gen", "examples"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(string, os.DirEntry, error) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
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
		for _, pid := range strings.Fields(string(text)) {
			command, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
			names = append(names, pid+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return names
}

// inEachTopology runs a test in both topologies, or in the one that the environment names.
func inEachTopology(t *testing.T, test func(t *testing.T, topology suite.Topology)) {
	t.Helper()
	only := suite.Topology(os.Getenv(topologyVariable))
	all := []suite.Topology{suite.OneProcess, suite.ProcessPerService}
	if only != "" && only != all[0] && only != all[1] {
		t.Fatalf("%s is %q; use one of %v, or nothing for both", topologyVariable, only, all)
	}
	for _, topology := range all {
		if only == "" || only == topology {
			t.Run(string(topology), func(t *testing.T) { test(t, topology) })
		}
	}
}

// retail is τ-bench's retail shop and cases; without them the test is skipped.
func retail(t *testing.T) (dir string, set *cases.Set) {
	t.Helper()
	dir, ok := cases.TauRetail()
	if !ok {
		t.Skipf("there is no %s: set SIGNALBOX_TAU_RETAIL to the folder of the τ-bench retail data", filepath.Join(dir, "tasks.jsonl"))
	}
	set, err := cases.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, set
}

// seedVariable fixes what is random in the tests with crashes.
const seedVariable = "SIGNALBOX_E2E_SEED"

// seedOf gives the seed of a test and shows it, so that a failure can be tried again.
func seedOf(t *testing.T, fresh uint64) uint64 {
	t.Helper()
	if text := os.Getenv(seedVariable); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q; give a whole number", seedVariable, text)
		}
		fresh = n
	}
	t.Logf("%s=%d", seedVariable, fresh)
	return fresh
}
