package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Program is a process beside the suite that can be killed and started again: the desk, an agent.
type Program struct {
	// Name is that of its log in Dir.
	Name string
	// Path of the executable.
	Path string
	// Args it is started with, each time.
	Args []string
	// Dir it runs in.
	Dir string
	// Health is a URL that answers 200 once it is ready. Empty: it is at once.
	Health string

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	stopped bool // ended by our own hand
	revive  func(status int)
}

// Start starts it and waits until it is ready.
func (p *Program) Start(ctx context.Context) error {
	if err := p.Spawn(); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}

// Spawn starts it, and does not wait until it is ready.
func (p *Program) Spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // our own program, which outlives any call
	cmd.Dir = p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(p.Dir, p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle of it
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.stopped = cmd, ended, false
	go func() {
		_ = cmd.Wait() // its status says more
		close(ended)
		p.mu.Lock()
		revive := p.revive
		if p.stopped || p.cmd != cmd {
			revive = nil
		}
		p.mu.Unlock()
		if revive != nil {
			revive(cmd.ProcessState.ExitCode())
		}
	}()
	return nil
}

// WhenItEnds sets what happens when it ends by itself.
func (p *Program) WhenItEnds(revive func(status int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revive = revive
}

// WaitReady waits until it is ready. It fails when the process ends, or ctx does.
func (p *Program) WaitReady(ctx context.Context) error {
	if p.Health == "" {
		return nil
	}
	for {
		err := healthy(ctx, p.Health)
		if err == nil {
			return nil
		}
		p.mu.Lock()
		ended := p.ended
		p.mu.Unlock()
		select {
		case <-ended:
			return fmt.Errorf("%s ended before it was ready; see %s", p.Name, filepath.Join(p.Dir, p.Name+".log"))
		default:
		}
		if clock.Sleep(ctx, clock.Real(), 20*time.Millisecond) != nil {
			return fmt.Errorf("%s is not ready: %w", p.Name, err)
		}
	}
}

func healthy(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // nothing in it is needed
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// PID of the process that runs or ran last.
func (p *Program) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill kills it with SIGKILL and waits until it is gone.
func (p *Program) Kill() { p.end(func(cmd *exec.Cmd) { _ = cmd.Process.Kill() }) }

// Stop ends it with SIGTERM, and with SIGKILL if that does not help.
func (p *Program) Stop() {
	p.end(func(cmd *exec.Cmd) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := clock.Real().NewTimer(5 * time.Second)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C():
			_ = cmd.Process.Kill()
		}
	})
}

func (p *Program) end(how func(*exec.Cmd)) {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.stopped = true
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	select {
	case <-ended:
		return
	default:
	}
	how(cmd)
	<-ended
}
