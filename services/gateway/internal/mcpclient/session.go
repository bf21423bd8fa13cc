package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// session is an MCP session with a server.
type session struct {
	wire wire
	sdk  *mcp.ClientSession
	ids  *ids
	// common is what every request's _meta begins with, as raw members with a comma at the end; empty before version 2026-07-28.
	common []byte
	legacy bool
	secret core.Secret // that it began with
	proved atomic.Bool // whether the server has answered a request

	// Kept by the link, under its mutex.
	users   int
	retired bool
}

// open begins a session over a wire and closes the wire when that fails.
func open(ctx context.Context, w wire, version string, ids *ids, changed func(), d Deps) (*session, *core.Failure) {
	info := &mcp.Implementation{Name: "signalbox", Version: d.Version}
	client := mcp.NewClient(info, &mcp.ClientOptions{
		Logger: slog.New(slog.DiscardHandler), Capabilities: &mcp.ClientCapabilities{},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed() },
		MultiRoundTrip:         &mcp.MultiRoundTripOptions{Disabled: true},
	})
	sdk, err := client.Connect(ctx, fixed{w}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		failure := beginFailure(ctx, w, err)
		_ = w.Close()
		return nil, failure
	}
	s := &session{wire: w, sdk: sdk, ids: ids, legacy: true}
	agreed := sdk.InitializeResult().ProtocolVersion
	if agreed >= statelessVersion {
		s.legacy, s.common = false, commonMeta(agreed, info)
		if h, ok := w.(*httpWire); ok {
			h.setVersion(agreed)
		}
	}
	return s, nil
}

// beginFailure says why a session did not begin.
func beginFailure(ctx context.Context, w wire, err error) *core.Failure {
	if refusal := w.refused(); refusal != nil {
		refusal := *refusal
		if refusal.Cause != core.CauseNoConnection && refusal.Cause != core.CauseTimeout {
			refusal.Detail = "no session could be begun: " + refusal.Detail
		}
		return noConnection(&refusal)
	}
	f := &core.Failure{Detail: "no session could be begun: " + err.Error()}
	if ctx.Err() != nil {
		f.Detail = "no session could be begun: it did not answer in time"
	} else if w.died() {
		f.Detail = "no session could be begun: its process ended"
	}
	return noConnection(f)
}

// noConnection turns a failure to begin a session into one of the call that wanted it: nothing of the call was sent. The original
// cause stays readable in HTTPStatus and Code.
func noConnection(f *core.Failure) *core.Failure {
	changed := *f
	changed.Cause, changed.Written, changed.ServerEnded = core.CauseNoConnection, false, false
	return &changed
}

// commonMeta is what the stateless version wants in every request.
func commonMeta(version string, info *mcp.Implementation) []byte {
	// These always marshal.
	encodedInfo, _ := json.Marshal(info)
	return fmt.Appendf(nil, "%q:%q,%q:%s,%q:{},", mcp.MetaKeyProtocolVersion, version, mcp.MetaKeyClientInfo, encodedInfo,
		mcp.MetaKeyClientCapabilities)
}

// call makes one tools/call.
func (s *session) call(ctx context.Context, call core.Call) core.Reply {
	name, err := json.Marshal(call.Tool)
	if err != nil {
		return failed(&core.Failure{Cause: core.CauseArguments, Detail: "tool: " + err.Error()})
	}
	params := make([]byte, 0, len(call.Arguments)+len(call.Meta)+len(s.common)+len(name)+48)
	params = append(params, '{')
	params = s.appendMeta(params, call.Meta)
	params = append(params, `"name":`...)
	params = append(params, name...)
	params = append(params, `,"arguments":`...)
	params = append(params, call.Arguments...)
	params = append(params, '}')
	return s.exchange(ctx, encode(s.ids.next(), "tools/call", call.Tool, params))
}

// appendMeta writes the _meta member with what the protocol wants and what the call brings.
func (s *session) appendMeta(params, meta []byte) []byte {
	if len(s.common) == 0 && len(meta) == 0 {
		return params
	}
	params = append(params, `"_meta":{`...)
	params = append(params, s.common...)
	if len(meta) > 0 {
		params = append(params, meta[1:]...)
	} else {
		params = append(params[:len(params)-1], '}')
	}
	return append(params, ',')
}

func (s *session) exchange(ctx context.Context, r request) core.Reply {
	reply := s.wire.exchange(ctx, r)
	if reply.Failure == nil {
		s.proved.Store(true)
	} else if reply.Failure.Cause == core.CauseTimeout && reply.Failure.Written && s.legacy {
		s.giveUp(r.id)
	}
	return reply
}

// giveUp tells the server that nobody waits for a request any more. It is a courtesy: it may come too late or not at all.
func (s *session) giveUp(id int64) {
	params := fmt.Appendf(nil, `{"requestId":%d,"reason":"the time of the call is over"}`, id)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.wire.Write(ctx, &jsonrpc.Request{Method: "notifications/cancelled", Params: params})
	}()
}

// maxPages bounds how long a list of tools may go on.
const maxPages = 200

// publishedTool is an MCP tool with its schemas as the server wrote them.
type publishedTool struct {
	Name         string          `json:"name"`
	Title        string          `json:"title"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema"`
	Annotations  struct {
		ReadOnly    *bool `json:"readOnlyHint"`
		Destructive *bool `json:"destructiveHint"`
		Idempotent  *bool `json:"idempotentHint"`
	} `json:"annotations"`
}

// listTools reads all tools.
func (s *session) listTools(ctx context.Context) ([]core.Tool, *core.Failure) {
	var tools []core.Tool
	cursor := ""
	for range maxPages {
		reply := s.exchange(ctx, encode(s.ids.next(), "tools/list", "", s.listParams(cursor)))
		if reply.Failure != nil {
			return nil, reply.Failure
		}
		var page struct {
			Tools      []publishedTool `json:"tools"`
			NextCursor string          `json:"nextCursor"`
		}
		if err := json.Unmarshal(reply.Result, &page); err != nil {
			return nil, &core.Failure{Cause: core.CauseMalformed, Detail: "its list of tools is not as MCP defines it"}
		}
		for _, tool := range page.Tools {
			if tool.Name != "" {
				tools = append(tools, tool.core())
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return tools, nil
		}
	}
	return nil, &core.Failure{Cause: core.CauseMalformed, Detail: fmt.Sprintf("its list of tools has more than %d pages", maxPages)}
}

func (s *session) listParams(cursor string) []byte {
	params := s.appendMeta([]byte{'{'}, nil)
	if cursor != "" {
		encoded, _ := json.Marshal(cursor) // a string always marshals
		params = append(append(params, `"cursor":`...), encoded...)
	} else if len(params) > 1 {
		params = params[:len(params)-1]
	}
	return append(params, '}')
}

func (t *publishedTool) core() core.Tool {
	description := t.Description
	if description == "" {
		description = t.Title
	}
	return core.Tool{
		Name: t.Name, Description: strings.TrimSpace(description), InputSchema: t.InputSchema, OutputSchema: t.OutputSchema,
		Destructive: t.Annotations.Destructive != nil && *t.Annotations.Destructive,
		Hints:       t.hints(),
	}
}

// hints are the annotations that the server gives; nil: none.
func (t *publishedTool) hints() *workflowv1.ToolHints {
	a := t.Annotations
	if a.ReadOnly == nil && a.Destructive == nil && a.Idempotent == nil {
		return nil
	}
	return &workflowv1.ToolHints{ReadOnly: a.ReadOnly, Destructive: a.Destructive, Idempotent: a.Idempotent}
}

// close ends the session and waits until nothing of it is left.
func (s *session) close() error {
	return errors.Join(s.wire.Close(), ignoreClosed(s.sdk.Close()))
}

// ignoreClosed drops the SDK's complaint that the connection is closed, which is what was wanted.
func ignoreClosed(error) error { return nil }

// metaVersion returns the protocol version that a request of the SDK names; "" when it names none.
func metaVersion(params json.RawMessage) string {
	var found struct {
		Meta map[string]json.RawMessage `json:"_meta"`
	}
	if len(params) == 0 || json.Unmarshal(params, &found) != nil {
		return ""
	}
	var version string
	_ = json.Unmarshal(found.Meta[mcp.MetaKeyProtocolVersion], &version)
	return version
}

// initializedVersion returns the version that an answer to initialize agrees to.
func initializedVersion(result json.RawMessage) string {
	var found struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	_ = json.Unmarshal(result, &found)
	return found.ProtocolVersion
}
