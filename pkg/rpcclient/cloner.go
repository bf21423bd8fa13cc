package rpcclient

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// cloner copies messages between a caller and a handler of the same process, so that neither sees the other change one.
//
// grpchan asks for copies in two ways. A unary message is copied once, by Copy, straight into the receiver's: a deep copy by
// proto.Merge, about a third of the cost of marshalling and back, and of grpchan's default, which goes through dynamic messages.
// A streamed message is cloned by the sender and copied again by the receiver; the second time nobody else knows the clone, so
// its content is moved instead of copied.
type cloner struct{}

// handedOver is a clone that belongs to its receiver.
type handedOver struct{ message proto.Message }

func (cloner) Clone(in any) (any, error) {
	message, ok := in.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", in)
	}
	return &handedOver{message: proto.Clone(message)}, nil
}

func (cloner) Copy(out, in any) error {
	target, ok := out.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", out)
	}
	if handed, ok := in.(*handedOver); ok {
		return move(target, handed.message)
	}
	source, ok := in.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", in)
	}
	if err := sameType(target, source); err != nil {
		return err
	}
	proto.Reset(target)
	proto.Merge(target, source)
	return nil
}

// move takes over the fields of source, whose owner has let go of it.
func move(target, source proto.Message) error {
	to, from := reflect.ValueOf(target), reflect.ValueOf(source)
	if to.Type() == from.Type() && to.Kind() == reflect.Pointer {
		to.Elem().Set(from.Elem())
		return nil
	}
	if err := sameType(target, source); err != nil { // a dynamic message on one side
		return err
	}
	proto.Reset(target)
	proto.Merge(target, source)
	return nil
}

// sameType keeps proto.Merge from panicking.
func sameType(target, source proto.Message) error {
	want, got := target.ProtoReflect().Descriptor(), source.ProtoReflect().Descriptor()
	if want != got {
		return fmt.Errorf("got a %s, want a %s", got.FullName(), want.FullName())
	}
	return nil
}
