package core

import (
	"slices"
	"testing"
)

type statusLog []ServerStatus

func (l *statusLog) ServerChanged(status ServerStatus) { *l = append(*l, status) }

func TestWatchersHearAllServersAndThenChanges(t *testing.T) {
	servers := NewServers(map[string]int{"b": 5, "a": 0}, noMetrics{})
	var log statusLog
	stop := servers.Watch(&log)
	servers.SetReady("b", true)
	servers.SetReady("b", false)
	servers.SetReady("b", false)
	servers.SetReady("nobody", false)
	stop()
	servers.SetReady("b", true)
	want := statusLog{{"a", DefaultConcurrency, true}, {"b", 5, true}, {"b", 5, false}}
	if !slices.Equal(log, want) {
		t.Errorf("heard %v, wanted %v", log, want)
	}
}
