package rpcserver

import (
	"context"
	"log/slog"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// handlingBuckets reach from an in-process call to a long poll, in seconds.
var handlingBuckets = []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 60}

func countCalls(registry prometheus.Registerer) (interceptor, error) {
	metrics := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(handlingBuckets)))
	if err := registry.Register(metrics); err != nil {
		return interceptor{}, err
	}
	return interceptor{
		name:   "metrics",
		reason: "outermost, so that every call is counted with the code its client gets, whoever refused it",
		unary:  metrics.UnaryServerInterceptor(),
		stream: metrics.StreamServerInterceptor(),
	}, nil
}

type startKey struct{}

// logCalls logs failed calls by their code and successful ones at debug level. The middleware builds its fields for every call,
// logged or not; so calls enter it only when there is something to log, which is known once they have ended.
func logCalls(logger *slog.Logger) interceptor {
	sink := logging.LoggerFunc(func(ctx context.Context, level logging.Level, message string, fields ...any) {
		logger.Log(ctx, slog.Level(level), message, fields...)
	})
	options := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithLevels(func(code codes.Code) logging.Level { return logging.Level(levelOf(code)) }),
		logging.WithCodes(errs.CodeOf),
		logging.WithFieldsFromContextAndCallMeta(timesSince),
	}
	logUnary, logStream := logging.UnaryServerInterceptor(sink, options...), logging.StreamServerInterceptor(sink, options...)
	quiet := func(ctx context.Context, err error) bool { return !logger.Enabled(ctx, levelOf(errs.CodeOf(err))) }

	return interceptor{
		name:   "logging",
		reason: "sees the code and the message that the client gets, so outside of what masks them",
		inside: []string{"metrics"},
		unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			start := clock.Real().Now()
			resp, err := handler(ctx, req)
			if quiet(ctx, err) {
				return resp, err
			}
			ended := func(context.Context, any) (any, error) { return resp, err }
			return logUnary(context.WithValue(ctx, startKey{}, start), req, info, ended)
		},
		stream: func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			start := clock.Real().Now()
			err := handler(srv, stream)
			ctx := stream.Context()
			if quiet(ctx, err) {
				return err
			}
			ended := func(any, grpc.ServerStream) error { return err }
			return logStream(srv, withContext(context.WithValue(ctx, startKey{}, start), stream), info, ended)
		},
	}
}

// timesSince overrides the middleware's times, which are those of the logging itself.
func timesSince(ctx context.Context, _ interceptors.CallMeta) logging.Fields {
	start, ok := ctx.Value(startKey{}).(time.Time)
	if !ok {
		return nil
	}
	return logging.Fields{"grpc.start_time", start.Format(time.RFC3339Nano), "grpc.time_ms", float64(clock.Real().Now().Sub(start).Microseconds()) / 1000}
}

func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.OK:
		return slog.LevelDebug
	case codes.Internal, codes.DataLoss:
		return slog.LevelError
	case codes.Unknown, codes.Unimplemented, codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return slog.LevelWarn
	default: // the caller's to mend
		return slog.LevelInfo
	}
}
