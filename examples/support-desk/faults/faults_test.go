package faults_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
)

// notes is a Memory that lives as long as the test.
type notes map[string]string

func (n notes) Setting(name string) (string, bool, error) { v, ok := n[name]; return v, ok, nil }
func (n notes) PutSetting(name, value string) error       { n[name] = value; return nil }

func open(t *testing.T, m notes) *faults.Switches {
	t.Helper()
	s, err := faults.Open(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fires(t *testing.T, s *faults.Switches, stage faults.Stage, tool string) bool {
	t.Helper()
	fired, err := s.Ask(stage, tool)
	if err != nil {
		t.Fatal(err)
	}
	return len(fired) > 0
}

func TestOnceStaysOnceAcrossRestarts(t *testing.T) {
	memory := notes{}
	rule, err := faults.Parse("kind=exit-after,tool=cancel_*,count=1")
	if err != nil {
		t.Fatal(err)
	}
	for start := range 3 { // each start is given the same flag
		s := open(t, memory)
		if err := s.Arm(rule); err != nil {
			t.Fatal(err)
		}
		if got, want := fires(t, s, faults.After, "cancel_refund"), start == 0; got != want {
			t.Errorf("start %d: fired %v, want %v", start, got, want)
		}
	}
	s := open(t, memory)
	if _, err := s.Rearm(rule); err != nil {
		t.Fatal(err)
	}
	if !fires(t, s, faults.After, "cancel_refund") {
		t.Error("a rule armed afresh did not fire")
	}
}

func TestARuleActsOnItsToolAndStageOnly(t *testing.T) {
	s := open(t, notes{})
	if err := s.Arm(faults.Rule{Kind: faults.HTTP500, Tool: "create_*", After: 1}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		stage faults.Stage
		tool  string
		fires bool
	}{
		{faults.Arrival, "find_refund", false},
		{faults.Before, "create_refund", false},
		{faults.Arrival, "create_refund", false}, // the first is let pass
		{faults.Arrival, "create_refund", true},
	} {
		if got := fires(t, s, c.stage, c.tool); got != c.fires {
			t.Errorf("call %d: fired %v", i, got)
		}
	}
	if n, err := s.Disarm(""); err != nil || n != 1 || s.Live() {
		t.Errorf("disarmed %d, %v, live %v", n, err, s.Live())
	}
	if fires(t, s, faults.Arrival, "create_refund") {
		t.Error("a disarmed rule fired")
	}
}

// pattern gives which of 200 calls fail, restarting the process after every failure if restarts.
func pattern(t *testing.T, seed uint64, restarts bool) string {
	t.Helper()
	memory := notes{}
	s := open(t, memory)
	if err := s.Arm(faults.Rule{Kind: faults.Refuse, Probability: 0.3, Seed: seed}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for range 200 {
		hit := fires(t, s, faults.Arrival, "think")
		fmt.Fprint(&b, map[bool]int{true: 1}[hit])
		if hit && restarts {
			s = open(t, memory)
		}
	}
	return b.String()
}

func TestDrawsFollowTheSeedAndGoOnAfterARestart(t *testing.T) {
	once := pattern(t, 7, false)
	if again := pattern(t, 7, true); again != once {
		t.Errorf("a restart changed the draws:\n%s\n%s", once, again)
	}
	if once == pattern(t, 8, false) {
		t.Error("two seeds gave the same draws")
	}
	if n := strings.Count(once, "1"); n < 40 || n > 80 {
		t.Errorf("%d of 200 failed, want about 60", n)
	}
}

func TestWrongRulesAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"tool=x":                            "kind",
		"kind=meteor":                       "meteor",
		"kind=refuse,probability=2":         "probability",
		"kind=refuse,probability=often":     "probability",
		"kind=refuse,count=-1":              "count",
		"kind=latency":                      "latency_ms",
		"kind=refuse,tool=[":                "pattern",
		"kind=refuse,colour=red":            "colour",
		"kind=refuse,once":                  "key=value",
		"kind=refuse,count=1 then stop,a=b": "count",
	} {
		if _, err := faults.Parse(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that names %q", text, err, says)
		}
	}
}
