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
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// binary and deskBinary are the programs under test, built once.
var binary, deskBinary string

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
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
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

func build(dir string) (err error) {
	var flags []string
	if raceDetector {
		flags = append(flags, "-race")
	}
	if binary, err = suite.Build(context.Background(), dir, flags...); err != nil {
		return err
	}
	deskBinary, err = suite.BuildProgram(context.Background(), dir, "github.com/signalbox-dev/signalbox/examples/support-desk/cmd/desk")
	return err
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
