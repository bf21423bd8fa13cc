package main

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/gateway"
)

// Versions of MCP by the setting servers.NAME.http.session.
const (
	sessionProtocol   = "2025-11-25"
	statelessProtocol = "2026-07-28"
)

// toolServers are the tool servers of the configuration as the gateway wants them, with what ${env:NAME} stands for.
func toolServers(declared map[string]config.ToolServer) (map[string]gateway.ServerConfig, error) {
	servers := map[string]gateway.ServerConfig{}
	for name, server := range declared {
		made, err := toolServer(name, server)
		if err != nil {
			return nil, errs.Invalid("servers."+name, "%v", err)
		}
		servers[name] = made
	}
	return servers, nil
}

func toolServer(name string, declared config.ToolServer) (gateway.ServerConfig, error) {
	made := gateway.ServerConfig{
		MaxConcurrency: declared.MaxConcurrency, Tools: map[string]gateway.ToolPolicy{}, DefaultEffect: effect(declared.DefaultEffect),
	}
	if stdio := declared.Stdio; stdio != nil {
		env, err := config.Expand(stdio.Env, os.LookupEnv)
		if err != nil {
			return made, fmt.Errorf("stdio.env: %w", err)
		}
		made.Stdio = &gateway.StdioConfig{Command: stdio.Command[0], Args: stdio.Command[1:], Env: env, Dir: stdio.Dir}
	}
	if http := declared.HTTP; http != nil {
		headers, err := config.Expand(http.Headers, os.LookupEnv)
		if err != nil {
			return made, fmt.Errorf("http.headers: %w", err)
		}
		made.HTTP = &gateway.HTTPConfig{URL: http.URL, Headers: headers}
		switch {
		case http.Session == nil:
		case *http.Session:
			made.ProtocolVersion = sessionProtocol
		default:
			made.ProtocolVersion = statelessProtocol
		}
	}
	for tool, known := range declared.Tools {
		policy, err := toolPolicy(name, known)
		if err != nil {
			return made, fmt.Errorf("tools.%s: %w", tool, err)
		}
		made.Tools[tool] = policy
	}
	return made, nil
}

func toolPolicy(server string, known config.Tool) (gateway.ToolPolicy, error) {
	policy := gateway.ToolPolicy{
		Effect: effect(known.Effect), IdempotencyArgument: known.IdempotencyArgument, MaxDuration: known.MaxDuration,
	}
	if probe := known.Reconcile; probe != nil {
		arguments, err := structpb.NewStruct(probe.Arguments)
		if err != nil {
			return policy, fmt.Errorf("reconcile.arguments: %w", err)
		}
		policy.Reconcile = &workflowv1.ToolRef{Server: probe.Server, Tool: probe.Tool, Arguments: arguments, Happened: probe.Happened}
		if probe.Server == "" {
			policy.Reconcile.Server = server
		}
	}
	return policy, nil
}

// effect is EFFECT_UNSPECIFIED for "".
func effect(name config.Effect) workflowv1.Effect {
	return workflowv1.Effect(workflowv1.Effect_value["EFFECT_"+strings.ToUpper(string(name))])
}

// publicURL is where agents on this machine reach the HTTP listener; "" for a unix socket, which has no URL.
func publicURL(address string) string {
	if address == "" || strings.HasPrefix(address, "unix:") {
		return ""
	}
	return "http://" + address
}
