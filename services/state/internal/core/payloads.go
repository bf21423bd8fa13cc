package core

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// VisitPayloads calls visit with every payload in a message, however deep, until visit fails; it returns that error.
func VisitPayloads(m protoreflect.Message, visit func(*workflowv1.Payload) error) (err error) {
	if payload, ok := m.Interface().(*workflowv1.Payload); ok {
		return visit(payload)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				return true
			}
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = VisitPayloads(v.Message(), visit)
				return err == nil
			})
		case fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = VisitPayloads(v.List().Get(i).Message(), visit)
			}
		default:
			err = VisitPayloads(v.Message(), visit)
		}
		return err == nil
	})
	return err
}
