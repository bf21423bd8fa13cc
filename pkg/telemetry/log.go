// Package telemetry sets up what a process tells about itself: log records, metrics and, where a collector is configured, traces.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// Log levels and formats, as they are spelled in the configuration.
var (
	Levels  = []string{"debug", "info", "warn", "error"}
	Formats = []string{"text", "json"}
)

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// NewLogger returns a logger that writes to w. level is one of Levels ("" means info), format one of Formats ("" means text). Records
// logged with the context of a traced call carry its trace_id and span_id.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	if level == "" {
		level = "info"
	}
	severity, ok := levels[level]
	if !ok {
		return nil, fmt.Errorf("log level %q is none of debug, info, warn, error%s", level, nearest.Hint(level, Levels))
	}
	options := &slog.HandlerOptions{Level: severity}
	switch format {
	case "", "text":
		return slog.New(traced{slog.NewTextHandler(w, options)}), nil
	case "json":
		return slog.New(traced{slog.NewJSONHandler(w, options)}), nil
	default:
		return nil, fmt.Errorf("log format %q is none of text, json%s", format, nearest.Hint(format, Formats))
	}
}

// traced adds the trace of the context, so that a log line leads to its trace and back.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
