// Package telephony is the exchange's MCP tool server, over streamable HTTP, with a control endpoint for whoever plays the callers.
package telephony

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// metaOperation is the key of a request's _meta by which Signalbox says what a call is part of; the journal keeps it.
const metaOperation = "signalbox.dev/operation"

// Telephony serves the tools.
type Telephony struct {
	// Exchange that carries them out. Required.
	Exchange *exchange.Exchange
	// PerWord is how long it takes to speak a word. Default: no time.
	PerWord time.Duration
	// Log gets faults of the server itself. Default slog.Default().
	Log *slog.Logger
	// Clock that speaking takes its time by. Default clock.Real().
	Clock clock.Clock
}

type (
	callIn struct {
		CallID string `json:"call_id" jsonschema:"Id of the call."`
	}
	lineOut struct {
		CallID string             `json:"call_id"`
		Line   exchange.LineState `json:"line" jsonschema:"ringing, open or over"`
	}
	callerIn struct {
		Number string `json:"number" jsonschema:"The caller's number, with its country."`
	}
	callerOut struct {
		Known   bool   `json:"known"`
		Name    string `json:"name"`
		Blocked bool   `json:"blocked" jsonschema:"Whether calls from this number are not taken."`
	}
	sayIn struct {
		CallID string `json:"call_id" jsonschema:"Id of the call."`
		Text   string `json:"text" jsonschema:"What is said."`
		Key    string `json:"key" jsonschema:"A key unique to this utterance; the same key is spoken once only."`
	}
	sayOut struct {
		Words int `json:"words"`
	}
	slotsIn  struct{}
	slotsOut struct {
		Slots []string `json:"slots"`
	}
	bookIn struct {
		CallID string `json:"call_id" jsonschema:"Id of the call in which it was asked for."`
		Slot   string `json:"slot" jsonschema:"One of the free slots, as find_slots names it."`
		Key    string `json:"key" jsonschema:"A key unique to this booking; the same key books once only."`
	}
	callbackIn struct {
		CallbackID string `json:"callback_id" jsonschema:"Id of the callback, as book_callback gave it."`
	}
	findIn struct {
		Key string `json:"key" jsonschema:"The key it was booked with."`
	}
	findOut struct {
		Found      bool          `json:"found"`
		CallbackID string        `json:"callback_id,omitempty"`
		Status     exchange.Kind `json:"status,omitempty"`
	}
	transferIn struct {
		CallID   string `json:"call_id" jsonschema:"Id of the call."`
		Operator string `json:"operator" jsonschema:"Who takes over."`
		Key      string `json:"key" jsonschema:"A key unique to this transfer."`
	}
)

// MCP gives a server with all tools.
func (t *Telephony) MCP() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "telephony", Title: "Telephone exchange", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Lines of a small exchange. Say little at a time, and confirm a callback only when the caller has agreed.",
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	t.addReads(s)
	t.addLineTools(s)
	t.addCallbackTools(s)
	return s
}

func (t *Telephony) addReads(s *mcp.Server) {
	add(t, s, &mcp.Tool{Name: "lookup_caller", Description: "Tell who calls from a number."}, read,
		func(_ context.Context, in callerIn, _ string) (callerOut, error) {
			line, known := exchange.Lines[in.Number]
			return callerOut{Known: known, Name: line.Name, Blocked: line.Blocked}, nil
		})
	add(t, s, &mcp.Tool{Name: "check_line", Description: "Tell how a line stands. Refused when it is closed."}, read,
		func(_ context.Context, in callIn, _ string) (lineOut, error) {
			state, err := t.Exchange.Line(in.CallID)
			return lineOut{in.CallID, state}, err
		})
	add(t, s, &mcp.Tool{Name: "find_slots", Description: "List when a colleague could call back."}, read,
		func(context.Context, slotsIn, string) (slotsOut, error) { return slotsOut{t.Exchange.Free()}, nil })
	add(t, s, &mcp.Tool{Name: "find_callback", Description: "Tell whether a callback was booked with that key, and how it stands."}, read,
		func(_ context.Context, in findIn, _ string) (findOut, error) {
			c, found := t.Exchange.Find(in.Key)
			return findOut{found, c.ID, c.Status}, nil
		})
}

func (t *Telephony) addLineTools(s *mcp.Server) {
	add(t, s, &mcp.Tool{Name: "answer_call", Description: "Pick a ringing line up. Doing it twice changes nothing more."}, idempotent,
		func(_ context.Context, in callIn, operation string) (lineOut, error) {
			return lineOut{in.CallID, exchange.Open}, t.Exchange.Answer(in.CallID, operation)
		})
	add(t, s, &mcp.Tool{Name: "say", Description: "Speak to the caller, and return when it is spoken. Words cannot be taken back. Refused when the line is closed."}, final,
		func(ctx context.Context, in sayIn, operation string) (sayOut, error) {
			words := len(strings.Fields(in.Text))
			fresh, err := t.Exchange.Say(in.CallID, in.Key, in.Text, operation)
			if err == nil && fresh {
				err = t.speak(ctx, words)
			}
			return sayOut{words}, err
		})
	add(t, s, &mcp.Tool{Name: "transfer_call", Description: "Hand the line to an operator. Refused when it is closed."}, final,
		func(_ context.Context, in transferIn, operation string) (lineOut, error) {
			return lineOut{in.CallID, exchange.Over}, t.Exchange.Transfer(in.CallID, in.Key, in.Operator, operation)
		})
	add(t, s, &mcp.Tool{Name: "end_call", Description: "Close the line from our side. Doing it twice changes nothing more."}, idempotent,
		func(_ context.Context, in callIn, operation string) (lineOut, error) {
			return lineOut{in.CallID, exchange.Over}, t.Exchange.End(in.CallID, operation)
		})
}

func (t *Telephony) addCallbackTools(s *mcp.Server) {
	add(t, s, &mcp.Tool{Name: "book_callback", Description: "Hold a slot for a callback until the caller confirms it."}, write,
		func(_ context.Context, in bookIn, operation string) (exchange.Callback, error) {
			return t.Exchange.Book(in.CallID, in.Key, in.Slot, operation)
		})
	add(t, s, &mcp.Tool{Name: "confirm_callback", Description: "Make a held callback definite. Doing it twice changes nothing more."}, idempotent,
		func(_ context.Context, in callbackIn, operation string) (exchange.Callback, error) {
			return t.Exchange.Confirm(in.CallbackID, operation)
		})
	add(t, s, &mcp.Tool{Name: "cancel_callback", Description: "Take a held callback back. One that the caller has confirmed stays. Doing it twice changes nothing more."}, idempotent,
		func(_ context.Context, in callbackIn, operation string) (exchange.Callback, error) {
			return t.Exchange.Cancel(in.CallbackID, operation)
		})
}

// speak takes the time that words take. A caller of the tool that leaves does not stop it: what is spoken is spoken.
func (t *Telephony) speak(ctx context.Context, words int) error {
	c := t.Clock
	if c == nil {
		c = clock.Real()
	}
	return clock.Sleep(context.WithoutCancel(ctx), c, time.Duration(words)*t.PerWord)
}

// hint is what MCP's annotations say of a tool. What governs is the operator's word in signalbox.yaml.
type hint struct{ readOnly, idempotent, destructive bool }

var (
	read       = hint{readOnly: true}
	idempotent = hint{idempotent: true}
	write      = hint{}
	final      = hint{destructive: true}
)

// add adds a tool. The exchange's own no is a tool error; any other error tells no inside.
func add[In, Out any](t *Telephony, s *mcp.Server, tool *mcp.Tool, h hint, do func(context.Context, In, string) (Out, error)) {
	closed := false
	tool.Annotations = &mcp.ToolAnnotations{ReadOnlyHint: h.readOnly, IdempotentHint: h.idempotent, DestructiveHint: &h.destructive, OpenWorldHint: &closed}
	mcp.AddTool(s, tool, func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		operation, _ := req.Params.Meta[metaOperation].(string)
		out, err := do(ctx, in, operation)
		var no exchange.Refusal
		if err != nil && !errors.As(err, &no) {
			log := t.Log
			if log == nil {
				log = slog.Default()
			}
			log.Error("call failed", "tool", tool.Name, "error", err)
			err = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the exchange failed; its log says why"}
		}
		return nil, out, err
	})
}
