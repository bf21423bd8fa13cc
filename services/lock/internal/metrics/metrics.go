// Package metrics counts what a store of locks does.
package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// Store is a core.Store that counts what passes through it.
type Store struct {
	core.Store
	clock    clock.Clock
	acquires *prometheus.CounterVec
	releases *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	watches  prometheus.Gauge
	events   prometheus.Counter
}

// New wraps a store. A nil registerer counts for nobody. It fails when the registerer has these metrics already.
func New(store core.Store, clk clock.Clock, registerer prometheus.Registerer) (*Store, error) {
	const namespace, subsystem = "signalbox", "lock"
	s := &Store{
		Store: store, clock: clk,
		acquires: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "acquires_total",
			Help: "Acquire calls by how the acquisition stood: granted, queued, released, failed.",
		}, []string{"result"}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "releases_total",
			Help: "Release calls by what they found: released, already_released, never_acquired, failed.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "store_seconds",
			Help:    "Time of one call to the lock store.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"call"}),
		watches: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "watches",
			Help: "Watch streams that are open.",
		}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "watch_events_total",
			Help: "Events sent on watch streams.",
		}),
	}
	if registerer == nil {
		return s, nil
	}
	for _, collector := range []prometheus.Collector{s.acquires, s.releases, s.seconds, s.watches, s.events} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return s, nil
}

var stateNames = map[core.State]string{core.Granted: "granted", core.Queued: "queued", core.Released: "released"}

// Acquire implements core.Store.
func (s *Store) Acquire(ctx context.Context, request core.Request) (core.Acquisition, error) {
	defer s.time("acquire")()
	acquisition, err := s.Store.Acquire(ctx, request)
	s.acquires.WithLabelValues(name(stateNames, acquisition.State, err)).Inc()
	return acquisition, err
}

var outcomeNames = map[core.Outcome]string{
	core.OutcomeReleased: "released", core.OutcomeAlreadyReleased: "already_released", core.OutcomeNeverAcquired: "never_acquired",
}

// Release implements core.Store.
func (s *Store) Release(ctx context.Context, id core.ID, token core.Token) (core.Outcome, error) {
	defer s.time("release")()
	outcome, err := s.Store.Release(ctx, id, token)
	s.releases.WithLabelValues(name(outcomeNames, outcome, err)).Inc()
	return outcome, err
}

// Watch implements core.Store.
func (s *Store) Watch(ctx context.Context, filter core.Filter, after core.Token, send func(core.Batch) error) error {
	s.watches.Inc()
	defer s.watches.Dec()
	return s.Store.Watch(ctx, filter, after, func(batch core.Batch) error {
		s.events.Add(float64(len(batch.Events)))
		return send(batch)
	})
}

func (s *Store) time(call string) func() {
	start := s.clock.Now()
	return func() { s.seconds.WithLabelValues(call).Observe(s.clock.Now().Sub(start).Seconds()) }
}

func name[K comparable](names map[K]string, key K, err error) string {
	if err != nil {
		return "failed"
	}
	return names[key]
}
