package press

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sort"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/serve"
)

// metaOperation is the key of a request's _meta by which Signalbox says what a call is part of; the journal keeps it.
const metaOperation = "signalbox.dev/operation"

type (
	styleIn struct {
		Theme string `json:"theme" jsonschema:"Theme of the deck."`
	}
	styleOut struct {
		Style string `json:"style"`
	}
	none     struct{}
	pricesOK struct {
		PerRender float64 `json:"per_render" jsonschema:"In US dollars."`
	}
	renderIn struct {
		Card
		Key string `json:"key" jsonschema:"A key unique to this picture; the same key is rendered and paid once only."`
	}
	keyIn struct {
		Key string `json:"key" jsonschema:"The key it was asked for with."`
	}
	findOut struct {
		Found    bool   `json:"found"`
		RenderID string `json:"render_id,omitempty"`
	}
	pictureIn struct {
		RenderID string `json:"render_id" jsonschema:"Id of the picture, as render_card gave it."`
	}
	lookOut struct {
		Title    string `json:"title"`
		Overflow bool   `json:"overflow" jsonschema:"Whether the text does not fit the card."`
		Strength int    `json:"strength" jsonschema:"How much the card gives beyond what it costs; 0 is fair."`
	}
	discardOut struct {
		RenderID string `json:"render_id"`
		Status   Kind   `json:"status"`
	}
	publishIn struct {
		Title   string   `json:"title" jsonschema:"Title of the deck."`
		Renders []string `json:"renders" jsonschema:"Its pictures, in their order."`
		Key     string   `json:"key" jsonschema:"A key unique to this deck."`
	}
	publishOut struct {
		File  string `json:"file"`
		Cards int    `json:"cards"`
	}
)

// Server serves the press's tools.
type Server struct {
	// Press that carries them out. Required.
	Press *Press
	// Log gets faults of the server itself. Default slog.Default().
	Log *slog.Logger
}

// MCP gives a server with all tools.
func (v *Server) MCP() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "press", Title: "Printing press", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "A press for game cards. A render is slow and costs money.",
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	add(v, s, &mcp.Tool{Name: "get_style", Description: "Choose the style that fits a theme."}, read,
		func(_ context.Context, in styleIn, _ string) (styleOut, error) {
			return styleOut{styleOf(in.Theme)}, nil
		})
	add(v, s, &mcp.Tool{Name: "get_prices", Description: "Tell what a render costs."}, read,
		func(context.Context, none, string) (pricesOK, error) { return pricesOK{PerRender}, nil })
	add(v, s, &mcp.Tool{Name: "render_card", Description: "Render a card to a picture. Slow, and paid for each picture."}, write,
		func(ctx context.Context, in renderIn, operation string) (Picture, error) {
			return v.Press.Render(ctx, in.Key, in.Card, operation)
		})
	add(v, s, &mcp.Tool{Name: "find_render", Description: "Tell whether a picture was rendered with that key."}, read,
		func(_ context.Context, in keyIn, _ string) (findOut, error) {
			p, found := v.Press.Find(in.Key)
			return findOut{found, p.ID}, nil
		})
	add(v, s, &mcp.Tool{Name: "inspect_card", Description: "Look at a picture: whether its text fits, and whether the card is fair."}, read,
		func(_ context.Context, in pictureIn, _ string) (lookOut, error) {
			c, err := v.Press.Look(in.RenderID)
			return lookOut{c.Title, c.Overflows(), c.Strength()}, err
		})
	add(v, s, &mcp.Tool{Name: "discard_render", Description: "Throw a picture away. Doing it twice changes nothing more. Its money does not come back."}, idempotent,
		func(_ context.Context, in pictureIn, operation string) (discardOut, error) {
			return discardOut{in.RenderID, Discarded}, v.Press.Discard(in.RenderID, operation)
		})
	add(v, s, &mcp.Tool{Name: "publish_deck", Description: "Bind pictures to a deck and publish it."}, write,
		func(_ context.Context, in publishIn, operation string) (publishOut, error) {
			file, err := v.Press.Publish(in.Key, in.Title, in.Renders, operation)
			return publishOut{file, len(in.Renders)}, err
		})
	return s
}

// styleOf is the same for the same theme.
func styleOf(theme string) string {
	var names []string
	for name := range hues {
		names = append(names, name)
	}
	sort.Strings(names)
	sum := 0
	for _, r := range theme {
		sum += int(r)
	}
	return names[sum%len(names)]
}

// hint is what MCP's annotations say of a tool. What governs is the operator's word in signalbox.yaml.
type hint struct{ readOnly, idempotent bool }

var (
	read       = hint{readOnly: true}
	idempotent = hint{idempotent: true}
	write      = hint{}
)

// add adds a tool. The press's own no is a tool error; any other error tells no inside.
func add[In, Out any](v *Server, s *mcp.Server, tool *mcp.Tool, h hint, do func(context.Context, In, string) (Out, error)) {
	no := false
	tool.Annotations = &mcp.ToolAnnotations{ReadOnlyHint: h.readOnly, IdempotentHint: h.idempotent, DestructiveHint: &no, OpenWorldHint: &no}
	mcp.AddTool(s, tool, func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		operation, _ := req.Params.Meta[metaOperation].(string)
		out, err := do(ctx, in, operation)
		var refused Refusal
		if err != nil && !errors.As(err, &refused) {
			log := v.Log
			if log == nil {
				log = slog.Default()
			}
			log.Error("call failed", "tool", tool.Name, "error", err)
			err = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the press failed; its log says why"}
		}
		return nil, out, err
	})
}

// HTTP gives the handler of the path /mcp.
func (v *Server) HTTP() http.Handler {
	server := v.MCP()
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	return mux
}

// Control gives the handler of the control endpoint: GET /counts, GET /healthz.
func (v *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		counts, err := Counts(v.Press.dir)
		if err != nil {
			http.Error(w, "the journal cannot be read", http.StatusInternalServerError)
			return
		}
		serve.JSON(w, http.StatusOK, counts)
	})
	return serve.Local(mux)
}
