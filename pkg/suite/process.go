package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Process is one process of the suite. It can be killed and started again any number of times, under the same addresses.
type Process struct {
	// Name is the service's, or "signalbox" when all run in one.
	Name string

	suite             *Suite
	grpc, http, admin string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	log   io.Closer
}

func (p *Process) configFile() string { return filepath.Join(p.suite.opts.Dir, p.Name+".yaml") }

func (p *Process) write(config string) error {
	if err := ensureDir(filepath.Join(p.suite.opts.Dir, "data", p.Name)); err != nil {
		return err
	}
	return os.WriteFile(p.configFile(), []byte(config), 0o600)
}

// Start starts the process, if it does not run.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	args := []string{"up", "--config", p.configFile()}
	if p.suite.opts.Topology == ProcessPerService {
		args = []string{"serve", p.Name, "--config", p.configFile()}
	}
	cmd := exec.Command(p.suite.opts.Binary, args...) //nolint:noctx // the process outlives any call
	cmd.Env = append(os.Environ(), p.suite.opts.Env...)
	cmd.Dir = p.suite.opts.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.openLog(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

func (p *Process) openLog(cmd *exec.Cmd) error {
	if w := p.suite.opts.Log; w != nil {
		out := &prefixed{name: p.Name, out: w}
		cmd.Stdout, cmd.Stderr = out, out
		return nil
	}
	f, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr, p.log = f, f, f
	return nil
}

// LogFile is where the process writes, unless the suite has a log of its own.
func (p *Process) LogFile() string { return filepath.Join(p.suite.opts.Dir, p.Name+".log") }

// PID of the process; 0 while it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

const readyPoll = 20 * time.Millisecond

// WaitReady waits until the process says that it is ready. It fails when the process ends, or ctx does.
func (p *Process) WaitReady(ctx context.Context) error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	var last error
	for {
		if last = p.ready(ctx); last == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended before it was ready; see %s", p.Name, p.LogFile())
		default:
		}
		if err := clock.Sleep(ctx, clock.Real(), readyPoll); err != nil {
			return fmt.Errorf("%s is not ready: %w (%w); see %s", p.Name, err, last, p.LogFile())
		}
	}
}

func (p *Process) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return errors.New(string(body))
	}
	return nil
}

func (p *Process) signalKill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
	}
}

// Kill kills the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	p.signalKill()
	p.wait(nil)
}

// Restart kills the process, starts it again, and waits until it is ready.
func (p *Process) Restart(ctx context.Context) error {
	p.Kill()
	if err := p.Start(); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}

// stopPatience is how long a process may take to drain.
const stopPatience = 15 * time.Second

// Stop ends the process with SIGTERM, so that it drains; one that does not end in time is killed, and that is an error.
func (p *Process) Stop() error {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := clock.Real().NewTimer(stopPatience)
	defer timer.Stop()
	if p.wait(timer.C()) {
		return nil
	}
	p.Kill()
	return fmt.Errorf("%s did not end within %s of SIGTERM; see %s", p.Name, stopPatience, p.LogFile())
}

// wait waits for the end of the process, or until the channel says that it has taken too long.
func (p *Process) wait(tooLong <-chan time.Time) bool {
	p.mu.Lock()
	ended := p.ended
	running := p.cmd != nil
	p.mu.Unlock()
	if !running {
		return true
	}
	select {
	case <-ended:
	case <-tooLong:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	if p.log != nil {
		_ = p.log.Close()
		p.log = nil
	}
	return true
}
