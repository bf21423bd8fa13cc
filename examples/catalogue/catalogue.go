// Package catalogue makes of an MCP server and of what an operator declared about it (signalbox.yaml) the catalogue that Signalbox would hold, so
// that an example's workflow can be checked without starting anything.
package catalogue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
)

// Declarations asks a server for its tools and joins them with what the configuration says of the server of that name. A tool that only one of
// the two knows is an error.
func Declarations(ctx context.Context, name, settings string, server *mcp.Server) (_ []*workflowv1.ToolDeclaration, err error) {
	declared, err := load(name, settings)
	if err != nil {
		return nil, err
	}
	tools, err := list(ctx, server)
	if err != nil {
		return nil, err
	}
	var out []*workflowv1.ToolDeclaration
	for _, t := range tools {
		known, ok := declared.Tools[t.Name]
		if !ok {
			return nil, fmt.Errorf("the configuration says nothing of tool %s", t.Name)
		}
		delete(declared.Tools, t.Name)
		d, err := declaration(name, t, known)
		if err != nil {
			return nil, fmt.Errorf("tool %s: %w", t.Name, err)
		}
		out = append(out, d)
	}
	for left := range declared.Tools {
		return nil, fmt.Errorf("the configuration names tool %s, which the server does not have", left)
	}
	return out, nil
}

// load reads a configuration as signalbox does.
func load(name, settings string) (config.ToolServer, error) {
	dir, err := os.MkdirTemp("", "catalogue-")
	if err != nil {
		return config.ToolServer{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "signalbox.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return config.ToolServer{}, err
	}
	loaded, err := config.Load(config.Sources{File: file})
	if err != nil {
		return config.ToolServer{}, err
	}
	declared, ok := loaded.Servers[name]
	if !ok {
		return declared, fmt.Errorf("the configuration has no tool server %s", name)
	}
	return declared, nil
}

func list(ctx context.Context, server *mcp.Server) (_ []*mcp.Tool, err error) {
	here, there := mcp.NewInMemoryTransports()
	serving, err := server.Connect(ctx, there, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, serving.Wait()) }()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "catalogue"}, nil).Connect(ctx, here, nil)
	if err != nil {
		return nil, errors.Join(err, serving.Close())
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	var tools []*mcp.Tool
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		tools = append(tools, tool)
	}
	return tools, nil
}

func declaration(server string, t *mcp.Tool, known config.Tool) (*workflowv1.ToolDeclaration, error) {
	d := &workflowv1.ToolDeclaration{
		Server: server, Name: t.Name, Description: t.Description, EffectDeclared: true,
		Effect:              workflowv1.Effect(workflowv1.Effect_value["EFFECT_"+strings.ToUpper(string(known.Effect))]),
		IdempotencyArgument: known.IdempotencyArgument, MaxDuration: durationpb.New(known.MaxDuration),
	}
	var err error
	if d.InputSchema, err = json.Marshal(t.InputSchema); err != nil {
		return nil, err
	}
	if t.OutputSchema != nil {
		if d.OutputSchema, err = json.Marshal(t.OutputSchema); err != nil {
			return nil, err
		}
	}
	if probe := known.Reconcile; probe != nil {
		args, err := structpb.NewStruct(probe.Arguments)
		if err != nil {
			return nil, err
		}
		d.Reconcile = &workflowv1.ToolRef{Server: server, Tool: probe.Tool, Arguments: args, Happened: probe.Happened}
	}
	return d, nil
}
