package gateway

import (
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestZeroConfigIsValid(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	probe := func(server, tool, happened string) *workflowv1.ToolRef {
		return &workflowv1.ToolRef{Server: server, Tool: tool, Happened: happened}
	}
	config := Config{
		DrainTimeout: -1,
		Servers: map[string]ServerConfig{
			"a__b":    {Stdio: &StdioConfig{Command: "x"}},
			"neither": {},
			"both":    {Stdio: &StdioConfig{Command: "x"}, HTTP: &HTTPConfig{URL: "http://h/mcp"}},
			"empty":   {Stdio: &StdioConfig{}, MaxConcurrency: -1},
			"address": {HTTP: &HTTPConfig{URL: "localhost:8000", Headers: map[string]string{"idempotency-key": "x"}}},
			"desk": {HTTP: &HTTPConfig{URL: "http://h/mcp"}, Tools: map[string]ToolPolicy{
				"one":   {Reconcile: probe("dsek", "find", "output")},
				"two":   {Reconcile: probe("desk", "", "output")},
				"three": {Reconcile: probe("desk", "one", "")},
				"four":  {Reconcile: probe("desk", "five", "output"), MaxDuration: -1},
				"five":  {Effect: workflowv1.Effect_EFFECT_WRITE},
				"six":   {Effect: 99},
			}},
		},
	}
	err := config.Validate()
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"drain_timeout: ", "servers.a__b: ", "servers.neither: give stdio", "servers.both: has both", "servers.empty.stdio.command: ",
		"servers.empty.max_concurrency: ", "servers.address.http.url: ", "servers.address.http.headers.idempotency-key: ",
		`servers.desk.tools.one.reconcile.server: "dsek" is not declared; did you mean "desk"?`, "servers.desk.tools.two.reconcile.tool: ",
		"servers.desk.tools.three.reconcile.happened: ", "servers.desk.tools.four.reconcile.tool: desk/five is declared as more than read",
		"servers.desk.tools.four.max_duration: ", "servers.desk.tools.six.effect: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q", want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 14 {
		t.Errorf("%d problems:\n%v", n, err)
	}
}
