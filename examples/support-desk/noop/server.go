package main

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/serve"
)

// inputSchema of the one tool.
const inputSchema = `{"type": "object", "properties": {"n": {"type": "integer"}, "payload": {"type": "string"}}, "required": ["n"]}`

// server answers calls of noop and counts them.
type server struct{ calls atomic.Int64 }

// stats is the answer of GET /stats.
type stats struct {
	PID       int   `json:"pid"`
	Calls     int64 `json:"calls"`      // since the process started
	GOGC      int   `json:"gogc"`       // as the process runs with; -1: off
	CPUMicros int64 `json:"cpu_micros"` // user and system time of the process so far
}

func (s *server) mcp() *mcp.Server {
	m := mcp.NewServer(&mcp.Implementation{Name: "noop", Version: "1.0.0"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	// No annotations: what a benchmark declares the call to be is for its configuration to say.
	m.AddTool(&mcp.Tool{
		Name: "noop", Description: "Do nothing, count it, and give n back.", InputSchema: json.RawMessage(inputSchema),
	}, s.noop)
	return m
}

func (s *server) noop(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s.calls.Add(1)
	var args struct {
		N       int64  `json:"n"`
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(req.Params.Arguments, &args); err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "noop takes n, a whole number, and payload, a text"}
	}
	text := `{"ok":true,"n":` + strconv.FormatInt(args.N, 10) + `}`
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

func (s *server) http(stateless, eventStream bool) http.Handler {
	m := s.mcp()
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return m }, &mcp.StreamableHTTPOptions{
		Stateless: stateless, JSONResponse: !eventStream, SessionTimeout: 30 * time.Minute,
	}))
	return mux
}

func (s *server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, stats{PID: os.Getpid(), Calls: s.calls.Load(), GOGC: gogc(), CPUMicros: cpuMicros()})
	})
	return serve.Local(mux)
}

// gogc reads the running setting, which came from the environment.
func gogc() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	if percent := sample[0].Value.Uint64(); percent < math.MaxInt32 {
		return int(percent)
	}
	return -1
}
