package render_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func decode(t *testing.T, raw []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return value
}

func document(t *testing.T, message proto.Message) any {
	t.Helper()
	raw, err := json.Marshal(render.Document(message))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, raw)
}

func TestDocumentShowsPayloadsAsJSON(t *testing.T) {
	got := document(t, &workflowv1.OperationSucceeded{
		StepPath: "a/b", Output: inline(`{"n": 12345678901234567890, "list": [1]}`),
		Operation: &workflowv1.OpenOperation{ArgumentsDigest: []byte{0xab, 0x01}},
	}).(map[string]any)
	if diff := cmp.Diff(map[string]any{"inline": map[string]any{"n": 1.2345678901234567e19, "list": []any{1.0}}}, got["output"]); diff != "" {
		t.Errorf("output: %s", diff)
	}
	if digest := got["operation"].(map[string]any)["arguments_digest"]; digest != "ab01" {
		t.Errorf("digest: %v", digest)
	}
}

func TestDocumentOfOtherBytes(t *testing.T) {
	definition := document(t, &statev1.DefinitionVersion{Source: []byte("steps: []\n")}).(map[string]any)
	if definition["source"] != "steps: []\n" {
		t.Errorf("source: %v", definition["source"])
	}
	answer := document(t, &gatewayv1.CallToolResponse{}).(map[string]any)
	if diff := cmp.Diff(map[string]any{"output": nil, "is_error": false}, answer); diff != "" {
		t.Errorf("no output: %s", diff)
	}
	binary := document(t, &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte{0xff, 0x00}}}).(map[string]any)
	if binary["inline"] != "/wA=" {
		t.Errorf("bytes that are no JSON: %v", binary["inline"])
	}
}

// Apart from bytes, a document is what protojson makes of the message.
func TestDocumentAgreesWithProtojson(t *testing.T) {
	arguments, err := structpb.NewStruct(map[string]any{"order_id": "${input.id}", "n": 1.5})
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []proto.Message{
		&workflowv1.WorkflowDefinition{
			ApiVersion: "signalbox/v1", Metadata: &workflowv1.Metadata{Name: "a", Labels: map[string]string{"z": "1", "a": "<&>"}},
			Steps: []*workflowv1.Step{{Id: "s", Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: "desk", Tool: "t", Arguments: arguments}}}},
		},
		&workflowv1.Run{
			Id: "r", Sequence: 1 << 60, StartTime: at(0), Visits: map[string]uint32{"main": 2}, Outcome: workflowv1.Outcome(77),
			Active: []*workflowv1.ActiveStep{{Path: "main/a", HandlerAttempts: map[string]uint32{"step/0": 1}}},
		},
		&workflowv1.AttemptFailed{Jitter: 0.25, RetryAfter: at(1500)},
	} {
		want, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, want), document(t, message)); diff != "" {
			t.Errorf("%T (-protojson +document):\n%s", message, diff)
		}
	}
}
