package sqlitestore

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what the writer does.
type metrics struct {
	commits   *prometheus.CounterVec
	bytes     prometheus.Counter
	batchSize prometheus.Histogram
	events    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_state_commits_total", Help: "Deltas of runs, by whether they were committed or refused.",
		}, []string{"result"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signalbox_state_commit_bytes_total", Help: "Bytes of deltas handed to the store.",
		}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "signalbox_state_commit_batch_size", Help: "Deltas that shared one sync of the disk.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_state_events_total", Help: "Events for the log, by whether they were appended or were there already.",
		}, []string{"result"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.commits, m.bytes, m.batchSize, m.events} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) batch(b batchStats) {
	m.commits.WithLabelValues("committed").Add(float64(b.commits - b.refused))
	m.commits.WithLabelValues("refused").Add(float64(b.refused))
	m.bytes.Add(float64(b.bytes))
	if b.commits > 0 {
		m.batchSize.Observe(float64(b.commits))
	}
	if b.events+b.duplicates > 0 {
		m.events.WithLabelValues("appended").Add(float64(b.events))
		m.events.WithLabelValues("duplicate").Add(float64(b.duplicates))
	}
}
