package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/services/gateway"
)

func TestToolServersReachTheGatewayWhole(t *testing.T) {
	t.Setenv("DESK_TOKEN", "hush")
	session, stateless := true, false
	got, err := toolServers(map[string]config.ToolServer{
		"desk": {
			HTTP:           &config.HTTP{URL: "http://127.0.0.1:1/mcp", Headers: map[string]string{"Authorization": "Bearer ${env:DESK_TOKEN}"}, Session: &session},
			MaxConcurrency: 4,
			Tools: map[string]config.Tool{
				"create_refund": {Effect: config.EffectWrite, IdempotencyArgument: "key", MaxDuration: time.Second, Reconcile: &config.Probe{
					Tool: "find_refund", Arguments: map[string]any{"key": "${ self.idempotency_key }"}, Happened: "output.found",
				}},
				"mail": {Effect: config.EffectIrreversible, Reconcile: &config.Probe{Server: "files", Tool: "outbox", Happened: "true"}},
			},
		},
		"new":   {HTTP: &config.HTTP{URL: "http://127.0.0.1:2/mcp", Session: &stateless}},
		"files": {Stdio: &config.Stdio{Command: []string{"files", "--root", "/srv"}, Env: map[string]string{"TOKEN": "${env:DESK_TOKEN}"}, Dir: "/srv"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arguments, err := structpb.NewStruct(map[string]any{"key": "${ self.idempotency_key }"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]gateway.ServerConfig{
		"desk": {
			HTTP:           &gateway.HTTPConfig{URL: "http://127.0.0.1:1/mcp", Headers: map[string]string{"Authorization": "Bearer hush"}},
			MaxConcurrency: 4, ProtocolVersion: "2025-11-25",
			Tools: map[string]gateway.ToolPolicy{
				"create_refund": {
					Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key", MaxDuration: time.Second,
					Reconcile: &workflowv1.ToolRef{Server: "desk", Tool: "find_refund", Arguments: arguments, Happened: "output.found"},
				},
				"mail": {
					Effect:    workflowv1.Effect_EFFECT_IRREVERSIBLE,
					Reconcile: &workflowv1.ToolRef{Server: "files", Tool: "outbox", Arguments: &structpb.Struct{}, Happened: "true"},
				},
			},
		},
		"new": {HTTP: &gateway.HTTPConfig{URL: "http://127.0.0.1:2/mcp", Headers: map[string]string{}}, ProtocolVersion: "2026-07-28", Tools: map[string]gateway.ToolPolicy{}},
		"files": {
			Stdio: &gateway.StdioConfig{Command: "files", Args: []string{"--root", "/srv"}, Env: map[string]string{"TOKEN": "hush"}, Dir: "/srv"},
			Tools: map[string]gateway.ToolPolicy{},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("tool servers (-want +got):\n%s", diff)
	}
	if err := (gateway.Config{Servers: got}).Validate(); err != nil {
		t.Errorf("the gateway refuses them: %v", err)
	}
}

func TestEveryEffectHasItsName(t *testing.T) {
	for name, want := range map[config.Effect]workflowv1.Effect{
		"": workflowv1.Effect_EFFECT_UNSPECIFIED, config.EffectRead: workflowv1.Effect_EFFECT_READ,
		config.EffectIdempotentWrite: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE, config.EffectWrite: workflowv1.Effect_EFFECT_WRITE,
		config.EffectIrreversible: workflowv1.Effect_EFFECT_IRREVERSIBLE,
	} {
		if got := effect(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
}

func TestDefaultEffectReachesTheGateway(t *testing.T) {
	servers, err := toolServers(map[string]config.ToolServer{"desk": {HTTP: &config.HTTP{URL: "http://h/mcp"}, DefaultEffect: config.EffectRead}})
	if err != nil || servers["desk"].DefaultEffect != workflowv1.Effect_EFFECT_READ {
		t.Errorf("got %+v, %v", servers, err)
	}
}

func TestUnsetVariableNamesServerAndHeader(t *testing.T) {
	_, err := toolServers(map[string]config.ToolServer{"desk": {HTTP: &config.HTTP{URL: "http://h/mcp", Headers: map[string]string{"X": "${env:SIGNALBOX_TEST_UNSET}"}}}})
	if err == nil || !contains(err.Error(), "servers.desk", "http.headers", "X", "SIGNALBOX_TEST_UNSET") {
		t.Errorf("got %v", err)
	}
}
