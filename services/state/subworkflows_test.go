package state_test

import (
	"fmt"
	"strings"
	"sync"
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

		// A newer child does not change a parent that is registered; another child does.
		s.register(t, source("status", "2.0.0", "1"))
		unchanged := s.register(t, parentSource("1.0.0", "name: status"))
		if unchanged.GetCreated() || unchanged.GetDefinition().GetDigest() != parent.GetDigest() ||
			!strings.Contains(fmt.Sprint(unchanged.GetFindings()), "parent 1.0.0 is registered with status 1.10.0, and stays with it although there is 2.0.0") {
			t.Errorf("registered again: %v", unchanged)
		}
		_, err = s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: parentSource("1.0.0", "name: status, version: 2.0.0"), Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_CHANGED, parent.GetDigest(), "1.10.0", "2.0.0", "raise metadata.version")
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

// TestRegistrationsRace registers one version of a parent with two bodies from many sides, while its child gets newer versions: one body wins, and
// whoever gave that one is told that it is kept, with the same pins.
func TestRegistrationsRace(t *testing.T) {
	s := start(t, true)
	s.register(t, source("status", "1.0.0", "1"))
	bodies := [][]byte{parentSource("1.0.0", "name: status"), parentSource("1.0.0", "name: status, compensatable: true")}
	const rounds = 8
	var wg sync.WaitGroup
	responses, failures := make([]*statev1.RegisterResponse, 2*rounds), make([]error, 2*rounds)
	for i := range 2 * rounds {
		wg.Go(func() {
			responses[i], failures[i] = s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: bodies[i%2], Tools: catalogue})
		})
		wg.Go(func() {
			req := &statev1.RegisterRequest{Source: source("status", fmt.Sprintf("1.%d.0", i+1), "1"), Tools: catalogue}
			if _, err := s.definitions.Register(s.ctx, req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	created, digest, winner := 0, "", -1
	for i, resp := range responses {
		if resp.GetCreated() {
			created, digest, winner = created+1, resp.GetDefinition().GetDigest(), i%2
		}
	}
	if created != 1 {
		t.Fatalf("%d registrations made the version", created)
	}
	for i, resp := range responses {
		switch {
		case i%2 != winner:
			wantReason(t, failures[i], errorsv1.ErrorReason_ERROR_REASON_DEFINITION_CHANGED, digest)
		case failures[i] != nil || resp.GetDefinition().GetDigest() != digest:
			t.Errorf("the body that is kept: %v, %v", resp.GetDefinition().GetDigest(), failures[i])
		}
	}
	kept, err := s.definitions.GetDefinition(s.ctx, &statev1.GetDefinitionRequest{Name: "parent"})
	if err != nil {
		t.Fatal(err)
	}
	step := kept.GetDefinition().GetDefinition().GetStates()["main"].GetSteps()[0].GetWorkflow()
	child, err := s.definitions.GetDefinition(s.ctx, &statev1.GetDefinitionRequest{Name: "status", Version: step.GetVersion()})
	if err != nil || child.GetDefinition().GetDigest() != step.GetPin().GetDigest() {
		t.Errorf("pinned to status %s, %s: %v", step.GetVersion(), step.GetPin().GetDigest(), err)
	}
}
