package sqlitestore

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Test(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		dir := t.TempDir()
		store := open(t, Options{Dir: dir})
		return store, func() storetest.Store {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, Options{Dir: dir})
		}
	})
}

// open opens a store that the test closes.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
