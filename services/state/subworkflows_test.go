package state_test

import (
	"fmt"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

// parentSource is a definition that runs another.
func parentSource(version, child string) []byte {
	return fmt.Appendf(nil, `api_version: signalbox/v1
metadata: {name: parent, version: %s}
steps:
  - id: child
    workflow: {%s}
`, version, child)
}

// TestRegisterPinsSubWorkflows: a sub-workflow is looked up among those of the namespace, and a parent keeps what it was when it was registered.
func TestRegisterPinsSubWorkflows(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		_, err := s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: parentSource("1.0.0", "name: status"), Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "no workflow status", "register it first")
		old := s.register(t, source("status", "1.9.0", "1")).GetDefinition()
		child := s.register(t, source("status", "1.10.0", "1")).GetDefinition()

		parent := s.register(t, parentSource("1.0.0", "name: status")).GetDefinition()
		step := parent.GetDefinition().GetStates()["main"].GetSteps()[0].GetWorkflow()
		if step.GetVersion() != "1.10.0" || step.GetPin().GetDigest() != child.GetDigest() {
			t.Errorf("pinned %s, %s; want %s", step.GetVersion(), step.GetPin().GetDigest(), child.GetDigest())
		}
		exact := s.register(t, parentSource("1.1.0", "name: status, version: 1.9.0")).GetDefinition()
		if pin := exact.GetDefinition().GetStates()["main"].GetSteps()[0].GetWorkflow().GetPin(); pin.GetDigest() != old.GetDigest() {
			t.Errorf("pinned %s, want %s", pin.GetDigest(), old.GetDigest())
		}

		// Another version of the child makes another closure, and that is another version of the parent.
		s.register(t, source("status", "2.0.0", "1"))
		_, err = s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: parentSource("1.0.0", "name: status"), Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_CHANGED, parent.GetDigest())
		if again := s.register(t, parentSource("1.1.0", "name: status, version: 1.9.0")); again.GetCreated() {
			t.Error("a parent that names the version is not the same any more")
		}
		earlier := s.register(t, parentSource("3.0.0", "name: parent, version: 1.1.0"))
		if !earlier.GetCreated() {
			t.Error("a workflow cannot run an earlier version of itself")
		}
		_, err = s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: parentSource("4.0.0", "name: parent"), Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "run itself without end")
	})
}
