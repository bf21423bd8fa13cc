package telephony

import (
	"errors"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
)

// HTTP gives the handler of the path /mcp.
func (t *Telephony) HTTP() http.Handler {
	server := t.MCP()
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	return mux
}

// Control gives the handler of the control endpoint, which is the callers' side: POST /ring?call=ID&caller=NUMBER, POST /hangup?call=ID,
// GET /callbacks, GET /healthz.
func (t *Telephony) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /callbacks", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]any{"callbacks": t.Exchange.Callbacks()})
	})
	mux.HandleFunc("POST /ring", func(w http.ResponseWriter, r *http.Request) {
		call, caller := r.URL.Query().Get("call"), r.URL.Query().Get("caller")
		if call == "" || caller == "" {
			http.Error(w, "give call and caller", http.StatusBadRequest)
			return
		}
		done(w, t.Exchange.Ring(call, caller))
	})
	mux.HandleFunc("POST /hangup", func(w http.ResponseWriter, r *http.Request) {
		done(w, t.Exchange.HangUp(r.URL.Query().Get("call")))
	})
	return serve.Local(mux)
}

func done(w http.ResponseWriter, err error) {
	var no exchange.Refusal
	switch {
	case err == nil:
		serve.JSON(w, http.StatusOK, map[string]string{"status": "done"})
	case errors.As(err, &no):
		http.Error(w, no.Error(), http.StatusConflict)
	default:
		http.Error(w, "the exchange failed", http.StatusInternalServerError)
	}
}
