package state_test

import (
	"strings"
	"testing"
)

// TestRegisterKnowsWhoEmits: an event that a registered workflow of the namespace emits is waited for without a warning.
func TestRegisterKnowsWhoEmits(t *testing.T) {
	const (
		asking = `api_version: signalbox/v1
metadata: {name: asking, version: %s}
steps: [{id: wait, timeout: 1h, wait_event: {any_of: [{type: com.example.answered.v1}]}}]
`
		answering = `api_version: signalbox/v1
metadata: {name: answering, version: 1.0.0}
steps: [{id: answer, emit: {type: com.example.answered.v1}}]
`
	)
	bothWays(t, func(t *testing.T, s *suite) {
		first := s.register(t, []byte(strings.Replace(asking, "%s", "1.0.0", 1)))
		if fs := first.GetFindings(); len(fs) != 1 || fs[0].GetRule() != "L14" || fs[0].GetSeverity() != "warning" {
			t.Errorf("nobody emits it: %v", fs)
		}
		s.register(t, []byte(answering))
		if fs := s.register(t, []byte(strings.Replace(asking, "%s", "1.1.0", 1))).GetFindings(); len(fs) > 0 {
			t.Errorf("somebody emits it: %v", fs)
		}
	})
}
