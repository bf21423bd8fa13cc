package sqlitestore

import (
	"testing"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Who begins to watch while a transaction runs has read the state before it, and must still hear of it.
func TestAWatchThatBeginsDuringACommitHearsOfIt(t *testing.T) {
	hub := &core.Hub{}
	key := core.RunKey{Namespace: "default", RunID: "r"}
	w := &writer{hub: hub}
	w.published = append(w.published, key) // the transaction has applied its commit, and nobody watched when it began
	watch := hub.Watch(key)
	defer watch.Stop()
	w.publish()
	select {
	case <-watch.Notes():
	default:
		t.Fatal("the watch did not hear of a commit that became durable after it began")
	}
}
