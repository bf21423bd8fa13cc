// Package prommetrics publishes the scheduler's counters to Prometheus.
package prommetrics

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Metrics implements core.Metrics.
type Metrics struct {
	commits, events, started, delivered prometheus.Counter
	subscriptions                       prometheus.Gauge
	ended, attempts, triggered, cache   *prometheus.CounterVec
}

// New makes the counters and registers them; with a nil registerer they only count.
func New(r prometheus.Registerer) (*Metrics, error) {
	const ns, sub = "signalbox", "scheduler"
	m := &Metrics{
		commits: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "commits_total", Help: "Commits that became durable."}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "events_total", Help: "History events in these commits."}),
		started: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "runs_started_total", Help: "Runs started."}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "runs_ended_total", Help: "Runs ended, by outcome."},
			[]string{"outcome"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "attempts_total", Help: "Attempts by tool server and result."},
			[]string{"server", "result"}),
		triggered: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "triggered_total",
			Help: "Events that a trigger matched, by what became of the start."}, []string{"result"}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "events_delivered_total",
			Help: "Events of the log that were handed to a step that waits."}),
		subscriptions: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "subscriptions", Help: "Steps that wait for events."}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "cache_lookups_total",
			Help: "Outputs of steps that were looked for in the cache."}, []string{"result"}),
	}
	if r == nil {
		return m, nil
	}
	var all []error
	for _, c := range []prometheus.Collector{m.commits, m.events, m.started, m.ended, m.attempts, m.triggered, m.cache, m.delivered, m.subscriptions} {
		all = append(all, r.Register(c))
	}
	return m, errors.Join(all...)
}

// Committed implements core.Metrics.
func (m *Metrics) Committed(events int) {
	m.commits.Inc()
	m.events.Add(float64(events))
}

// Started implements core.Metrics.
func (m *Metrics) Started() { m.started.Inc() }

// Ended implements core.Metrics.
func (m *Metrics) Ended(outcome workflowv1.Outcome) {
	m.ended.WithLabelValues(strings.ToLower(strings.TrimPrefix(outcome.String(), "OUTCOME_"))).Inc()
}

// Subscribed implements core.Metrics.
func (m *Metrics) Subscribed(n int) { m.subscriptions.Set(float64(n)) }

// Delivered implements core.Metrics.
func (m *Metrics) Delivered() { m.delivered.Inc() }

// CacheAsked implements core.Metrics.
func (m *Metrics) CacheAsked(found bool) {
	result := "miss"
	if found {
		result = "hit"
	}
	m.cache.WithLabelValues(result).Inc()
}

// Triggered implements core.Metrics.
func (m *Metrics) Triggered(result string) { m.triggered.WithLabelValues(result).Inc() }

var results = map[core.SendStatus]string{
	core.SendAnswered: "answered", core.SendNotSent: "not_sent", core.SendUnknown: "unknown", core.SendNeverSeen: "never_seen",
}

// Attempt implements core.Metrics.
func (m *Metrics) Attempt(server string, status core.SendStatus) {
	m.attempts.WithLabelValues(server, results[status]).Inc()
}
