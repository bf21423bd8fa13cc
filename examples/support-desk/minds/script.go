package minds

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
)

// Script works from a file of calls: the task's argument `case` names an entry of it, whose calls are made in order.
type Script struct {
	// Cases by id, as cases.ReadCalls reads them. They hold tools and arguments, no results.
	Cases map[string]cases.Case
}

// Scripted is what a Script completes a task with.
type Scripted struct {
	// Case that was worked.
	Case string `json:"case"`
	// Results of its calls, in order.
	Results []json.RawMessage `json:"results"`
}

// Work implements agent.Mind. A tool's own no is a result like any other.
func (s *Script) Work(ctx context.Context, task agent.Task, tools *agent.Tools) (any, error) {
	var args struct {
		Case string `json:"case"`
	}
	if err := json.Unmarshal(task.Arguments, &args); err != nil {
		return nil, fmt.Errorf("the task's arguments: %w", err)
	}
	c, ok := s.Cases[args.Case]
	if !ok {
		return nil, fmt.Errorf("the file of calls has no case %q", args.Case)
	}
	out := Scripted{Case: c.ID, Results: []json.RawMessage{}}
	for i, call := range c.Calls {
		tool, err := allowed(task, call.Tool)
		if err != nil {
			return nil, fmt.Errorf("call %d of case %s: %w", i+1, c.ID, err)
		}
		answer, err := tools.Call(ctx, tool, call.Arguments)
		if err != nil {
			return nil, fmt.Errorf("call %d of case %s: %w", i+1, c.ID, err)
		}
		out.Results = append(out.Results, answer.Output)
	}
	return out, nil
}

// allowed finds the server of a tool among those the task allows.
func allowed(task agent.Task, tool string) (string, error) {
	for _, name := range task.AllowedTools {
		if strings.HasSuffix(name, "/"+tool) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the task does not allow %s; it allows %s", tool, strings.Join(task.AllowedTools, ", "))
}
