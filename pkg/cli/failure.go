package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// failure is an error as programs get it.
type failure struct {
	Reason     string            `json:"reason,omitempty"`
	Code       string            `json:"code"`
	Message    string            `json:"message"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Fields     []failedField     `json:"fields,omitempty"`
	RetryAfter string            `json:"retry_after,omitempty"`
	Exit       int               `json:"exit"`
}

type failedField struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// Fail writes an error to standard error and returns the exit code for it: for people the message and its reason, which docs/errors.md
// explains; for programs {"error": {...}}. It writes nothing for nil and for WithExit without an error.
func (o *Output) Fail(err error) int {
	code := ExitCode(err)
	var explicit *exitError
	if err == nil || (errors.As(err, &explicit) && explicit.err == nil) {
		return code
	}
	f := describe(err)
	f.Exit = code
	if o.json {
		text, marshalErr := json.Marshal(map[string]failure{"error": f})
		if marshalErr == nil {
			fmt.Fprintln(o.err, string(text))
		}
		return code
	}
	// The lines of a message, such as the problems of a file, stay lines.
	lines := strings.Split(f.Message, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	text := "error: " + strings.Join(lines, "\n")
	if f.Reason != "" && f.Reason != "INVALID_ARGUMENT" {
		text += " [" + f.Reason + "]"
	}
	fmt.Fprintln(o.err, text)
	return code
}

func describe(err error) failure {
	found, ok := errs.From(err)
	if !ok {
		return failure{Code: errs.CodeOf(err).String(), Message: plainMessage(err)}
	}
	f := failure{Reason: errs.ReasonName(found.Reason()), Code: errs.CodeOf(found).String(), Message: found.Error(), Metadata: found.Metadata()}
	for _, violation := range found.Fields() {
		f.Fields = append(f.Fields, failedField{Field: violation.Field, Problem: violation.Problem})
	}
	if found.Delay() > 0 {
		f.RetryAfter = found.Delay().String()
	}
	return f
}

// plainMessage leaves out gRPC's own way of printing a status.
func plainMessage(err error) string {
	switch errs.CodeOf(err) {
	case codes.DeadlineExceeded:
		return "the time was over before the answer came"
	case codes.Canceled:
		return "interrupted"
	default:
		return err.Error()
	}
}
