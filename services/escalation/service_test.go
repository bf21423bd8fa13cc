package escalation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/services/escalation"
)

func TestAnswersAreCountedAndLogged(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	refused := approval()
	refused.Decision = "aprove"
	if _, err := d.client.Resolve(t.Context(), refused); err == nil {
		t.Fatal("not refused")
	}
	for range 2 {
		if _, err := d.client.Resolve(t.Context(), approval()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{
		"signalbox_escalation_answers_total decision_not_allowed": 1,
		"signalbox_escalation_answers_total recorded":             1,
		"signalbox_escalation_answers_total repeated":             1,
		"signalbox_escalation_answer_wait_seconds gate":           3600,
	}
	if diff := cmp.Diff(want, d.measured(t)); diff != "" {
		t.Error(diff)
	}
	lines := strings.Split(strings.TrimSpace(d.log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "result=decision_not_allowed") || !strings.Contains(lines[1], "by=ann") {
		t.Errorf("log:\n%s", d.log)
	}
	if strings.Contains(d.log.String(), "fine") {
		t.Error("the log holds what somebody said")
	}
}

// measured returns every series by name and label: the count of a counter, the sum of a histogram.
func (d *desk) measured(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue() + metric.GetHistogram().GetSampleSum()
		}
	}
	return values
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, test := range map[string]struct {
		cfg   escalation.Config
		deps  escalation.Deps
		words string
	}{
		"window below":  {escalation.Config{HistoryWindow: -1}, escalation.Deps{}, "history_window: -1 is not between"},
		"window above":  {escalation.Config{HistoryWindow: 100_001}, escalation.Deps{}, "history_window: 100001 is not between"},
		"no connection": {escalation.Config{}, escalation.Deps{}, "required"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := escalation.New(test.cfg, test.deps); err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
		})
	}
}

func TestCloseGivesTheMetricsBackAndTakesNobodyElses(t *testing.T) {
	registry := prometheus.NewRegistry()
	conn := serve(t, (&fakeState{}).register)
	deps := escalation.Deps{State: conn, Scheduler: conn, Registerer: registry}
	first, err := escalation.New(escalation.Config{}, deps)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal of the second must leave the first one's metrics in place
		if _, err := escalation.New(escalation.Config{}, deps); err == nil {
			t.Fatal("metrics of the same names were registered twice")
		}
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	second, err := escalation.New(escalation.Config{}, deps)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}
