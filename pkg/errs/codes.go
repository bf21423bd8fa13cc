package errs

//go:generate go run ./internal/gendocs

import (
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// reasonCodes holds what the enum's values declare with the grpc_code option.
var reasonCodes = readReasonCodes()

func readReasonCodes() map[errorsv1.ErrorReason]codes.Code {
	declared := map[errorsv1.ErrorReason]codes.Code{}
	values := errorsv1.ErrorReason(0).Descriptor().Values()
	for i := range values.Len() {
		value := values.Get(i)
		if !proto.HasExtension(value.Options(), errorsv1.E_GrpcCode) {
			continue
		}
		number := proto.GetExtension(value.Options(), errorsv1.E_GrpcCode).(code.Code)
		declared[errorsv1.ErrorReason(value.Number())] = codes.Code(number)
	}
	return declared
}
