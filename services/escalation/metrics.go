package escalation

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/services/escalation/internal/rpc"
)

// metrics counts answers and writes each into the log, where an auditor finds refused ones too. What people said, and the values that
// they gave, are in the run's history and not here.
type metrics struct {
	registerer prometheus.Registerer // nil: not exported
	registered []prometheus.Collector
	logger     *slog.Logger
	answers    *prometheus.CounterVec
	waited     *prometheus.HistogramVec
}

var _ rpc.Observer = (*metrics)(nil)

func newMetrics(registerer prometheus.Registerer, logger *slog.Logger) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		logger:     logger,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_escalation_answers_total",
			Help: "Answers by what became of them: recorded, repeated, or the reason for which they were refused.",
		}, []string{"result"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signalbox_escalation_answer_wait_seconds",
			Help:    "Time from the opening of an escalation to the answer that was recorded, by kind.",
			Buckets: []float64{10, 60, 300, 900, 3_600, 4 * 3_600, 24 * 3_600, 72 * 3_600, 168 * 3_600},
		}, []string{"kind"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m.answers, m.waited} {
		if err := registerer.Register(collector); err != nil {
			m.close()
			return nil, fmt.Errorf("escalation: register metrics: %w", err)
		}
		m.registered = append(m.registered, collector)
	}
	return m, nil
}

// Answered is as of rpc.Observer.
func (m *metrics) Answered(ctx context.Context, answered rpc.Answered) {
	m.answers.WithLabelValues(answered.Result).Inc()
	if answered.Result == rpc.ResultRecorded {
		m.waited.WithLabelValues(answered.Kind).Observe(answered.Waited.Seconds())
	}
	m.logger.InfoContext(ctx, "escalation answered", "result", answered.Result, "namespace", answered.Namespace,
		"escalation", answered.EscalationID, "decision", answered.Decision, "by", answered.By)
}

// close takes out what this value has registered, and nothing of another one with the same names.
func (m *metrics) close() {
	for _, collector := range m.registered {
		m.registerer.Unregister(collector)
	}
	m.registered = nil
}
