package core

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// VisitPayloads calls visit with every payload in a message, however deep, until visit fails; it returns that error.
func VisitPayloads(m protoreflect.Message, visit func(*workflowv1.Payload) error) error {
	return visitEach(m, visit)
}

// visitEach calls visit with every message of a type in a message, but for those in one that was visited.
func visitEach[M proto.Message](m protoreflect.Message, visit func(M) error) (err error) {
	if found, ok := m.Interface().(M); ok {
		return visit(found)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				return true
			}
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = visitEach(v.Message(), visit)
				return err == nil
			})
		case fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = visitEach(v.List().Get(i).Message(), visit)
			}
		default:
			err = visitEach(v.Message(), visit)
		}
		return err == nil
	})
	return err
}
