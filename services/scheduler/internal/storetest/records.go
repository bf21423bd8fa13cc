// Package storetest holds the conformance suite that every store of the scheduler's records must pass, and one in memory for tests.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Memory is a store of records in memory. Known limits, compared with state: nothing is on disk, and page tokens are ids.
type Memory struct {
	clock clock.Clock

	mu      sync.Mutex
	records map[place]core.Record
	away    bool
	// Before is called before each write, outside the lock; an error that it returns is the write's. May be nil.
	Before func(r core.Record) error
}

type place struct{ namespace, kind, id string }

var _ core.Records = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory(c clock.Clock) *Memory { return &Memory{clock: c, records: map[place]core.Record{}} }

// Away lets every call fail with core.ErrAway until it is told otherwise.
func (m *Memory) Away(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

// PutRecord implements core.Records.
func (m *Memory) PutRecord(ctx context.Context, r core.Record, expected uint64) (uint64, error) {
	if m.Before != nil {
		if err := m.Before(r); err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(ctx); err != nil {
		return 0, err
	}
	at := place{r.Namespace, r.Kind, r.ID}
	if m.records[at].Version != expected {
		return 0, core.ErrRecordChanged
	}
	r.Version, r.Updated, r.Data = expected+1, m.clock.Now(), slices.Clone(r.Data)
	m.records[at] = r
	return r.Version, nil
}

func (m *Memory) gone(ctx context.Context) error {
	if m.away {
		return core.ErrAway
	}
	return ctx.Err()
}

// GetRecord implements core.Records.
func (m *Memory) GetRecord(ctx context.Context, namespace, kind, id string) (core.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(ctx); err != nil {
		return core.Record{}, err
	}
	r, ok := m.records[place{namespace, kind, id}]
	if !ok {
		return core.Record{}, core.ErrNotFound
	}
	return r, nil
}

// ListRecords implements core.Records.
func (m *Memory) ListRecords(ctx context.Context, namespace, kind string, size int, token string) ([]core.Record, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(ctx); err != nil {
		return nil, "", err
	}
	var all []core.Record
	for at, r := range m.records {
		if at.kind == kind && (namespace == core.AllNamespaces || at.namespace == namespace) && tokenOf(r) > token {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b core.Record) int { return cmp.Compare(tokenOf(a), tokenOf(b)) })
	if size <= 0 {
		size = 100
	}
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], tokenOf(all[size-1]), nil
}

func tokenOf(r core.Record) string { return r.Namespace + "/" + r.ID }

// DeleteRecord implements core.Records.
func (m *Memory) DeleteRecord(ctx context.Context, namespace, kind, id string, expected uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(ctx); err != nil {
		return err
	}
	at := place{namespace, kind, id}
	switch old, ok := m.records[at]; {
	case !ok:
		return core.ErrNotFound
	case old.Version != expected:
		return core.ErrRecordChanged
	}
	delete(m.records, at)
	return nil
}

// Records holds a store to the contract of core.Records. Each call of open gives an empty one.
func Records(t *testing.T, open func(t *testing.T) core.Records) {
	t.Helper()
	t.Run("a write goes on from the version that it names", func(t *testing.T) { versions(t, open(t)) })
	t.Run("a list goes by namespace and id, page by page", func(t *testing.T) { pages(t, open(t)) })
}

func versions(t *testing.T, s core.Records) {
	ctx := t.Context()
	r := core.Record{Namespace: "default", Kind: "thing", ID: "a", Data: []byte("1")}
	expect := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := s.GetRecord(ctx, "default", "thing", "a")
	expect("read of nothing", err, core.ErrNotFound)
	_, err = s.PutRecord(ctx, r, 3)
	expect("change of nothing", err, core.ErrRecordChanged)
	v, err := s.PutRecord(ctx, r, 0)
	expect("creation", err, nil)
	_, err = s.PutRecord(ctx, r, 0)
	expect("second creation", err, core.ErrRecordChanged)
	r.Data = []byte("2")
	w, err := s.PutRecord(ctx, r, v)
	expect("change", err, nil)
	_, err = s.PutRecord(ctx, r, v)
	expect("change of an old version", err, core.ErrRecordChanged)
	got, err := s.GetRecord(ctx, "default", "thing", "a")
	expect("read", err, nil)
	if string(got.Data) != "2" || got.Version != w || w <= v {
		t.Fatalf("read %+v after versions %d and %d", got, v, w)
	}
	_, err = s.GetRecord(ctx, "default", "other", "a")
	expect("read of another kind", err, core.ErrNotFound)
	expect("removal of an old version", s.DeleteRecord(ctx, "default", "thing", "a", v), core.ErrRecordChanged)
	expect("removal", s.DeleteRecord(ctx, "default", "thing", "a", w), nil)
	expect("second removal", s.DeleteRecord(ctx, "default", "thing", "a", w), core.ErrNotFound)
}

func pages(t *testing.T, s core.Records) {
	ctx := t.Context()
	for _, at := range []place{{"b", "thing", "1"}, {"a", "thing", "2"}, {"a", "thing", "1"}, {"a", "other", "3"}, {"a", "thing", "3"}} {
		if _, err := s.PutRecord(ctx, core.Record{Namespace: at.namespace, Kind: at.kind, ID: at.id}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for namespace, want := range map[string][]string{"a": {"a/1", "a/2", "a/3"}, core.AllNamespaces: {"a/1", "a/2", "a/3", "b/1"}, "c": nil} {
		var got []string
		for token, more := "", true; more; more = token != "" {
			page, next, err := s.ListRecords(ctx, namespace, "thing", 2, token)
			if err != nil || len(page) > 2 {
				t.Fatal(page, err)
			}
			for _, r := range page {
				got = append(got, r.Namespace+"/"+r.ID)
			}
			token = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("namespace %s lists %v, want %v", namespace, got, want)
		}
	}
}
