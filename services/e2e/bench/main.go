// Command bench measures what durability costs: raw MCP calls against durable steps that make the same calls, in one run on one machine.
//
// Raw and durable alternate for three rounds against the same tool server process, in the same wire era and session mode, with the same
// payload and the same GC settings on both clients; the tool server's own count of calls is printed for both. Ratios are the result;
// absolute figures depend on the machine and the hour.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// settings of one benchmark.
type settings struct {
	rounds   int
	span     time.Duration
	callers  int
	open     int
	runs     int
	resumes  int
	calls    int
	gogc     int
	only     string
	profile  string
	keepLogs bool
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "rounds of raw and durable in turn")
	flag.DurationVar(&s.span, "span", 5*time.Second, "length of a measurement")
	flag.IntVar(&s.callers, "callers", 32, "callers of the raw measurement")
	flag.IntVar(&s.open, "open", 64, "runs open at once in the durable measurement")
	flag.IntVar(&s.runs, "alone", 200, "runs measured one after the other")
	flag.IntVar(&s.resumes, "resumes", 1000, "runs open when everything is killed")
	flag.IntVar(&s.calls, "calls", 2000, "calls of one agent task, for the bytes of a commit")
	flag.IntVar(&s.gogc, "gogc", 400, "GOGC of every process, this one included")
	flag.StringVar(&s.only, "topology", "", "measure only this topology: one-process or process-per-service")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of the process that runs the scheduler to this file")
	flag.BoolVar(&s.keepLogs, "keep", false, "keep the folder with logs and data")
	flag.Parse()
	debug.SetGCPercent(s.gogc)
	_ = os.Setenv("GOGC", strconv.Itoa(s.gogc))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "signalbox-bench-")
	if err != nil {
		return err
	}
	if s.keepLogs {
		fmt.Println("folder:", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	fmt.Println("building the programs")
	binary, err := suite.Build(ctx, dir)
	if err != nil {
		return err
	}
	program, err := suite.BuildProgram(ctx, dir, "github.com/signalbox-dev/signalbox/examples/support-desk/noop")
	if err != nil {
		return err
	}
	tool, err := startTool(ctx, program)
	if err != nil {
		return err
	}
	defer tool.stop()
	fmt.Printf("tool server: no-op, streamable HTTP, session mode, JSON answers; GOGC=%d everywhere\n\n", s.gogc)
	for _, t := range []suite.Topology{suite.OneProcess, suite.ProcessPerService} {
		if s.only != "" && s.only != string(t) {
			continue
		}
		if err := measure(ctx, s, t, dir, binary, tool); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}
