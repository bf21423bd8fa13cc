// Package mcpclient connects to tool servers over MCP. The official SDK keeps the session (handshake, versions, notifications, the
// server's own requests); calls of tools go past it over the same connection, for three reasons: the SDK cannot say whether a failed
// call was written, one bad answer ends its whole connection and with it every other call on it, and it decodes results that only
// pass through. No call is ever sent twice here.
package mcpclient

import (
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Server says how to reach a tool server. Exactly one of Stdio and HTTP is set.
type Server struct {
	// Name by which everything else knows the server.
	Name  string
	Stdio *Stdio
	HTTP  *HTTP
	// Concurrency is the most calls at once; it sizes the pool of idle connections.
	Concurrency int
	// ProtocolVersion is the MCP version offered first. Empty: 2025-11-25, with a session, and the newest when that is refused.
	ProtocolVersion string
	// ConnectTimeout bounds the start of a session. Default 10s.
	ConnectTimeout time.Duration
}

// Stdio is a server that is started as a process.
type Stdio struct {
	Command string
	Args    []string
	// Env is added to the few harmless variables that every server gets (see inheritedVariables).
	Env map[string]string
	// Dir is the working directory. Empty: that of this process.
	Dir string
}

// HTTP is a server that speaks streamable HTTP.
type HTTP struct {
	URL string
	// Headers go with every request. They may hold secrets and are never logged.
	Headers map[string]string
}

// Events is what a pool tells of its servers. The functions must not block and must not call the pool.
type Events struct {
	// Ready tells whether the next call can be expected to find a connection.
	Ready func(server string, ready bool)
	// ToolsChanged tells that the tools of a server may have changed.
	ToolsChanged func(server string)
}

// Deps is what a pool needs.
type Deps struct {
	Clock  clock.Clock
	Logger *slog.Logger
	Events Events
	// Version of this binary, told to servers. Empty: "dev".
	Version string
}

const (
	// sessionVersion is the last MCP version with sessions; the official SDK's servers answer twice as fast in it as statelessly.
	sessionVersion = "2025-11-25"
	// statelessVersion is the first version without sessions.
	statelessVersion = "2026-07-28"

	defaultConnectTimeout = 10 * time.Second

	// maxAnswer bounds one message of a server.
	maxAnswer = 16 << 20
)
