package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output returns an Output and what it wrote to each side.
func output(t *testing.T, format string) (o *Output, out, err *bytes.Buffer) {
	t.Helper()
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	o, problem := NewOutput(out, err, format)
	if problem != nil {
		t.Fatal(problem)
	}
	return o, out, err
}

// terminal is output as on a terminal.
func terminal(t *testing.T) (o *Output, out, err *bytes.Buffer) {
	o, out, err = output(t, "table")
	o.outTTY, o.errTTY, o.color = true, true, true
	return o, out, err
}

func runs() Table {
	return Table{Columns: []string{"run", "status"}, Rows: [][]string{{"case-1", "done"}, {"größer-17", "x"}, {"short"}}, Empty: "no runs"}
}

func TestTableColumnsAreAligned(t *testing.T) {
	o, out, _ := output(t, "")
	if err := o.Print(nil, runs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("RUN        STATUS\ncase-1     done\ngrößer-17  x\nshort\n", out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := o.Print(nil, func() Table { return Table{Columns: []string{"a"}, Empty: "no runs"} }); err != nil || out.String() != "no runs\n" {
		t.Errorf("an empty table: %q, %v", out, err)
	}
}

func TestColourIsForTerminalsAndDoesNotShiftColumns(t *testing.T) {
	styled := func(o *Output) func() Table {
		return func() Table {
			return Table{Columns: []string{"a", "b"}, Rows: [][]string{{o.Styled(Good, "ok"), "1"}, {"longer", "2"}}}
		}
	}
	o, out, _ := terminal(t)
	if err := o.Print(nil, styled(o)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("\x1b[1mA       B\x1b[0m\n\x1b[32mok\x1b[0m      1\nlonger  2\n", out.String()); diff != "" {
		t.Error(diff)
	}
	o, out, _ = output(t, "table")
	if err := o.Print(nil, styled(o)); err != nil || strings.Contains(out.String(), "\x1b") {
		t.Errorf("a pipe got %q, %v", out, err)
	}
}

// Text of agents and tools reaches people's terminals.
func TestForeignTextCannotMoveTheCursor(t *testing.T) {
	for _, evil := range []string{"\x1b[2J\x1b[H", "a\nb", "a\rb", "\x1b]0;title\a", "\x1b[32m\x1b[2Jx\x1b[0m", "\x9b31m"} {
		o, out, err := terminal(t)
		o.color = false
		if problem := o.Print(nil, func() Table { return Table{Columns: []string{"c"}, Rows: [][]string{{evil}}} }); problem != nil {
			t.Fatal(problem)
		}
		if problem := o.Line(nil, func() []string { return []string{evil} }); problem != nil {
			t.Fatal(problem)
		}
		o.Note("%s", evil)
		o.Fail(errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "%s", strings.ReplaceAll(evil, "\n", "")))
		if text := out.String() + err.String(); strings.ContainsAny(text, "\x1b\r\a") || strings.Contains(text, "\x9b") || strings.Count(text, "\n") != 5 {
			t.Errorf("%q came out as %q", evil, text)
		}
	}
}

func TestJSONIsTheContractAndStable(t *testing.T) {
	o, out, _ := output(t, "json")
	message := &errdetails.ErrorInfo{Reason: "R", Metadata: map[string]string{"b": "2", "a": "1"}}
	for range 20 {
		out.Reset()
		if err := o.Print(message, func() Table { t.Error("the table was made"); return Table{} }); err != nil {
			t.Fatal(err)
		}
		want := "{\n  \"reason\": \"R\",\n  \"domain\": \"\",\n  \"metadata\": {\n    \"a\": \"1\",\n    \"b\": \"2\"\n  }\n}\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Fatal(diff)
		}
	}
	out.Reset()
	if err := o.Line(message, nil); err != nil || out.String() != `{"reason":"R","domain":"","metadata":{"a":"1","b":"2"}}`+"\n" {
		t.Errorf("a line: %q, %v", out, err)
	}
	out.Reset()
	if err := o.Print(map[string]int{"n": 1}, nil); err != nil || out.String() != "{\n  \"n\": 1\n}\n" {
		t.Errorf("a plain value: %q, %v", out, err)
	}
}

func TestUnknownFormatIsRefusedWithTheNearMatch(t *testing.T) {
	_, err := NewOutput(&bytes.Buffer{}, &bytes.Buffer{}, "jsno")
	if ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), `did you mean "json"?`) {
		t.Errorf("got %v", err)
	}
}

func TestProgressRewritesItsLineOnlyOnATerminal(t *testing.T) {
	say := func(o *Output) {
		p := o.Progress()
		p.Set("case %d of 3", 1)
		p.Set("case %d of 3", 1)
		p.Set("case %d\nof 3", 2)
		p.Done()
		p.Done()
	}
	o, _, err := terminal(t)
	say(o)
	if diff := cmp.Diff("\r\x1b[Kcase 1 of 3\r\x1b[Kcase 2 of 3\r\x1b[K", err.String()); diff != "" {
		t.Error(diff)
	}
	o, _, err = output(t, "table")
	say(o)
	if diff := cmp.Diff("case 1 of 3\ncase 2 of 3\n", err.String()); diff != "" {
		t.Error(diff)
	}
	o, out, err := output(t, "json")
	say(o)
	if out.Len()+err.Len() != 0 {
		t.Errorf("JSON output got %q %q", out, err)
	}
}

func TestExitCodes(t *testing.T) {
	reason := func(r errorsv1.ErrorReason) error { return fmt.Errorf("wrapped: %w", errs.New(r, "m")) }
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{reason(errorsv1.ErrorReason_ERROR_REASON_INTERNAL), 1},
		{reason(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN), 1},
		{reason(errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT), 2},
		{reason(errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID), 2},
		{reason(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND), 3},
		{reason(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID), 4},
		{reason(errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED), 4},
		{reason(errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE), 4},
		{reason(errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED), 4},
		{reason(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE), 5},
		{reason(errorsv1.ErrorReason_ERROR_REASON_DRAINING), 5},
		{WithExit(ExitRunFailed, nil), 6},
		{fmt.Errorf("x: %w", WithExit(ExitRunFailed, reason(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE))), 6},
		{context.DeadlineExceeded, 7},
		{context.Canceled, 130},
		{errs.Sealed(context.Canceled), 130},
	} {
		if got := ExitCode(test.err); got != test.want {
			t.Errorf("ExitCode(%v) = %d, want %d", test.err, got, test.want)
		}
	}
}

func TestFailTellsPeopleAndPrograms(t *testing.T) {
	refusal := errs.New(errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN, "open").With("server", "desk").RetryAfter(time.Second)
	problems := errs.New(errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "2 problems:\na: x\nb: y").Field("a", "x")
	for _, test := range []struct {
		format string
		err    error
		want   string
	}{
		{"table", refusal, "error: open [BREAKER_OPEN]\n"},
		{"table", problems, "error: 2 problems:\na: x\nb: y\n"},
		{"table", errors.New("plain"), "error: plain\n"},
		{"table", errs.Sealed(context.DeadlineExceeded), "error: the time was over before the answer came\n"},
		{"table", nil, ""},
		{"table", WithExit(ExitRunFailed, nil), ""},
		{"table", WithExit(ExitRunFailed, errors.New("run failed")), "error: run failed\n"},
		{"json", refusal, `{"error":{"reason":"BREAKER_OPEN","code":"Unavailable","message":"open","metadata":{"server":"desk"},"retry_after":"1s","exit":5}}` + "\n"},
		{"json", problems, `{"error":{"reason":"INVALID_ARGUMENT","code":"InvalidArgument","message":"2 problems:\na: x\nb: y","fields":[{"field":"a","problem":"x"}],"exit":2}}` + "\n"},
	} {
		o, out, err := output(t, test.format)
		code := o.Fail(test.err)
		if diff := cmp.Diff(test.want, err.String()); diff != "" || out.Len() != 0 || code != ExitCode(test.err) {
			t.Errorf("Fail(%v): %s, standard output %q, code %d", test.err, diff, out, code)
		}
	}
}

func TestNotesAreForPeople(t *testing.T) {
	o, out, err := output(t, "table")
	o.Note("read %s", "x")
	if out.Len() != 0 || err.String() != "read x\n" {
		t.Errorf("got %q %q", out, err)
	}
	o, out, err = output(t, "json")
	o.Note("read %s", "x")
	if out.Len()+err.Len() != 0 {
		t.Errorf("programs got %q %q", out, err)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 850 * time.Millisecond: "850ms", 12900 * time.Millisecond: "12s", 200 * time.Second: "3m20s", 3 * time.Minute: "3m",
		125 * time.Minute: "2h5m", 99 * time.Hour: "4d3h", 48 * time.Hour: "2d", -90 * time.Second: "-1m30s",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}
