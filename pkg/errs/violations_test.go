package errs_test

import (
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func violations() *validate.Violations {
	element := func(name string) *validate.FieldPathElement {
		return &validate.FieldPathElement{FieldName: proto.String(name)}
	}
	states := element("states")
	states.Subscript = &validate.FieldPathElement_StringKey{StringKey: "approve"}
	steps := element("steps")
	steps.Subscript = &validate.FieldPathElement_Index{Index: 2}
	return &validate.Violations{Violations: []*validate.Violation{
		{Field: &validate.FieldPath{Elements: []*validate.FieldPathElement{states, steps, element("id")}}, Message: proto.String("value is required")},
		{Field: &validate.FieldPath{Elements: []*validate.FieldPathElement{states}}, RuleId: proto.String("string.pattern"), ForKey: proto.Bool(true)},
		{Message: proto.String("give states or steps")},
	}}
}

func TestViolationsNameEveryField(t *testing.T) {
	err := errs.FromViolations(violations())
	if want := `states["approve"].steps[2].id: value is required; states["approve"]: the key: breaks the rule string.pattern; give states or steps`; err.Error() != want {
		t.Errorf("message %q", err)
	}
	want := []errs.FieldViolation{
		{Field: `states["approve"].steps[2].id`, Problem: "value is required"},
		{Field: `states["approve"]`, Problem: "the key: breaks the rule string.pattern"},
		{Field: "", Problem: "give states or steps"},
	}
	if diff := cmp.Diff(want, err.Fields()); diff != "" {
		t.Error(diff)
	}
}

func TestAStatusWithViolationsIsInvalidArgument(t *testing.T) {
	theirs, err := status.New(codes.InvalidArgument, "validation error").WithDetails(violations())
	if err != nil {
		t.Fatal(err)
	}
	sealed := errs.Sealed(theirs.Err())
	if !errs.Is(sealed, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) || status.Convert(sealed).Message() == "validation error" {
		t.Errorf("got %v", sealed)
	}
}
