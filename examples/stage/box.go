package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// Box is a demonstration's Signalbox with what stands beside it, in a folder that goes with it.
type Box struct {
	// Page that is told.
	Page *Page
	// Dir holds data, logs and programs. It is there when the first scene begins.
	Dir string
	// Bin holds the programs once Build has returned.
	Bin string
	// Suite runs once StartSuite has returned.
	Suite *suite.Suite

	name string
	opts Options
	read *Reader
	ends []func() error
}

// NewBox makes the box of a demonstration of that name.
func NewBox(page *Page, name string, opts Options) *Box {
	return &Box{Page: page, name: name, opts: opts}
}

// errInterrupted is the error of a reader who has seen enough.
var errInterrupted = errors.New("interrupted; everything that was started has ended")

// Play plays scenes one after the other until one fails. Then everything that was started is ended, and the folder removed, unless it is to be kept
// or can tell why a scene failed.
func (b *Box) Play(ctx context.Context, scenes ...func(context.Context) error) error {
	err := b.play(ctx, scenes)
	keep := b.opts.Keep || err != nil
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		err, keep = errInterrupted, b.opts.Keep
	}
	if err = errors.Join(err, b.close(keep)); err != nil {
		b.Page.Print("\n") // what the program says of it stands apart from the page
	}
	return err
}

func (b *Box) play(ctx context.Context, scenes []func(context.Context) error) (err error) {
	if b.Dir, err = os.MkdirTemp("", "signalbox-"+b.name+"-"); err != nil {
		return err
	}
	for _, scene := range scenes {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AtEnd says what is done when the demonstration is over. What was begun last is ended first.
func (b *Box) AtEnd(end func() error) { b.ends = append(b.ends, end) }

// Go lets somebody work until the demonstration is over.
func (b *Box) Go(work func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { work(ctx) })
	b.AtEnd(func() error {
		stop()
		working.Wait()
		return nil
	})
}

func (b *Box) close(keep bool) error {
	var all []error
	for _, end := range slices.Backward(b.ends) {
		all = append(all, end())
	}
	switch {
	case b.Dir == "":
	case keep:
		b.Page.Print(fmt.Sprintf("\nData and logs stay in %s\n", b.Dir))
	default:
		all = append(all, os.RemoveAll(b.Dir))
	}
	return errors.Join(all...)
}

// Build builds signalbox, and those programs of the module that are named by their packages. With --bin they are looked for there.
func (b *Box) Build(ctx context.Context, programs ...string) (err error) {
	names := []string{"signalbox"}
	for _, pkg := range programs {
		names = append(names, filepath.Base(pkg))
	}
	if b.opts.Bin != "" {
		if b.Bin, err = filepath.Abs(b.opts.Bin); err != nil {
			return err
		}
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(b.Bin, name)); err != nil {
				return fmt.Errorf("--bin wants a folder with %s: %w", strings.Join(names, " and "), err)
			}
		}
		return nil
	}
	b.Bin = filepath.Join(b.Dir, "bin")
	if err := os.Mkdir(b.Bin, 0o750); err != nil {
		return err
	}
	began := b.Page.Age()
	if _, err := suite.Build(ctx, b.Bin); err != nil {
		return err
	}
	for _, pkg := range programs {
		if _, err := suite.BuildProgram(ctx, b.Bin, pkg); err != nil {
			return err
		}
	}
	b.Page.Line("built in %s: %s", Took(b.Page.Age()-began), strings.Join(names, ", "))
	return nil
}

// Start starts a program, which gets the box's folder, and waits until it is ready.
func (b *Box) Start(ctx context.Context, p *Program) error {
	p.Dir = b.Dir
	b.AtEnd(func() error {
		p.Stop()
		return nil
	})
	return p.Start(ctx)
}

// Serve starts a program of Bin that serves MCP at one address and its control endpoint at another, and waits until it is ready. It returns the
// URLs of both.
func (b *Box) Serve(ctx context.Context, name string, args ...string) (_ *Program, mcp, control string, err error) {
	addrs, err := suite.Addresses(2)
	if err != nil {
		return nil, "", "", err
	}
	p := &Program{
		Name: name, Path: filepath.Join(b.Bin, name), Health: "http://" + addrs[1] + "/healthz",
		Args: append([]string{"--http", addrs[0], "--control", addrs[1]}, args...),
	}
	return p, "http://" + addrs[0] + "/mcp", "http://" + addrs[1], b.Start(ctx, p)
}

// StartSuite starts Signalbox with some more configuration, and returns it as it is seen in a namespace.
func (b *Box) StartSuite(ctx context.Context, config, namespace string) (*Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	began := b.Page.Age()
	s, err := suite.Start(ctx, suite.Options{Binary: filepath.Join(b.Bin, "signalbox"), Dir: b.Dir, Topology: b.opts.Topology, Config: config})
	if err != nil {
		return nil, err
	}
	b.Suite = s
	b.AtEnd(s.Stop)
	b.Page.Line("Signalbox is ready after %s, with embedded etcd and SQLite in a fresh folder: %s", Took(b.Page.Age()-began), b.Cast())
	b.read, err = NewReader(s, namespace)
	return b.read, err
}

// Register hands a definition over, which must be clean.
func (b *Box) Register(ctx context.Context, file string, source []byte) error {
	registered, err := b.read.Apply(ctx, file, source)
	if err != nil {
		return err
	}
	def, findings := registered.GetDefinition(), registered.GetFindings()
	b.Page.Line("workflow %s/%s %s is checked and registered: %s", def.GetNamespace(), def.GetName(), def.GetVersion(),
		Count(len(findings), "finding", "findings"))
	if len(findings) > 0 {
		return fmt.Errorf("%s is not clean: %v", file, findings)
	}
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

// Work lets scripted agents work until the demonstration is over, by gRPC. Each worker has one task at a time.
func (b *Box) Work(namespace, name string, mind agent.Mind, workers ...string) error {
	conn, err := b.Suite.Conn("gateway")
	if err != nil {
		return err
	}
	for _, worker := range workers {
		w := &agent.Worker{Name: worker, Door: &agent.GRPC{Conn: conn, Namespace: namespace, Agent: name}, Mind: mind, Log: quiet}
		b.Go(w.Run)
	}
	return nil
}
