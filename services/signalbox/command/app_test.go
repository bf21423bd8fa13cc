package command_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/signalbox/command"
)

func TestUnknownCommandsNameTheNearMatch(t *testing.T) {
	term := newTerminal(t)
	term.run(t.Context(), "rnu").want(t, 2, `there is no command "signalbox rnu"; did you mean "run"?`, "see signalbox --help")
	term.run(t.Context(), "workflow", "aply", "x.yaml").want(t, 2, `did you mean "apply"?`, "see signalbox workflow --help")
	term.run(t.Context(), "run", "get").want(t, 2, "RUN is missing", "see signalbox run get --help")
	term.run(t.Context(), "run", "get", "a", "b").want(t, 2, `"b" was given too`)
	term.run(t.Context(), "run", "list", "--fliter", "x").want(t, 2, `unknown flag: --fliter; did you mean "--filter"?`, "see signalbox run list --help")
	term.run(t.Context(), "version", "-o", "yaml").want(t, 2, `"yaml" is none of table, json`)
	term.run(t.Context(), "run").want(t, 0, "A run is one execution of a workflow", "watch       Follow a run")
}

// What a flag takes is said in plain words, and not in those of the library that parses it.
func TestValuesOfFlagsAreRefusedInPlainWords(t *testing.T) {
	term := newTerminal(t)
	for _, wrong := range []struct {
		says string
		args []string
	}{
		{`--after: "-1" is not a whole number from 0 on`, []string{"event", "watch", "--after", "-1"}},
		{`--count: "many" is not a whole number`, []string{"event", "watch", "--count", "many"}},
		{`--page-size: "99999999999" is not a whole number from -2147483648 to 2147483647`, []string{"run", "list", "--page-size", "99999999999"}},
		{`--every: "often" is not a duration, such as 10s or 5m`, []string{"schedule", "put", "a", "b", "--every", "often"}},
		{`--paused: "maybe" is not true or false`, []string{"schedule", "put", "a", "b", "--paused=maybe"}},
	} {
		result := term.run(t.Context(), wrong.args...)
		result.want(t, 2, wrong.says, "--help")
		if strings.Contains(result.err, "strconv") || strings.Contains(result.err, "parsing") {
			t.Errorf("it leaks: %s", result.err)
		}
	}
	term.run(t.Context(), "schedule", "put").want(t, 2, "SCHEDULE and WORKFLOW are missing")
}

// An @ without a version is a variable that is not set, and does not mean the highest.
func TestAnAtWithoutAVersionIsRefused(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	for _, args := range [][]string{
		{"run", "start", "hello@"}, {"run", "start", "hello@ ", "--dry-run"}, {"schedule", "put", "nightly", "hello@", "--every", "5m"},
		{"workflow", "show", "hello@"}, {"workflow", "graph", "hello@"}, {"workflow", "diff", "hello@", "hello@2.0.0"},
	} {
		term.to(suite, args...).want(t, 2, "has no version behind the @")
	}
	if len(suite.requests) > 0 {
		t.Errorf("asked: %v", suite.requests)
	}
}

func TestErrorsForProgramsAreJSON(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("GetRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run").With("near", "run-1").Field("run_id", "no run"))
	result := term.to(suite, "run", "get", "run-2", "-o", "json")
	var told struct {
		Error struct {
			Reason, Message string
			Exit            int
			Metadata        map[string]string
			Fields          []struct{ Field, Problem string }
		}
	}
	if err := json.Unmarshal([]byte(result.err), &told); err != nil {
		t.Fatalf("%v in %s", err, result.err)
	}
	e := told.Error
	if result.code != 3 || e.Exit != 3 || e.Reason != "RUN_NOT_FOUND" || e.Metadata["near"] != "run-1" || len(e.Fields) != 1 || result.out != "" {
		t.Errorf("code %d, stdout %q, error %+v", result.code, result.out, e)
	}
}

// An error that nobody planned for shows a hash that is in the server's log, and no text of a driver.
func TestInternalErrorsKeepTheirSecrets(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	result := term.to(suite, "run", "get", "run-1") // the fake fails with a plain error
	result.want(t, 1, "internal error", "look this hash up in the server's log")
	if strings.Contains(result.err, "the test put in") || strings.Contains(result.err, "rpc error") {
		t.Errorf("it leaks: %s", result.err)
	}
}

func TestVersion(t *testing.T) {
	term := newTerminal(t)
	term.run(t.Context(), "version").want(t, 0, "signalbox 1.2.3 (go1.")
	term.run(t.Context(), "version", "-o", "json").want(t, 0, `"version": "1.2.3"`)
}

// Every command that does something explains itself: in a line, with an example that uses it, and with a word for each flag.
func TestEveryCommandExplainsItself(t *testing.T) {
	app := &command.App{Version: "1", In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Clock: stopped{}}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s has no short help", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.HasSubCommands() && cmd.Long == "" {
			t.Errorf("%s does not say what it is about", cmd.CommandPath())
		}
		for _, member := range cmd.Commands() {
			visit(member)
		}
	}
	visit(app.Tree())
}
