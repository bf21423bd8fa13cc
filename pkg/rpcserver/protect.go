package rpcserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// maskErrors lets only errors with a reason out. What it hides is logged with the hash that the client gets. The error it returns
// is a bare status, so that a caller in the same process cannot see more than a remote one.
func maskErrors(logger *slog.Logger) interceptor {
	mask := func(ctx context.Context, method string, err error) error {
		if strings.HasPrefix(method, healthPrefix) {
			return err // its codes are the protocol of the probes
		}
		outgoing := errs.Internal(err)
		if hash, cause, masked := errs.Masked(outgoing); masked {
			logger.ErrorContext(ctx, "internal error", "hash", hash, "method", method, "error", cause)
		}
		return errs.Sealed(outgoing)
	}
	return interceptor{
		name:   "mask",
		reason: "outside of everything that can fail, panics included, and inside of what reports the outcome",
		inside: []string{"metrics", "logging"},
		unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			resp, err := handler(ctx, req)
			if err != nil {
				return nil, mask(ctx, info.FullMethod, err)
			}
			return resp, nil
		},
		stream: func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := handler(srv, stream); err != nil {
				return mask(stream.Context(), info.FullMethod, err)
			}
			return nil
		},
	}
}

// recoverPanics turns a panic into an internal error. The stack is logged here and not put into the error, whose hash would
// otherwise differ every time.
func recoverPanics(logger *slog.Logger) interceptor {
	handle := recovery.WithRecoveryHandlerContext(func(ctx context.Context, panicked any) error {
		method, _ := grpc.Method(ctx)
		logger.ErrorContext(ctx, "a handler panicked", "method", method, "panic", panicked, "stack", string(debug.Stack()))
		return fmt.Errorf("%s panicked: %v", method, panicked)
	})
	return interceptor{
		name:   "recovery",
		reason: "directly inside of mask, so that a panic anywhere further in is an internal error like others",
		inside: []string{"metrics", "logging", "mask"},
		unary:  recovery.UnaryServerInterceptor(handle),
		stream: recovery.StreamServerInterceptor(handle),
	}
}
