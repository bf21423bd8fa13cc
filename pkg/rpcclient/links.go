package rpcclient

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// links are what every call passes on its way out, over a socket or not: it gets its credentials, and errors that the transport
// made get a reason, so that callers decide by reasons alone.
type links struct {
	peer        string // for messages: "the lock service at 127.0.0.1:7411"
	credentials Credentials
}

func (l links) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return l.explain(invoke(l.sign(ctx), method, req, reply, conn, opts...))
}

func (l links) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(l.sign(ctx), desc, conn, method, opts...)
	if err != nil {
		return nil, l.explain(err)
	}
	return explainedStream{ClientStream: stream, links: l}, nil
}

func (l links) sign(ctx context.Context) context.Context {
	if l.credentials.APIKey == "" {
		return ctx
	}
	if own, _ := metadata.FromOutgoingContext(ctx); len(own.Get(authn.AuthorizationHeader)) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, authn.AuthorizationHeader, "Bearer "+l.credentials.APIKey)
}

// explain gives a reason to what has none. Errors of our servers have theirs, and the end of the caller's own context needs none.
func (l links) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, ours := errs.From(err); ours {
		return err
	}
	switch errs.CodeOf(err) {
	case codes.Unavailable:
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "%s cannot be reached", l.peer).CausedBy(err)
	case codes.ResourceExhausted:
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE, "a message to or from %s is too large", l.peer).CausedBy(err)
	default:
		return err
	}
}

type explainedStream struct {
	grpc.ClientStream
	links links
}

func (s explainedStream) SendMsg(m any) error { return s.links.explain(s.ClientStream.SendMsg(m)) }

func (s explainedStream) RecvMsg(m any) error { return s.links.explain(s.ClientStream.RecvMsg(m)) }

func (s explainedStream) Header() (metadata.MD, error) {
	header, err := s.ClientStream.Header()
	return header, s.links.explain(err)
}
