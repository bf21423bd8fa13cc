package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

const (
	workflowPrefix = "workflow__"
	namespace      = "default"
	// requestIDArgument is added to each workflow's input, unless that has a member of this name itself.
	requestIDArgument = "request_id"
	// listAge is how long the list of workflows is believed.
	listAge = 2 * time.Second
)

// workflows keeps the tools of a server in step with the registered workflows of the default namespace.
type workflows struct {
	face *Face

	mu    sync.Mutex
	known map[string]string // digest by workflow
	read  time.Time
}

// middleware brings the tools up to date before they are listed or one that is missing is called.
func (w *workflows) middleware(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		switch call, ok := req.(*mcp.CallToolRequest); {
		case method == "tools/list":
			w.sync(ctx, false)
		case ok && strings.HasPrefix(call.Params.Name, workflowPrefix) && !w.has(strings.TrimPrefix(call.Params.Name, workflowPrefix)):
			w.sync(ctx, true)
		}
		return next(ctx, method, req)
	}
}

func (w *workflows) has(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.known[name]
	return ok
}

// sync reads the registered workflows, unless they were read a moment ago. While state is away the tools stay as they are.
func (w *workflows) sync(ctx context.Context, now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.face.options.Clock.Now()
	if !now && !w.read.IsZero() && at.Sub(w.read) < listAge {
		return
	}
	definitions, err := w.list(ctx)
	if err != nil {
		w.face.options.Logger.Warn("the workflows cannot be listed for agents", "error", err)
		return
	}
	w.read = at
	present := map[string]string{}
	for _, d := range definitions {
		present[d.GetName()] = d.GetDigest()
		if w.known[d.GetName()] != d.GetDigest() {
			w.face.workflowTool(d).addTo(w.face.server)
		}
	}
	for name := range w.known {
		if _, ok := present[name]; !ok {
			w.face.server.RemoveTools(workflowPrefix + name)
		}
	}
	w.known = present
}

func (w *workflows) list(ctx context.Context) ([]*statev1.DefinitionVersion, error) {
	var all []*statev1.DefinitionVersion
	request := &statev1.ListDefinitionsRequest{Namespace: namespace, LatestOnly: true, PageSize: 500}
	for {
		page, err := w.face.backend.Definitions.ListDefinitions(ctx, request)
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetDefinitions()...)
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return all, nil
		}
	}
}

// workflowTool is a workflow as a tool: its input is the tool's arguments.
func (f *Face) workflowTool(d *statev1.DefinitionVersion) tool {
	schema, wrapped, keyed := inputSchema(d)
	name := d.GetName()
	description := fmt.Sprintf("Starts a durable run of the workflow %q (version %s) and waits up to %v for its end. "+
		"A run that takes longer goes on by itself; run_wait waits on.", name, d.GetVersion(), defaultWait)
	if about := d.GetDefinition().GetMetadata().GetLabels()["description"]; about != "" {
		description = about + " " + description
	}
	return tool{
		name: workflowPrefix + name, description: description, schema: schema, check: true,
		run: func(ctx context.Context, in input) (*mcp.CallToolResult, error) {
			return f.startRun(ctx, name, in, wrapped, keyed)
		},
	}
}

// inputSchema is the schema of a workflow's tool. MCP wants an object: an input that is none stands under "input" (wrapped). keyed says
// that the argument request_id was added.
func inputSchema(d *statev1.DefinitionVersion) (schema json.RawMessage, wrapped, keyed bool) {
	declared := map[string]any{}
	if given := d.GetDefinition().GetInput().GetJsonSchema(); given != nil {
		declared = given.AsMap()
	}
	switch declared["type"] {
	case nil, "object":
		declared["type"] = "object"
	default:
		declared, wrapped = nested("input", declared), true
	}
	properties, ok := declared["properties"].(map[string]any)
	if !ok {
		properties = map[string]any{}
		declared["properties"] = properties
	}
	if _, taken := properties[requestIDArgument]; !taken {
		keyed = true
		properties[requestIDArgument] = map[string]any{
			"type": "string", "minLength": 1, "maxLength": 128,
			"description": "Optional. Give the same value again to get the run that it started, instead of another one.",
		}
	}
	encoded, err := json.Marshal(declared)
	if err != nil {
		return json.RawMessage(anyObject), false, false
	}
	return encoded, wrapped, keyed
}

// nested is the schema of an object with one required member of this schema. References inside it are led to their new place.
func nested(name string, schema any) map[string]any {
	return map[string]any{
		"type": "object", "required": []any{name}, "properties": map[string]any{name: moved(schema, "#/properties/"+name)},
	}
}

func moved(value any, to string) any {
	switch v := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, member := range v {
			if ref, ok := member.(string); ok && key == "$ref" && strings.HasPrefix(ref, "#") {
				copied[key] = to + strings.TrimPrefix(ref, "#")
				continue
			}
			copied[key] = moved(member, to)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i := range v {
			copied[i] = moved(v[i], to)
		}
		return copied
	default:
		return value
	}
}

// startRun starts a run and waits a while for its end.
func (f *Face) startRun(ctx context.Context, name string, in input, wrapped, keyed bool) (*mcp.CallToolResult, error) {
	given, requestID := in.arguments, in.key
	var members map[string]json.RawMessage
	if err := in.decode(&members); err != nil {
		return nil, err
	}
	if raw, ok := members[requestIDArgument]; ok && keyed {
		if err := json.Unmarshal(raw, &requestID); err != nil {
			return nil, err
		}
		delete(members, requestIDArgument)
		rest, err := json.Marshal(members)
		if err != nil {
			return nil, err
		}
		given = rest
	}
	if wrapped {
		given = members["input"]
	}
	started, err := f.backend.Runs.StartRun(ctx, &schedulerv1.StartRunRequest{Workflow: name, Input: given, RequestId: requestID})
	if err != nil {
		return nil, err
	}
	result, err := f.awaitRun(ctx, started.GetRunId(), defaultWait)
	if err != nil {
		// The run is durable, so its handle is worth more than the news that nobody can say how it stands.
		return answer(runView{
			RunID: started.GetRunId(), Workflow: name, Version: started.GetVersion(), Status: "running",
			Next: fmt.Sprintf("The run is started; how it stands could not be asked just now. Call run_wait with run_id %q.", started.GetRunId()),
		})
	}
	return result, nil
}
