package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// build unpacks testdata/house.txt ("-- name --" starts a file) into a temporary folder and returns it.
func build(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/house.txt")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, part := range strings.Split(string(raw), "\n-- ")[1:] {
		name, body, ok := strings.Cut(part, " --\n")
		if !ok {
			t.Fatalf("testdata/house.txt: no file name in %q", part)
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// check holds the small house to a config and returns the breaches as "wall: room verb target".
func check(t *testing.T, cfg *Config) (lines []string, result *Result) {
	t.Helper()
	house, err := LoadHouse(t.Context(), build(t), []string{"./..."})
	if err != nil {
		t.Fatal(err)
	}
	result, err = Check(cfg, house)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range result.Breaches {
		lines = append(lines, b.Wall.Name+": "+house.Short(b.Room)+" "+b.Verb+" "+house.Short(b.Target))
	}
	return lines, result
}

func load(t *testing.T, path string) *Config {
	t.Helper()
	cfg, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestRealWallsFindEveryBreachAndNoOther(t *testing.T) {
	got, result := check(t, load(t, "../walls.yaml"))
	want := []string{
		"services-are-islands: services/state/internal/sqlitestore must not reach services/lock",
		"core-is-pure: services/lock/internal/core must not import net/http",
		"core-is-pure: services/lock/internal/core has no leave to import gen/go/signalbox/state/v1",
		"core-is-pure: services/lock/internal/core must not reach google.golang.org/grpc",
		"core-is-pure: services/lock/internal/core must not use time.Now",
		"core-is-pure: services/lock/internal/core/queue must not use time.After",
		"engine-is-a-function: pkg/engine must not use go",
		"dry-runs-touch-nothing: pkg/dryrun must not import net/http",
		"rpc-translates: services/lock/internal/rpc must not reach services/lock/internal/etcdlocks",
		"adapters-stand-alone: services/lock/internal/etcdlocks must not reach services/lock/internal/memlocks",
		"packages-stand-below: pkg/upward must not reach services/lock",
		"testkit-is-for-tests: services/state/internal/sqlitestore must not reach pkg/testkit",
		"mocks-are-for-tests: services/lock/internal/memlocks must not reach github.com/golang/mock/gomock",
		"examples-are-guests: examples/desk must not reach services/signalbox/app",
		"e2e-looks-from-outside: services/e2e must not import services/state",
		"one-maker-of-servers: services/signalbox must not use google.golang.org/grpc.NewServer",
		"one-maker-of-connections: services/state/internal/sqlitestore must not use google.golang.org/grpc.NewClient",
		"one-maker-of-statuses: services/lock/internal/rpc must not import google.golang.org/grpc/status",
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("not found: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("unexpected: %s", line)
		}
	}
	if len(result.Idle) > 0 {
		t.Errorf("these walls guard no package of the small house, so the test says nothing of them: %v", result.Idle)
	}
}

func TestReportNamesPlaceChainReasonAndMend(t *testing.T) {
	_, result := check(t, load(t, "../walls.yaml"))
	var out bytes.Buffer
	if err := result.Report(&out); err != nil {
		t.Fatal(err)
	}
	want := `wall core-is-pure: services/lock/internal/core must not reach google.golang.org/grpc
  at     services/lock/internal/core/core.go:7
  chain  services/lock/internal/core
           gen/go/signalbox/state/v1
             google.golang.org/grpc
  why    The rules of a service are tested`
	if !strings.Contains(out.String(), want) {
		t.Errorf("the report lacks\n%s\n\nit is\n%s", want, out.String())
	}
	if !strings.Contains(out.String(), "  mend   Declare in core the interface") {
		t.Error("the report does not say how to mend")
	}
}

func TestExceptionExcusesOnlyItsOwnBreach(t *testing.T) {
	wall := Wall{
		Name: "servers", Reason: "r", Mend: "m",
		Rooms: []string{"./pkg/...", "./services/..."}, NeverUse: []string{"google.golang.org/grpc.NewServer"},
		Exceptions: []Exception{
			{Package: "./pkg/rpcserver", Target: "google.golang.org/grpc.NewServer", Reason: "it is the maker"},
			{Package: "./pkg/errs", Target: "google.golang.org/grpc.NewServer", Reason: "was needed once"},
		},
	}
	got, _ := check(t, &Config{Walls: []Wall{wall}})
	want := []string{
		"servers: services/signalbox must not use google.golang.org/grpc.NewServer",
		"servers: ./pkg/errs has an exception that excuses nothing any more: delete it; google.golang.org/grpc.NewServer",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTestFilesAreHeldOnlyWhenTheWallSaysSo(t *testing.T) {
	wall := Wall{Name: "clock", Reason: "r", Mend: "m", Rooms: []string{"./pkg/engine"}, NeverUse: []string{"time.Now"}}
	if got, _ := check(t, &Config{Walls: []Wall{wall}}); len(got) != 0 {
		t.Errorf("a test file was held to a wall without tests: %q", got)
	}
	wall.Tests = true
	if got, _ := check(t, &Config{Walls: []Wall{wall}}); len(got) != 1 {
		t.Errorf("got %q, want one breach in clean_test.go", got)
	}
}

func TestBadConfigIsRefusedWithEveryProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "walls.yaml")
	raw := `
walls:
  - name: a
    reason: r
    rooms: ["./..."]
    never_reach: ["@drivers"]
  - name: a
    reason: r
    mend: m
    rooms: ["./..."]
    never_use: [Now]
    exceptions: [{package: ./x, target: y}]
  - name: b
    reason: r
    mend: m
`
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadConfig(path)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`wall "a": name, reason and mend are required`, "set @drivers is not declared", "name is taken", `never_use "Now"`,
		`exception "./x y": package, target and reason`, `wall "b": rooms is empty`, `wall "b": forbids nothing`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestUnknownKeyAndUnboundCaptureAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "walls.yaml")
	if err := os.WriteFile(path, []byte("walls: [{name: a, never_touch: [x]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), "never_touch") {
		t.Errorf("got %v, want a complaint about never_touch", err)
	}
	if _, err := compilePattern("./services/{y}/...", "house.test", map[string]string{"x": "lock"}); err == nil {
		t.Error("a capture that no room binds was accepted")
	}
}

func TestPatterns(t *testing.T) {
	bound := map[string]string{"x": "lock"}
	for _, tc := range []struct {
		pattern, path string
		bound         map[string]string
		want          bool
	}{
		{"./...", "house.test", nil, true},
		{"./...", "house.test/pkg/errs", nil, true},
		{"./...", "house.tester/pkg", nil, false},
		{"./pkg/...", "house.test/pkg", nil, true},
		{"./pkg/...", "house.test/pkgs", nil, false},
		{"./services/{x}/...", "house.test/services/lock/internal/core", bound, true},
		{"./services/{x}/...", "house.test/services/locker", bound, false},
		{"./services/*/internal/core", "house.test/services/a/b/internal/core", nil, false},
		{"./services/.../internal/core", "house.test/services/a/b/internal/core", nil, true},
		{"google.golang.org/grpc/...", "google.golang.org/grpc/status", nil, true},
		{"google.golang.org/grpc/...", "googleXgolang.org/grpc", nil, false},
	} {
		p, err := compilePattern(tc.pattern, "house.test", tc.bound)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := p.Match(tc.path); got != tc.want {
			t.Errorf("%s matches %s: %v, want %v", tc.pattern, tc.path, got, tc.want)
		}
	}
}

func TestRunExitCodes(t *testing.T) {
	root := build(t)
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"breaches", []string{"-file", "../walls.yaml", "-dir", root}, exitBroken},
		{"clean room", []string{"-file", "../walls.yaml", "-dir", root, "./pkg/errs"}, exitHeld},
		{"no such file", []string{"-file", "nowhere.yaml", "-dir", root}, exitUsage},
		{"not a module", []string{"-file", "../walls.yaml", "-dir", t.TempDir()}, exitUsage},
		{"bad flag", []string{"-nope"}, exitUsage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := run(t.Context(), tc.args, &out, &errs); got != tc.want {
				t.Errorf("exit %d, want %d\n%s%s", got, tc.want, &out, &errs)
			}
		})
	}
}
