package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// wire is one connection to a server: the SDK's session runs over it, and so do our own requests, whose ids begin at firstID.
type wire interface {
	mcp.Connection
	// exchange sends a request once and returns its answer.
	exchange(ctx context.Context, r request) core.Reply
	// ended is closed when the session is known to be over.
	ended() <-chan struct{}
	// died reports whether the session ended without our doing because its process ended.
	died() bool
	// refused returns why the server did not begin a session; nil when it said nothing.
	refused() *core.Failure
}

// request is a JSON-RPC request of our own.
type request struct {
	id     int64
	method string
	// name of the tool, which the newer versions also want in a header. Empty: none.
	name string
	body []byte
}

// firstID is above every id that the SDK gives, so that both can use one connection.
const firstID = 1 << 32

// ids numbers our own requests, over all connections.
type ids struct{ last atomic.Int64 }

func (i *ids) next() int64 { return firstID + i.last.Add(1) }

// encode writes a request. params is a raw JSON object.
func encode(id int64, method, name string, params []byte) request {
	body := make([]byte, 0, len(params)+len(method)+64)
	body = append(body, `{"jsonrpc":"2.0","id":`...)
	body = strconv.AppendInt(body, id, 10)
	body = append(body, `,"method":"`...)
	body = append(body, method...)
	body = append(body, `","params":`...)
	body = append(body, params...)
	body = append(body, '}')
	return request{id: id, method: method, name: name, body: body}
}

// envelope is any JSON-RPC message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

type rpcError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// answers reports whether the message is the response to the request of this id.
func (e *envelope) answers(id int64) bool {
	if e.Method != "" {
		return false
	}
	got, ok := e.number()
	return ok && got == id
}

// number returns the id as our requests have it.
func (e *envelope) number() (int64, bool) {
	n, err := strconv.ParseInt(string(e.ID), 10, 64)
	return n, err == nil
}

// anonymous reports whether the message is an error that the server could not lay to a request.
func (e *envelope) anonymous() bool {
	return e.Method == "" && e.Error != nil && (len(e.ID) == 0 || bytes.Equal(e.ID, []byte("null")))
}

// reply turns a response into what core judges.
func (e *envelope) reply() core.Reply {
	switch {
	case e.Error != nil:
		return failed(&core.Failure{
			Cause: core.CauseRPCError, Written: true, Code: e.Error.Code,
			Detail: "the server answered with error " + strconv.FormatInt(e.Error.Code, 10) + ": " + e.Error.Message,
		})
	case len(e.Result) == 0:
		return failed(&core.Failure{Cause: core.CauseMalformed, Written: true, Detail: "the server answered with neither a result nor an error"})
	default:
		return core.Reply{Result: e.Result}
	}
}

// response turns a response into the SDK's form.
func (e *envelope) response(id jsonrpc.ID) *jsonrpc.Response {
	if e.Error != nil {
		return &jsonrpc.Response{ID: id, Error: &jsonrpc.Error{Code: e.Error.Code, Message: e.Error.Message, Data: e.Error.Data}}
	}
	return &jsonrpc.Response{ID: id, Result: e.Result}
}

func failed(f *core.Failure) core.Reply { return core.Reply{Failure: f} }

// fixed is a transport whose connection exists already.
type fixed struct{ wire }

// Connect implements mcp.Transport.
func (f fixed) Connect(context.Context) (mcp.Connection, error) { return f.wire, nil }
