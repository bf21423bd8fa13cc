// Package agent is an agent without its mind: it claims tasks, works on them with the tools that each task allows, and completes them. Whoever
// writes a Mind has an agent; those of the examples follow rules where a real one asks a model.
//
// It may be killed and started again at any moment. Two things make that harmless, and a real agent can do both: it has a stable name,
// by which it gets its own task back at once, and it numbers its calls, so that a call whose answer was lost is the same call again.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Task is a claimed task as its agent sees it.
type Task struct {
	// ID of the task; the same whoever claims it, and however often.
	ID string
	// RunID is the run that waits for it.
	RunID string
	// Goal is what is to be reached, in words.
	Goal string
	// Arguments are the data given with it, a JSON object.
	Arguments json.RawMessage
	// AllowedTools may be called, as "server/tool".
	AllowedTools []string
	// Claim counts the claims of this task from 1.
	Claim uint32
	// Lease is how long the claim lives without a sign of life. 0: it needs none.
	Lease time.Duration
}

// Call is one tool call within a task.
type Call struct {
	// Tool as "server/tool".
	Tool string
	// Arguments, a JSON object.
	Arguments json.RawMessage
	// Key is the call's identity: a call with a key that the task has seen is answered from the record.
	Key string
}

// Answer is what a tool gave.
type Answer struct {
	// Output, JSON.
	Output json.RawMessage
	// IsError tells that the tool itself said no; Output holds its words.
	IsError bool
	// Replayed tells that the answer came from the record.
	Replayed bool
}

// Door is a way to Signalbox.
type Door interface {
	// Claim waits for a task for this worker. It is nil without error when none came for a while.
	Claim(ctx context.Context, worker string) (Job, error)
}

// Job is a claimed task. Its errors are *Trouble.
type Job interface {
	Task() Task
	// Call calls a tool.
	Call(ctx context.Context, c Call) (Answer, error)
	// Heartbeat is a sign of life, and tells what was used so far.
	Heartbeat(ctx context.Context, used Usage) error
	// Complete ends the task with its output, JSON.
	Complete(ctx context.Context, output json.RawMessage) error
	// Fail ends the task with a reason in words.
	Fail(ctx context.Context, why string) error
	// Close gives back what the job holds on this side; the task goes on.
	Close()
}

// Usage is what an agent has used for a task since it claimed it.
type Usage struct {
	// Turns of the model.
	Turns uint32
	// Tokens, in and out together.
	Tokens uint64
	// CostUSD in US dollars.
	CostUSD float64
}

// Trouble is an error with what it means for an agent.
type Trouble struct {
	// Again: the very same request may succeed later, and repeating it is safe.
	Again bool
	// After is how long to wait before that. 0: a moment.
	After time.Duration
	// Lost: the claim is over; the task is somebody else's now, or done.
	Lost bool
	// Err is what went wrong.
	Err error

	spent bool // a budget is used up
}

// overBudget makes the claim lost of a heartbeat that says that the budget is used up: the run has ended the task by then. (A call that is one too
// many leaves the task to its agent, who may still complete it.)
func overBudget(err error) error {
	var t *Trouble
	if errors.As(err, &t) && t.spent {
		t.Lost = true
	}
	return err
}

// Error implements error.
func (t *Trouble) Error() string { return t.Err.Error() }

// Unwrap implements errors.Unwrap.
func (t *Trouble) Unwrap() error { return t.Err }

// Mind works on a task.
type Mind interface {
	// Work returns the task's output, to be written as JSON. An error fails the task.
	Work(ctx context.Context, task Task, tools *Tools) (output any, err error)
}

// Tools are the tools of one task in the hands of a Mind.
type Tools struct {
	worker *Worker
	job    Job
	calls  int

	mu   sync.Mutex
	used Usage
}

// Use tells what the model has used now, beside what was told before. A task that is over its budget is over: the error says so.
func (t *Tools) Use(ctx context.Context, more Usage) error {
	t.mu.Lock()
	t.used = Usage{Turns: t.used.Turns + more.Turns, Tokens: t.used.Tokens + more.Tokens, CostUSD: t.used.CostUSD + more.CostUSD}
	t.mu.Unlock()
	return t.worker.insist(ctx, "heartbeat", func(ctx context.Context) error { return t.job.Heartbeat(ctx, t.soFar()) })
}

func (t *Tools) soFar() Usage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// Call calls a tool ("server/tool") and waits until it is answered, however long Signalbox or the tool's server are away. An answer
// with IsError is the tool's own no.
func (t *Tools) Call(ctx context.Context, tool string, arguments any) (Answer, error) {
	args, err := json.Marshal(arguments)
	if err != nil {
		return Answer{}, fmt.Errorf("arguments of %s: %w", tool, err)
	}
	t.calls++
	call := Call{Tool: tool, Arguments: args, Key: fmt.Sprintf("%s/%03d", t.job.Task().ID, t.calls)}
	var answer Answer
	err = t.worker.insist(ctx, "call of "+tool, func(ctx context.Context) (err error) {
		answer, err = t.job.Call(ctx, call)
		return err
	})
	return answer, err
}
