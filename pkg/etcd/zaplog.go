package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZap bridges etcd's logger to slog. etcd narrates its every step at info, which would drown the suite's own log: those
// records become debug, and etcd's own debug records are dropped.
func newZap(to *slog.Logger) *zap.Logger {
	if to == nil {
		return zap.NewNop()
	}
	return zap.New(&slogCore{to: to.Handler()}, zap.WithFatalHook(zapcore.WriteThenPanic))
}

// slogCore is a zapcore.Core that writes to a slog handler.
type slogCore struct{ to slog.Handler }

// expected are warnings and errors that every single embedded member gives at its start, and that nobody can act on: it opens
// no separate HTTP socket, has no authentication to sign tokens for, and is asked for its storage version before its first
// entry is applied (etcd asks again later).
var expected = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"simple token is not cryptographically signed":                                         true,
	"Failed to detect schema version":                                                      true,
	"failed to update storage version":                                                     true,
}

func slogLevel(entry zapcore.Entry) slog.Level {
	switch {
	case entry.Level < zapcore.WarnLevel, expected[entry.Message]:
		return slog.LevelDebug
	case entry.Level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// Enabled implements zapcore.LevelEnabler.
func (c *slogCore) Enabled(level zapcore.Level) bool {
	return level > zapcore.DebugLevel && c.to.Enabled(context.Background(), slogLevel(zapcore.Entry{Level: level}))
}

// With implements zapcore.Core.
func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{to: c.to.WithAttrs(attrsOf(fields))}
}

// Check implements zapcore.Core.
func (c *slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Level > zapcore.DebugLevel && c.to.Enabled(context.Background(), slogLevel(entry)) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry), "etcd: "+entry.Message, 0)
	record.AddAttrs(attrsOf(fields)...)
	return c.to.Handle(context.Background(), record)
}

// Sync implements zapcore.Core; slog handlers do not buffer.
func (c *slogCore) Sync() error { return nil }

func attrsOf(fields []zapcore.Field) []slog.Attr {
	encoder := zapcore.NewMapObjectEncoder()
	attrs := make([]slog.Attr, 0, len(fields))
	for _, field := range fields {
		field.AddTo(encoder)
		if value, ok := encoder.Fields[field.Key]; ok {
			attrs = append(attrs, slog.Any(field.Key, value))
		}
	}
	return attrs
}
