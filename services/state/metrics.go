package state

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// archiveMetrics counts what the archive does, and logs what it cannot do.
type archiveMetrics struct {
	logger        *slog.Logger
	runs          *prometheus.CounterVec
	bytes, events prometheus.Counter
}

func newArchiveMetrics(r prometheus.Registerer, logger *slog.Logger) (*archiveMetrics, error) {
	m := &archiveMetrics{
		logger: logger,
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_state_archived_runs_total", Help: "Runs for the archive, by whether they were archived or failed to be.",
		}, []string{"result"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signalbox_state_archived_bytes_total", Help: "Bytes of the files of archived runs.",
		}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signalbox_state_removed_events_total", Help: "Events that retention has removed from the log.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.runs, m.bytes, m.events} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Archived implements core.ArchiveObserver.
func (m *archiveMetrics) Archived(run core.ArchivedRun) {
	m.runs.WithLabelValues("archived").Inc()
	m.bytes.Add(float64(run.Size))
}

// ArchiveFailed implements core.ArchiveObserver.
func (m *archiveMetrics) ArchiveFailed(key core.RunKey, err error) {
	m.runs.WithLabelValues("failed").Inc()
	m.logger.Error("state: a run could not be archived; it is tried again", "namespace", key.Namespace, "run", key.RunID, "error", err)
}

// EventsRemoved implements core.ArchiveObserver.
func (m *archiveMetrics) EventsRemoved(n int) { m.events.Add(float64(n)) }
