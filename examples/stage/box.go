package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/examples/support-desk/agent"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// Box is a demonstration's Signalbox with what stands beside it, in a folder that goes with it.
type Box struct {
	// Page that is told.
	Page *Page
	// Dir holds data, logs and programs.
	Dir string
	// Bin holds the programs.
	Bin string
	// Suite runs once StartSuite has returned.
	Suite *suite.Suite

	programs []*Program
	workers  sync.WaitGroup
	stop     []context.CancelFunc
}

// Open makes the folder and builds the programs of the module that are named by their packages, and signalbox. With bin they are taken from
// there.
func Open(ctx context.Context, page *Page, name, bin string, programs ...string) (_ *Box, err error) {
	b := &Box{Page: page}
	if b.Dir, err = os.MkdirTemp("", "signalbox-"+name+"-"); err != nil {
		return nil, err
	}
	if bin != "" {
		b.Bin, err = filepath.Abs(bin)
		return b, err
	}
	b.Bin = filepath.Join(b.Dir, "bin")
	if err := os.Mkdir(b.Bin, 0o750); err != nil {
		return b, err
	}
	began, names := page.Age(), []string{"signalbox"}
	if _, err := suite.Build(ctx, b.Bin); err != nil {
		return b, err
	}
	for _, pkg := range programs {
		if _, err := suite.BuildProgram(ctx, b.Bin, pkg); err != nil {
			return b, err
		}
		names = append(names, filepath.Base(pkg))
	}
	page.Line("%s are built (%s)", strings.Join(names, " and "), Took(page.Age()-began))
	return b, nil
}

// Run starts a program of Bin that serves MCP at one address and its control endpoint at another, and waits until it is ready. It returns the
// URLs of both.
func (b *Box) Run(ctx context.Context, name string, args ...string) (_ *Program, mcp, control string, err error) {
	addrs, err := suite.Addresses(2)
	if err != nil {
		return nil, "", "", err
	}
	p := &Program{
		Name: name, Path: filepath.Join(b.Bin, name), Dir: b.Dir, Health: "http://" + addrs[1] + "/healthz",
		Args: append([]string{"--http", addrs[0], "--control", addrs[1]}, args...),
	}
	b.programs = append(b.programs, p)
	return p, "http://" + addrs[0] + "/mcp", "http://" + addrs[1], p.Start(ctx)
}

// StartSuite starts Signalbox with some more configuration.
func (b *Box) StartSuite(ctx context.Context, topology suite.Topology, config string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	began := b.Page.Age()
	s, err := suite.Start(ctx, suite.Options{Binary: filepath.Join(b.Bin, "signalbox"), Dir: b.Dir, Topology: topology, Config: config})
	if err != nil {
		return err
	}
	b.Suite = s
	b.Page.Line("Signalbox is ready after %s, with embedded etcd and SQLite in a fresh folder: %s", Took(b.Page.Age()-began), b.Cast())
	return nil
}

// Cast names the processes of the suite.
func (b *Box) Cast() string {
	var names []string
	for _, p := range b.Suite.Processes() {
		names = append(names, fmt.Sprintf("%s (pid %d)", p.Name, p.PID()))
	}
	return strings.Join(names, ", ")
}

// Crash kills every process of the suite at once with SIGKILL, and starts all again. It returns how long that took until they were ready.
func (b *Box) Crash(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var pids []string
	for _, p := range b.Suite.Processes() {
		pids = append(pids, fmt.Sprint(p.PID()))
	}
	b.Suite.KillAll()
	b.Page.Line("%s", b.Page.Bold("kill -9 "+strings.Join(pids, " ")+": the whole of Signalbox is gone"))
	began := b.Page.Age()
	err := b.Suite.StartAll(ctx)
	return b.Page.Age() - began, err
}

// quiet is the log of agents: what they do is read from the runs.
var quiet = slog.New(slog.DiscardHandler)

// Work lets scripted agents work until the end, over gRPC. Each worker has one task at a time.
func (b *Box) Work(namespace, name string, mind agent.Mind, workers ...string) error {
	conn, err := b.Suite.Conn("gateway")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = append(b.stop, stop)
	for _, worker := range workers {
		w := &agent.Worker{Name: worker, Door: &agent.GRPC{Conn: conn, Namespace: namespace, Agent: name}, Mind: mind, Log: quiet}
		b.workers.Go(func() { w.Run(ctx) })
	}
	return nil
}

// Close ends everything that was started and removes the folder, unless it is to be kept.
func (b *Box) Close(keep bool) error {
	for _, stop := range b.stop {
		stop()
	}
	b.workers.Wait()
	var all []error
	if b.Suite != nil {
		all = append(all, b.Suite.Stop())
	}
	for _, p := range b.programs {
		p.Stop()
	}
	if keep {
		b.Page.Print(fmt.Sprintf("\nData and logs stay in %s\n", b.Dir))
	} else {
		all = append(all, os.RemoveAll(b.Dir))
	}
	return errors.Join(all...)
}
