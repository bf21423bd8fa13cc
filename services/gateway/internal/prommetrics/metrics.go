// Package prommetrics counts the gateway's work for Prometheus.
package prommetrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Metrics implements core.Metrics.
type Metrics struct {
	attempts *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	ready    *prometheus.GaugeVec
}

var _ core.Metrics = (*Metrics)(nil)

// New registers the metrics; a nil registerer keeps them unregistered.
func New(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_gateway_attempts_total",
			Help: "Attempts to call a tool, by what is known of them and by the type of their failure.",
		}, []string{"server", "tool", "status", "error_type"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signalbox_gateway_call_seconds", Help: "Time from taking an attempt to its result.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 13),
		}, []string{"server"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signalbox_gateway_in_flight", Help: "Calls under way.",
		}, []string{"server"}),
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signalbox_gateway_server_ready", Help: "Whether a tool server is connected, or can be expected to be.",
		}, []string{"server"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m.attempts, m.latency, m.inFlight, m.ready} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// AttemptEnded implements core.Metrics.
func (m *Metrics) AttemptEnded(server, tool string, result core.Result) {
	errorType := errtype.Name(result.ErrorType)
	if result.IsError {
		errorType = "tool-error"
	}
	m.attempts.WithLabelValues(server, tool, result.Status.String(), errorType).Inc()
	m.latency.WithLabelValues(server).Observe(float64(result.Latency) / float64(time.Second))
}

// InFlight implements core.Metrics.
func (m *Metrics) InFlight(server string, delta int) {
	m.inFlight.WithLabelValues(server).Add(float64(delta))
}

// Ready implements core.Metrics.
func (m *Metrics) Ready(server string, ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.WithLabelValues(server).Set(value)
}
