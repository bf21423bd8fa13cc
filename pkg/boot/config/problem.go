package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	// Path of the setting, for example "servers.retail.http.url"; empty for a problem of the whole file.
	Path string
	// Origin says where the value came from: "signalbox.yaml:12", "SIGNALBOX_LISTEN_GRPC", "--listen-grpc" or "default".
	Origin string
	// Message says what is wrong and how to mend it.
	Message string
}

// String returns origin, path and message on one line.
func (p Problem) String() string {
	parts := []string{p.Origin, p.Path, p.Message}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// report collects problems, so that all are told at once.
type report struct{ problems []Problem }

func (r *report) add(path, origin, format string, args ...any) {
	r.problems = append(r.problems, Problem{Path: path, Origin: origin, Message: fmt.Sprintf(format, args...)})
}

// err returns all problems as one INVALID_ARGUMENT error with a line for each, or nil.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	lines := make([]string, 0, len(r.problems))
	for _, problem := range r.problems {
		lines = append(lines, problem.String())
	}
	err := errs.New(errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "the configuration has %s:\n%s", count(len(lines)), strings.Join(lines, "\n"))
	for _, problem := range r.problems {
		err = err.Field(problem.Path, problem.Message)
	}
	return err
}

func count(n int) string {
	if n == 1 {
		return "a problem"
	}
	return fmt.Sprintf("%d problems", n)
}

// inOrder sorts problems by the line of the file, and those of other origins after them by path.
func (r *report) inOrder(line func(origin string) int) {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(line(a.Origin), line(b.Origin)), cmp.Compare(a.Path, b.Path))
	})
}
