package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// TestTour pastes what docs/tour.md says, block by block, into a shell: a page of commands that do not work is worse than none.
func TestTour(t *testing.T) {
	if os.Getenv(topologyVariable) == string(suite.ProcessPerService) {
		t.Skip("the page starts everything in one process")
	}
	w := startWorld(t, suite.OneProcess, "")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "tour.md"))
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(programs.signalbox, filepath.Join(bin, "signalbox")); err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```sh\n")[1:]
	if len(blocks) < 8 {
		t.Fatalf("the page has %d blocks of commands", len(blocks))
	}
	for _, block := range blocks {
		commands, _, _ := strings.Cut(block, "```")
		paste(t, commands, bin, w.Address("gateway"))
	}
}

// paste runs a block line by line, each until it works or its time is over: a person who pastes is slower than a run that is just coming
// to where the next command finds it.
func paste(t *testing.T, commands, bin, address string) {
	t.Helper()
	var before strings.Builder // assignments, for the lines that follow
	for line := range strings.Lines(commands) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "=$(") {
			before.WriteString(line + "\n")
			continue
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			cmd := exec.CommandContext(ctx, "bash", "-ec", before.String()+line)
			cmd.Dir = filepath.Join("..", "..")
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SIGNALBOX_ADDRESS="+address)
			out, err := cmd.CombinedOutput()
			cancel()
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s\n%v\n%s", line, err, out)
			}
			<-time.After(100 * time.Millisecond)
		}
	}
}
