package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Worker is one agent at work: it has one task at a time.
type Worker struct {
	// Name is stable: a worker that was killed and comes back under its name gets its task back at once. Required.
	Name string
	// Door to Signalbox. Required.
	Door Door
	// Mind that works. Required.
	Mind Mind
	// Log gets a line a task. Default slog.Default().
	Log *slog.Logger
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock
}

const (
	moment      = 200 * time.Millisecond // between tries when nobody says how long to wait
	longestWait = 5 * time.Second        // however long somebody says
)

// Run works until ctx ends. Neither a Signalbox that is away nor a task that fails ends it.
func (w *Worker) Run(ctx context.Context) {
	if w.Log == nil {
		w.Log = slog.Default()
	}
	if w.Clock == nil {
		w.Clock = clock.Real()
	}
	for ctx.Err() == nil {
		job, err := w.Door.Claim(ctx, w.Name)
		if err != nil {
			w.pause(ctx, "claim", err)
			continue
		}
		if job != nil {
			w.take(ctx, job)
		}
	}
}

// take works on one task.
func (w *Worker) take(ctx context.Context, job Job) {
	defer job.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	task := job.Task()
	tools := &Tools{worker: w, job: job}
	alive := make(chan struct{})
	go func() {
		defer close(alive)
		w.keepAlive(ctx, tools, cancel)
	}()
	defer func() {
		cancel()
		<-alive
	}()
	output, err := w.Mind.Work(ctx, task, tools)
	if ctx.Err() != nil {
		return // killed, or the claim is over: nothing is ours to end
	}
	if err == nil {
		err = w.complete(ctx, job, output)
	}
	var trouble *Trouble
	switch {
	case err == nil:
		w.Log.Info("task completed", "worker", w.Name, "task", task.ID, "claim", task.Claim)
	case ctx.Err() != nil:
	case errors.As(err, &trouble) && trouble.Lost:
		w.Log.Info("task lost", "worker", w.Name, "task", task.ID, "reason", trouble.Error())
	default:
		w.Log.Warn("task failed", "worker", w.Name, "task", task.ID, "error", err)
		why := err.Error()
		_ = w.insist(ctx, "fail", func(ctx context.Context) error { return job.Fail(ctx, why) }) // the claim is over either way
	}
}

func (w *Worker) complete(ctx context.Context, job Job, output any) error {
	body, err := json.Marshal(output)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return w.insist(ctx, "complete", func(ctx context.Context) error { return job.Complete(ctx, body) })
}

// insist repeats a request that may be repeated, until it gets its answer or ctx ends.
func (w *Worker) insist(ctx context.Context, what string, do func(context.Context) error) error {
	for {
		err := do(ctx)
		var trouble *Trouble
		if err == nil || !errors.As(err, &trouble) || !trouble.Again {
			return err
		}
		if w.pause(ctx, what, err); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (w *Worker) pause(ctx context.Context, what string, err error) {
	wait := moment
	var trouble *Trouble
	if errors.As(err, &trouble) && trouble.After > 0 {
		wait = min(trouble.After, longestWait)
	}
	w.Log.Debug("wait and try again", "worker", w.Name, "what", what, "wait", wait, "error", err)
	_ = clock.Sleep(ctx, w.Clock, wait) // whoever called looks at ctx
}

// keepAlive gives signs of life while the mind works, and stops it when the claim is over.
func (w *Worker) keepAlive(ctx context.Context, tools *Tools, stop context.CancelFunc) {
	job := tools.job
	lease := job.Task().Lease
	if lease <= 0 {
		return
	}
	for clock.Sleep(ctx, w.Clock, lease/3) == nil {
		var trouble *Trouble
		if err := job.Heartbeat(ctx, tools.soFar()); errors.As(err, &trouble) && trouble.Lost {
			w.Log.Info("claim is over", "worker", w.Name, "task", job.Task().ID)
			stop()
		}
	}
}
