package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// tool is a tool of the face. Arguments and results pass through as raw JSON, so that numbers keep their digits.
type tool struct {
	name        string
	description string
	// schema is a JSON Schema of type object.
	schema json.RawMessage
	reads  bool
	// check says whether arguments are held to the schema here; those of federated tools are checked by whoever pinned their schema.
	check bool
	// run does the work. An error is told to the model in words; what is told otherwise comes as the result.
	run func(ctx context.Context, in input) (*mcp.CallToolResult, error)
}

// input is what a call of a tool brings.
type input struct {
	arguments json.RawMessage // an object, never empty
	key       string          // the client's own idempotency key; "" when it sends none
}

// keyMeta is where clients may send an idempotency key of their own.
const keyMeta = "signalbox.dev/idempotency-key"

// addTo puts the tool on a server. A schema that the SDK does not take is replaced by one that takes any object: it comes from a tool
// server, and one odd tool must not take the others with it.
func (t tool) addTo(server *mcp.Server) {
	var schema *workflow.Schema
	if t.check {
		// One that does not compile checks nothing; whoever owns the tool checks again.
		schema, _ = workflow.NewSchema(t.schema)
	}
	handler := func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return t.handle(ctx, req, schema), nil
	}
	declared := &mcp.Tool{Name: t.name, Description: t.description, InputSchema: t.schema, Annotations: &mcp.ToolAnnotations{ReadOnlyHint: t.reads}}
	if !added(server, declared, handler) {
		declared.InputSchema = json.RawMessage(anyObject)
		added(server, declared, handler)
	}
}

const anyObject = `{"type":"object"}`

// added reports whether the SDK took the tool; it panics on schemas that it does not like.
func added(server *mcp.Server, declared *mcp.Tool, handler mcp.ToolHandler) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	server.AddTool(declared, handler)
	return true
}

func (t tool) handle(ctx context.Context, req *mcp.CallToolRequest, schema *workflow.Schema) *mcp.CallToolResult {
	in := input{arguments: bytes.TrimSpace(req.Params.Arguments)}
	if len(in.arguments) == 0 || bytes.Equal(in.arguments, []byte("null")) {
		in.arguments = json.RawMessage("{}")
	}
	in.key, _ = req.Params.Meta[keyMeta].(string)
	if schema != nil {
		if err := schema.Validate(in.arguments); err != nil {
			return refused(fmt.Sprintf("The arguments of %s do not fit: %v. Nothing was done; correct them and call again.", t.name, err))
		}
	}
	result, err := t.run(ctx, in)
	if err != nil {
		return refusal(err)
	}
	return result
}

// decode reads arguments that have passed their schema.
func (in input) decode(into any) error {
	if err := json.Unmarshal(in.arguments, into); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	return nil
}

// answer is a result as structured content, and the same as text for clients that know no other.
func answer(value any) (*mcp.CallToolResult, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return &mcp.CallToolResult{
		StructuredContent: json.RawMessage(encoded), Content: []mcp.Content{&mcp.TextContent{Text: string(encoded)}},
	}, nil
}

// passed is the output of a tool server's tool, as that tool's own result would look.
func passed(output []byte, isError bool) *mcp.CallToolResult {
	result := &mcp.CallToolResult{IsError: isError}
	text := string(output)
	var words string
	if json.Unmarshal(output, &words) == nil {
		text = words
	} else if bytes.HasPrefix(bytes.TrimSpace(output), []byte("{")) {
		result.StructuredContent = json.RawMessage(output)
	}
	result.Content = []mcp.Content{&mcp.TextContent{Text: text}}
	return result
}
