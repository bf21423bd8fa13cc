// Package mcpserver is the agent face over MCP: /mcp for everybody, and /mcp/tasks/<token> for the holder of a claim. Both wire eras are
// served on each URL.
package mcpserver

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Backend is whom the face asks.
type Backend struct {
	Runs        schedulerv1.RunControlServiceClient
	Work        schedulerv1.AgentWorkServiceClient
	Definitions statev1.DefinitionServiceClient
	Catalogue   *core.Catalogue
}

// Options of a face.
type Options struct {
	// PublicURL begins the addresses of tasks, as in "http://127.0.0.1:7070". Empty: claims carry no address.
	PublicURL string
	// Version of this binary, told to agents.
	Version string
	// SessionTimeout ends idle sessions. Default 30m.
	SessionTimeout time.Duration
	// MaxRequest is the largest request in bytes. Default 4 MiB.
	MaxRequest int64
	Clock      clock.Clock
	Logger     *slog.Logger
}

const (
	tasksPath             = "/mcp/tasks/"
	defaultSessionTimeout = 30 * time.Minute
	defaultMaxRequest     = 4 << 20

	// statelessVersion is the first MCP version without sessions.
	statelessVersion = "2026-07-28"

	// defaultWait and longestWait bound how long a tool waits for something: clients give up on a call after a minute, often.
	defaultWait = 20 * time.Second
	longestWait = 50 * time.Second
)

// Face serves agents over MCP.
type Face struct {
	backend Backend
	options Options
	server  *mcp.Server
	flows   *workflows
	tasks   *taskEndpoints
	mux     *http.ServeMux

	closing sync.WaitGroup // of sessions
}

// New makes a face.
func New(backend Backend, options Options) *Face {
	if options.SessionTimeout <= 0 {
		options.SessionTimeout = defaultSessionTimeout
	}
	if options.MaxRequest <= 0 {
		options.MaxRequest = defaultMaxRequest
	}
	f := &Face{backend: backend, options: options, mux: http.NewServeMux()}
	f.server = f.newServer(instructions)
	f.flows = &workflows{face: f, known: map[string]string{}}
	f.server.AddReceivingMiddleware(f.flows.middleware)
	for _, t := range append(f.runTools(), f.taskTools()...) {
		t.addTo(f.server)
	}
	f.tasks = newTaskEndpoints(f)
	f.mux.Handle("/mcp", f.bothEras(f.server))
	f.mux.Handle(tasksPath+"{token}", f.tasks)
	return f
}

const instructions = `Signalbox runs workflows that survive crashes. Each tool named workflow__… starts a run; when it has not ended in time ` +
	`you get its run_id, and run_wait waits on. To work for workflows, call task_claim with your agent's name, do what its goal says with ` +
	`task_call, and end with task_complete.`

func (f *Face) newServer(words string) *mcp.Server {
	return mcp.NewServer(&mcp.Implementation{Name: "signalbox", Title: "Signalbox", Version: f.options.Version}, &mcp.ServerOptions{
		Instructions: words, Logger: slog.New(slog.DiscardHandler), PageSize: 1000,
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{ListChanged: true}},
	})
}

// Handler serves /mcp and /mcp/tasks/. It does not ask who calls: /mcp belongs behind authentication, and the tokens of tasks are
// secrets of their own. Neither checks Origin; that belongs to the listener.
func (f *Face) Handler() http.Handler { return f.mux }

// TaskURL returns the MCP endpoint of a claim; "" when no public address is known.
func (f *Face) TaskURL(token string) string {
	if f.options.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(f.options.PublicURL, "/") + tasksPath + token
}

// WorkflowsChanged makes a newly registered workflow known to connected agents at once.
func (f *Face) WorkflowsChanged(ctx context.Context) { f.flows.sync(ctx, true) }

// Close ends all sessions and waits for them.
func (f *Face) Close() {
	f.tasks.closeAll()
	f.endSessions(f.server)
	f.closing.Wait()
}

// endSessions ends the sessions of a server once their requests have ended, without waiting for that.
func (f *Face) endSessions(server *mcp.Server) {
	for session := range server.Sessions() {
		f.closing.Go(func() { _ = session.Close() })
	}
}

// bothEras serves one MCP server in both wire eras, told apart by a header of each request.
func (f *Face) bothEras(server *mcp.Server) http.Handler {
	get := func(*http.Request) *mcp.Server { return server }
	sessions := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		JSONResponse: true, SessionTimeout: f.options.SessionTimeout, MaxRequestBodyBytes: f.options.MaxRequest,
	})
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		JSONResponse: true, Stateless: true, MaxRequestBodyBytes: f.options.MaxRequest, PropagateRequestCancellation: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= statelessVersion {
			stateless.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	})
}
