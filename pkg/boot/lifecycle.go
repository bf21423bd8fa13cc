package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// started is a module that runs.
type started struct {
	Module
	Running
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned; nil without Run
}

// startModules starts the modules in order. What one of them offers can be called as soon as it has started.
func (p *process) startModules(ctx context.Context) error {
	for _, module := range p.plan {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		running, err := module.Start(ctx, p.app)
		if err != nil {
			return fmt.Errorf("start %s: %w", module.Name, err)
		}
		p.modules = append(p.modules, p.launch(module, running))
		p.readiness.hasStarted(module.Name, running)
		p.app.Directory.Open(module.Name)
		p.app.Logger.Debug("module started", "module", module.Name)
	}
	return nil
}

// launch begins a module's background work. Its context ends when its turn to stop has come, and not with the process's: others
// that stop before it may still need it.
func (p *process) launch(module Module, running Running) *started {
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{Module: module, Running: running, cancel: cancel}
	if running.Run == nil {
		return s
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		err := running.Run(ctx)
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				p.app.Logger.Warn("module ended with an error", "module", module.Name, "error", err)
			}
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		p.fail(fmt.Errorf("module %s: %w", module.Name, err))
	}()
	return s
}

// stopModules stops the started modules in reverse order. One that does not end in time is named and left behind.
func (p *process) stopModules(limit context.Context) []error {
	var problems []error
	for _, module := range slices.Backward(p.modules) {
		p.app.Directory.Shut(module.Name)
		module.cancel()
		if module.ended != nil {
			select {
			case <-module.ended:
			case <-limit.Done():
				problems = append(problems, fmt.Errorf("module %s did not end in time", module.Name))
				continue
			}
		}
		if err := module.stop(limit); err != nil {
			problems = append(problems, fmt.Errorf("stop %s: %w", module.Name, err))
		}
	}
	return problems
}

// stop returns when the module has stopped or the limit is over, whatever the module makes of its context.
func (s *started) stop(limit context.Context) error {
	if s.Stop == nil {
		return nil
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(limit) }()
	select {
	case err := <-stopped:
		return err
	case <-limit.Done():
		return limit.Err()
	}
}
