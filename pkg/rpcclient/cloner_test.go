package rpcclient

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"
)

func sample() *grpc_testing.StreamingOutputCallRequest {
	request := &grpc_testing.StreamingOutputCallRequest{
		Payload:            &grpc_testing.Payload{Body: []byte("body")},
		ResponseParameters: []*grpc_testing.ResponseParameters{{Size: 3}},
	}
	request.ProtoReflect().SetUnknown(protoreflect.RawFields{0xf8, 0x07, 0x01}) // of a newer contract
	return request
}

func TestCopyReplacesWhatTheTargetHeld(t *testing.T) {
	dirty := func() proto.Message {
		return &grpc_testing.StreamingOutputCallRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 7}}
	}
	clone, err := cloner{}.Clone(sample())
	if err != nil {
		t.Fatal(err)
	}
	dynamicTarget := dynamicpb.NewMessage(sample().ProtoReflect().Descriptor())
	for name, test := range map[string]struct {
		out proto.Message
		in  any
	}{
		"deep":           {dirty(), sample()},
		"handed over":    {dirty(), clone},
		"into a dynamic": {dynamicTarget, sample()},
	} {
		if err := (cloner{}).Copy(test.out, test.in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(proto.Message(sample()), test.out, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestOtherTypesAreRefused(t *testing.T) {
	clone, err := cloner{}.Clone(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []any{sample(), clone, "text", nil} {
		if err := (cloner{}).Copy(&grpc_testing.Empty{}, in); err == nil {
			t.Errorf("a %T was copied into an Empty", in)
		}
	}
	if err := (cloner{}).Copy("text", sample()); err == nil {
		t.Error("copied into a string")
	}
	if _, err := (cloner{}).Clone("text"); err == nil {
		t.Error("cloned a string")
	}
}
