package main

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

// program is a process beside the suite that can be killed and started again: the desk, an agent.
type program struct {
	name   string
	path   string
	args   []string
	dir    string
	health string // URL that answers 200 once it is ready; empty: it is at once

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	stopped bool // ended by our own hand
	revive  func(status int)
}

// start starts it and waits until it is ready.
func (p *program) start(ctx context.Context) error {
	if err := p.spawn(); err != nil {
		return err
	}
	return p.waitReady(ctx)
}

func (p *program) spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // our own program, which outlives any call
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle of it
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
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

// whenItEnds sets what happens when it ends by itself.
func (p *program) whenItEnds(revive func(status int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revive = revive
}

func (p *program) waitReady(ctx context.Context) error {
	if p.health == "" {
		return nil
	}
	for {
		err := healthy(ctx, p.health)
		if err == nil {
			return nil
		}
		p.mu.Lock()
		ended := p.ended
		p.mu.Unlock()
		select {
		case <-ended:
			return fmt.Errorf("%s ended before it was ready; see %s", p.name, filepath.Join(p.dir, p.name+".log"))
		default:
		}
		if clock.Sleep(ctx, clock.Real(), 20*time.Millisecond) != nil {
			return fmt.Errorf("%s is not ready: %w", p.name, err)
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

// pid of the process that runs or ran last.
func (p *program) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// kill kills it with SIGKILL and waits until it is gone.
func (p *program) kill() { p.end(func(cmd *exec.Cmd) { _ = cmd.Process.Kill() }) }

// stop ends it with SIGTERM, and with SIGKILL if that does not help.
func (p *program) stop() {
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

func (p *program) end(how func(*exec.Cmd)) {
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
