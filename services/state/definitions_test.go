package state_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// source is a definition of one step.
func source(name, version, orderID string) []byte {
	return fmt.Appendf(nil, `api_version: signalbox/v1
metadata: {name: %s, version: %s}
steps:
  - id: order
    tool: {server: desk, tool: get_order, arguments: {order_id: "%s"}}
`, name, version, orderID)
}

var catalogue = []*workflowv1.ToolDeclaration{{Server: "desk", Name: "get_order", Effect: workflowv1.Effect_EFFECT_READ}}

func (s *suite) register(t *testing.T, source []byte) *statev1.RegisterResponse {
	t.Helper()
	resp, err := s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: source, Tools: catalogue})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestRegister(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		_, err := s.definitions.Register(s.ctx, &statev1.RegisterRequest{
			Source: source("status", "1.0.0", "1"), Tools: catalogue, ValidateOnly: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		first := s.register(t, source("status", "1.2.0", "1"))
		d := first.GetDefinition()
		if !first.GetCreated() || d.GetName() != "status" || d.GetNamespace() != "default" || len(d.GetTools()) != 1 {
			t.Errorf("first registration: %v", first)
		}
		if again := s.register(t, source("status", "1.2.0", "1")); again.GetCreated() || again.GetDefinition().GetDigest() != d.GetDigest() {
			t.Errorf("second registration: %v", again)
		}
		_, err = s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: source("status", "1.2.0", "2"), Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_CHANGED, "1.2.0", d.GetDigest(),
			`(changed step "order" of state "main"`, `1 -> 2)`)
		if e := refusal(t, err); e.Metadata()["digest"] != d.GetDigest() {
			t.Errorf("metadata %v", e.Metadata())
		}
		s.register(t, source("status", "1.10.0", "1"))
		s.register(t, source("status", "1.9.0", "1"))
		s.register(t, source("other", "1.0.0", "1"))

		got, err := s.definitions.GetDefinition(s.ctx, &statev1.GetDefinitionRequest{Name: "status"})
		if err != nil || got.GetDefinition().GetVersion() != "1.10.0" || len(got.GetDefinition().GetSource()) == 0 {
			t.Errorf("highest: %v, %v", got.GetDefinition().GetVersion(), err)
		}
		byDigest, err := s.definitions.GetDefinition(s.ctx, &statev1.GetDefinitionRequest{Digest: d.GetDigest()})
		if err != nil || byDigest.GetDefinition().GetVersion() != "1.2.0" {
			t.Errorf("by digest: %v, %v", byDigest, err)
		}
		list, err := s.definitions.ListDefinitions(s.ctx, &statev1.ListDefinitionsRequest{LatestOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		var versions []string
		for _, d := range list.GetDefinitions() {
			versions = append(versions, d.GetName()+" "+d.GetVersion())
		}
		if fmt.Sprint(versions) != "[other 1.0.0 status 1.10.0]" {
			t.Errorf("latest: %v", versions)
		}
	})
}

func TestDefinitionNotFound(t *testing.T) {
	s := start(t, false)
	s.register(t, source("status", "1.2.0", "1"))
	get := func(req *statev1.GetDefinitionRequest) error {
		_, err := s.definitions.GetDefinition(s.ctx, req)
		return err
	}
	wantReason(t, get(&statev1.GetDefinitionRequest{Name: "sttaus"}),
		errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, `did you mean "status"?`)
	wantReason(t, get(&statev1.GetDefinitionRequest{Name: "status", Version: "1.3.0"}),
		errorsv1.ErrorReason_ERROR_REASON_VERSION_NOT_FOUND, `did you mean "1.2.0"?`)
	wantReason(t, get(&statev1.GetDefinitionRequest{Digest: "sha256:00"}), errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND)
	wantReason(t, get(&statev1.GetDefinitionRequest{}), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "name")
	wantReason(t, get(&statev1.GetDefinitionRequest{Name: "a", Digest: "b"}), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "digest")
}

func TestRegisterRefusesWithEveryFinding(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		bad := strings.Replace(string(source("status", "1.0.0", "${inptu.id}")), "get_order,", "get_ordre,", 1)
		_, err := s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: []byte(bad), File: "status.yaml", Tools: catalogue})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "status.yaml")
		e := refusal(t, err)
		findings, ok := details[*statev1.RegisterResponse](err)
		if !ok || len(findings.GetFindings()) < 2 || len(e.Fields()) != len(findings.GetFindings()) {
			t.Fatalf("findings %v, violations %v", findings, e.Fields())
		}
		for i, f := range findings.GetFindings() {
			if f.GetLine() == 0 || f.GetRule() == "" || f.GetFile() != "status.yaml" {
				t.Errorf("finding %v has no place", f)
			}
			if !strings.Contains(e.Fields()[i].Problem, f.GetMessage()) {
				t.Errorf("violation %v does not tell finding %v", e.Fields()[i], f)
			}
		}
		if list, err := s.definitions.ListDefinitions(s.ctx, &statev1.ListDefinitionsRequest{}); err != nil || len(list.GetDefinitions()) > 0 {
			t.Errorf("a refused definition is kept: %v, %v", list, err)
		}
	})
}

// Some gRPC implementations drop a call whose trailers exceed 16 KiB, and with it every finding.
func TestFindingsStaySmallEnoughToTravel(t *testing.T) {
	s := start(t, false)
	var b strings.Builder
	b.WriteString("api_version: signalbox/v1\nmetadata: {name: many, version: 1.0.0}\nsteps:\n")
	for i := range 150 {
		fmt.Fprintf(&b, "  - id: s%d\n    tool: {server: nowhere, tool: nothing, arguments: {id: \"${steps.missing.output}\"}}\n", i)
	}
	_, err := s.definitions.Register(s.ctx, &statev1.RegisterRequest{Source: []byte(b.String()), Tools: catalogue})
	wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID)
	findings, ok := details[*statev1.RegisterResponse](err)
	if !ok {
		t.Fatal("no findings")
	}
	bad, _ := details[*errdetails.BadRequest](err)
	message := len(status.Convert(err).Message())
	// The details travel in base64, and the message travels once in them and once beside them.
	if size := (len(marshal(findings))+len(marshal(bad))+message)*4/3 + message; size > 15<<10 {
		t.Errorf("the error has %d bytes on the wire", size)
	}
	last := findings.GetFindings()[len(findings.GetFindings())-1]
	if !strings.Contains(last.GetMessage(), "more findings") || last.GetSeverity() != "error" {
		t.Errorf("the last finding does not tell of the others: %v", last)
	}
}

// A definition that names no namespace goes where it is asked for; one that names another is refused, with the line.
func TestRegisterInANamespace(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		request := &statev1.RegisterRequest{Source: source("status", "1.0.0", "1"), Tools: catalogue, File: "status.yaml", Namespace: "shop"}
		for _, created := range []bool{true, false} {
			resp, err := s.definitions.Register(s.ctx, request)
			if err != nil || resp.GetCreated() != created || resp.GetDefinition().GetNamespace() != "shop" ||
				resp.GetDefinition().GetDefinition().GetMetadata().GetNamespace() != "shop" {
				t.Fatalf("registered: %v, %v", resp, err)
			}
		}
		_, err := s.definitions.GetDefinition(s.ctx, &statev1.GetDefinitionRequest{Name: "status"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, "default")
		request.Source = []byte(strings.Replace(string(request.GetSource()), "name: status", "namespace: desk, name: status", 1))
		_, err = s.definitions.Register(s.ctx, request)
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "status.yaml:", `"desk"`, `"shop"`, "metadata.namespace")
		request.Namespace = "desk"
		if resp, err := s.definitions.Register(s.ctx, request); err != nil || resp.GetDefinition().GetNamespace() != "desk" {
			t.Errorf("where it belongs: %v, %v", resp, err)
		}
	})
}
