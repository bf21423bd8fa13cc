// Package metrics counts what recovery is asked and what it finds.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

// Observer is a core.Observer and core.CacheObserver that counts. Breakers that definitions name are counted with their server.
type Observer struct {
	reported *prometheus.CounterVec
	changed  *prometheus.CounterVec
	asked    *prometheus.CounterVec
	assessed *prometheus.CounterVec
	looked   *prometheus.CounterVec
	outputs  prometheus.Gauge
	bytes    prometheus.Gauge
}

var (
	_ core.Observer      = (*Observer)(nil)
	_ core.CacheObserver = (*Observer)(nil)
)

// New makes an observer. A nil registerer counts for nobody. It fails when the registerer has these metrics already.
func New(registerer prometheus.Registerer) (*Observer, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "signalbox", Subsystem: "recovery", Name: name, Help: help,
		}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "signalbox", Subsystem: "recovery", Name: name, Help: help})
	}
	o := &Observer{
		reported: counter("calls_total", "Calls reported, by what they say of the server: success, failure, neither.", "server", "result"),
		changed:  counter("breaker_changes_total", "Breakers that came into a state: closed, open, half_open.", "server", "state"),
		asked:    counter("allow_total", "Allow calls by their answer: allowed, refused.", "server", "answer"),
		assessed: counter("assess_total", "Assess calls by verdict.", "server", "verdict"),
		looked:   counter("cache_looks_total", "Looks for a cached output by their answer: found, none.", "answer"),
		outputs:  gauge("cache_outputs", "Outputs in the cache."),
		bytes:    gauge("cache_bytes", "About what the outputs in the cache take."),
	}
	if registerer == nil {
		return o, nil
	}
	for _, collector := range []prometheus.Collector{o.reported, o.changed, o.asked, o.assessed, o.looked, o.outputs, o.bytes} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Reported implements core.Observer.
func (o *Observer) Reported(server, result string, calls int) {
	o.reported.WithLabelValues(server, result).Add(float64(calls))
}

var stateNames = map[core.State]string{core.Closed: "closed", core.Open: "open", core.HalfOpen: "half_open"}

// Changed implements core.Observer.
func (o *Observer) Changed(ref core.Ref, state core.State) {
	o.changed.WithLabelValues(ref.Server, stateNames[state]).Inc()
}

// Asked implements core.Observer.
func (o *Observer) Asked(server string, allowed bool) {
	answer := "refused"
	if allowed {
		answer = "allowed"
	}
	o.asked.WithLabelValues(server, answer).Inc()
}

var verdictNames = map[core.Verdict]string{
	core.Retry: "retry", core.NotRetryable: "not_retryable", core.AttemptsExhausted: "attempts_exhausted",
	core.BudgetExhausted: "budget_exhausted", core.TooLate: "too_late",
}

// Assessed implements core.Observer.
func (o *Observer) Assessed(server string, verdict core.Verdict) {
	o.assessed.WithLabelValues(server, verdictNames[verdict]).Inc()
}

// Looked implements core.CacheObserver.
func (o *Observer) Looked(found bool) {
	answer := "none"
	if found {
		answer = "found"
	}
	o.looked.WithLabelValues(answer).Inc()
}

// Holds implements core.CacheObserver.
func (o *Observer) Holds(outputs int, bytes int64) {
	o.outputs.Set(float64(outputs))
	o.bytes.Set(float64(bytes))
}
