// Package desk is the support desk's MCP tool server: the shop's operations as tools, over streamable
// HTTP or stdio, with fault switches and a control endpoint for whoever tests against it.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// The keys of a request's _meta by which a caller says what a call is part of; the journal keeps them.
const (
	MetaKey       = "signalbox.dev/idempotency-key"
	MetaOperation = "signalbox.dev/operation"
	MetaAttempt   = "signalbox.dev/attempt"
)

// exitStatus of a process that a fault switch ended.
const exitStatus = 70

// Config is what a desk is made of.
type Config struct {
	// Shop carries the tools out. Required; the desk does not close it.
	Shop *shop.Shop
	// Faults make calls fail. Required.
	Faults *faults.Switches
	// Exit ends the process for the exit faults. Default os.Exit.
	Exit func(status int)
	// Log gets faults of the desk itself. Default slog.Default().
	Log *slog.Logger
}

// Desk serves the tools. All methods may be called concurrently.
type Desk struct {
	cfg     Config
	tools   []*servedTool
	tallies map[string]*tally
	started time.Time
}

// servedTool is a tool ready to be called.
type servedTool struct {
	Tool
	input *jsonschema.Resolved
	tally *tally
}

// New makes a desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Shop == nil || cfg.Faults == nil {
		return nil, errors.New("desk: Config needs Shop and Faults")
	}
	if cfg.Exit == nil {
		cfg.Exit = os.Exit
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	d := &Desk{cfg: cfg, tallies: map[string]*tally{}, started: time.Now().UTC()}
	for _, t := range Tools() {
		var schema jsonschema.Schema
		if err := json.Unmarshal(t.InputSchema, &schema); err != nil {
			return nil, fmt.Errorf("desk: input schema of %s: %w", t.Name, err)
		}
		input, err := schema.Resolve(nil)
		if err != nil {
			return nil, fmt.Errorf("desk: input schema of %s: %w", t.Name, err)
		}
		count := &tally{}
		d.tools = append(d.tools, &servedTool{Tool: t, input: input, tally: count})
		d.tallies[t.Name] = count
	}
	return d, nil
}

// MCP gives a server with all tools. arrival says that nothing before the server asks the fault
// switches about arriving calls (as on stdio), so that the tools must.
func (d *Desk) MCP(arrival bool) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "support-desk", Title: "Support desk", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Tools of a small shop's support desk. Find the customer first, read the policy, and change only what was agreed.",
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	for _, t := range d.tools {
		s.AddTool(t.declare(), func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if arrival {
				if err := d.refusedOnArrival(t); err != nil {
					return nil, err
				}
			}
			return d.call(ctx, t, req.Params)
		})
	}
	return s
}

func (t *servedTool) declare() *mcp.Tool {
	out := &mcp.Tool{
		Name: t.Name, Description: t.Description, InputSchema: t.InputSchema,
		Annotations: &mcp.ToolAnnotations{
			ReadOnlyHint:    t.Effect == Read,
			IdempotentHint:  t.Effect == IdempotentWrite,
			DestructiveHint: &t.destructive,
			OpenWorldHint:   &t.openWorld,
		},
	}
	if t.OutputSchema != nil {
		out.OutputSchema = t.OutputSchema
	}
	return out
}

// refusedOnArrival answers for the faults that, over HTTP, act before MCP sees the call.
func (d *Desk) refusedOnArrival(t *servedTool) error {
	fired, err := d.cfg.Faults.Ask(faults.Arrival, t.Name)
	if err != nil {
		return d.internal(t, err)
	}
	if len(fired) == 0 {
		return nil
	}
	t.tally.faulted.Add(1)
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("not carried out: %s", fired[0].Kind)}
}

// call carries a tool out.
func (d *Desk) call(ctx context.Context, t *servedTool, p *mcp.CallToolParamsRaw) (*mcp.CallToolResult, error) {
	t.tally.calls.Add(1)
	if why := t.invalid(p.Arguments); why != "" {
		t.tally.refused.Add(1)
		return refusal(why), nil
	}
	if err := d.fail(t, faults.Before); err != nil {
		return nil, err
	}
	result, err := d.cfg.Shop.Call(ctx, t.Name, p.Arguments, caller(p.Meta))
	if no, ok := shop.AsRefusal(err); ok {
		t.tally.refused.Add(1)
		return refusal(no.Error()), nil
	}
	if err != nil {
		return nil, d.internal(t, err)
	}
	if result.Effect || t.Effect == Read {
		if err := d.fail(t, faults.After); err != nil {
			return nil, err
		}
	}
	answer := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: result.Text}}}
	if t.OutputSchema != nil {
		answer.StructuredContent = json.RawMessage(result.Text)
	}
	return answer, nil
}

// fail acts on the fault switches that fire at this stage: it waits, or ends the process.
func (d *Desk) fail(t *servedTool, stage faults.Stage) error {
	fired, err := d.cfg.Faults.Ask(stage, t.Name)
	if err != nil {
		return d.internal(t, err)
	}
	for _, r := range fired {
		switch r.Kind {
		case faults.Latency, faults.LatencyAfter:
			<-time.After(r.Wait()) // not cut short when the caller leaves: a slow server does not notice
		case faults.ExitBefore, faults.ExitAfter:
			d.cfg.Log.Warn("fault switch ends the process", "rule", r.ID, "tool", t.Name)
			d.cfg.Exit(exitStatus)
			return d.internal(t, errors.New("the process did not end")) // only where a test replaced Exit
		}
	}
	return nil
}

// invalid says what is wrong with the arguments, "" when they fit the tool's schema.
func (t *servedTool) invalid(args json.RawMessage) string {
	values := map[string]any{}
	if len(args) > 0 {
		if err := json.Unmarshal(args, &values); err != nil {
			return fmt.Sprintf("Error: arguments of %s are no JSON object: %v", t.Name, err)
		}
	}
	if err := t.input.Validate(values); err != nil {
		return fmt.Sprintf("Error: arguments of %s do not fit its schema: %v", t.Name, err)
	}
	return ""
}

func refusal(why string) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: why}}}
}

// internal logs a fault of the desk and gives the answer for it, which tells no inside.
func (d *Desk) internal(t *servedTool, err error) error {
	t.tally.failed.Add(1)
	d.cfg.Log.Error("call failed", "tool", t.Name, "error", err)
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the desk failed; its log says why"}
}

// caller reads what the request says it is part of.
func caller(meta mcp.Meta) shop.Caller {
	return shop.Caller{Key: word(meta[MetaKey]), Operation: word(meta[MetaOperation]), Attempt: word(meta[MetaAttempt])}
}

// word gives a text or a number as text, anything else as "".
func word(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
}
