package desk

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
)

// maxBody is the largest request the fault switches read; the tools' schemas allow far less.
const maxBody = 1 << 20

// HTTPOptions say how the desk speaks streamable HTTP. The zero value is a good choice.
type HTTPOptions struct {
	// Stateless serves each request by itself (and protocol 2026-07-28). Default: sessions.
	Stateless bool
	// EventStream answers with text/event-stream instead of application/json, which costs more.
	EventStream bool
	// SessionTimeout closes sessions that are idle for so long. Default 30 minutes.
	SessionTimeout time.Duration
	// Token, if set, is the bearer token that every request must carry.
	Token string
}

// HTTP gives the handler of the path /mcp.
func (d *Desk) HTTP(o HTTPOptions) http.Handler {
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 30 * time.Minute
	}
	server := d.MCP(false)
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless: o.Stateless, JSONResponse: !o.EventStream, SessionTimeout: o.SessionTimeout, MaxRequestBodyBytes: maxBody,
	})
	mux := http.NewServeMux()
	mux.Handle("/mcp", bearer(o.Token, d.arriving(inner)))
	return mux
}

// bearer lets only requests with the token through; an empty token lets all through.
func bearer(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "missing or wrong bearer token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// arriving asks the fault switches about tool calls before MCP sees them.
func (d *Desk) arriving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.cfg.Faults.Live() || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the request is larger than "+strconv.Itoa(maxBody)+" bytes", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		tool := calledTool(body)
		count, known := d.tallies[tool]
		if !known {
			next.ServeHTTP(w, r)
			return
		}
		fired, err := d.cfg.Faults.Ask(faults.Arrival, tool)
		if err != nil {
			d.cfg.Log.Error("fault switches failed", "error", err)
			http.Error(w, "the desk failed; its log says why", http.StatusInternalServerError)
			return
		}
		if len(fired) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		count.faulted.Add(1)
		turnAway(w, fired[0])
	})
}

// calledTool gives the tool that a JSON-RPC request calls, "" when it is another request.
func calledTool(body []byte) string {
	var m struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &m) != nil || m.Method != "tools/call" {
		return ""
	}
	return m.Params.Name
}

func turnAway(w http.ResponseWriter, r faults.Rule) {
	switch r.Kind {
	case faults.HTTP500:
		http.Error(w, "fault switch: "+r.ID, http.StatusInternalServerError)
	case faults.Throttle:
		w.Header().Set("Retry-After", strconv.Itoa(r.RetryAfterS))
		http.Error(w, "fault switch: "+r.ID, http.StatusTooManyRequests)
	default: // refuse: the connection ends without an answer
		panic(http.ErrAbortHandler)
	}
}
