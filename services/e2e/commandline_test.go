package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// commandLine is the binary as a client of a running suite.
type commandLine struct{ config string }

func newCommandLine(t *testing.T, w *world) commandLine {
	t.Helper()
	var text strings.Builder
	text.WriteString("services:\n")
	for _, service := range suite.Services {
		fmt.Fprintf(&text, "  %s: {address: %q}\n", service, w.Address(service))
	}
	c := commandLine{config: filepath.Join(t.TempDir(), "client.yaml")}
	if err := os.WriteFile(c.config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a command, checks its exit code, and returns what it said on either output.
func (c commandLine) run(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out := runBinary(t, append(args, "--config", c.config)...)
	if got != code {
		t.Errorf("signalbox %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// runBinary runs the binary to its end.
func runBinary(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.CommandContext(within(t), programs.signalbox, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}
