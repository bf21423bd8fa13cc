package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/mcpclient"
)

// Config is the gateway's configuration. Its zero value is valid: no tool servers, every limit at its default.
type Config struct {
	// Servers are the tool servers, by name: letters, digits, "-" and "_", without "__".
	Servers map[string]ServerConfig
	// DrainTimeout is how long a stopping gateway waits for calls under way. Default 10s.
	DrainTimeout time.Duration
	// ReceiptAge is how long results are kept for schedulers that ask again. Default 10m.
	ReceiptAge time.Duration
	// MaxOutput is the largest output of a tool in bytes; a larger one makes the outcome unknown. Default 3 MiB, which fits into the
	// 4 MiB that gRPC messages have by default.
	MaxOutput int
	// MCPSessionTimeout ends an agent's idle MCP session. Default 30m.
	MCPSessionTimeout time.Duration
	// MaxRequest is the largest HTTP request of an agent in bytes. Default 4 MiB.
	MaxRequest int64
	// SecretEnvPrefix begins the names of the variables that definitions may name as secrets. Default "SIGNALBOX_SECRET_".
	SecretEnvPrefix string
	// SecretFolder is the folder whose files definitions may name as secrets. Empty: there are none.
	SecretFolder string
}

// ServerConfig declares a tool server. Exactly one of Stdio and HTTP is set.
type ServerConfig struct {
	Stdio *StdioConfig
	HTTP  *HTTPConfig
	// MaxConcurrency is the most calls at once. Default 32.
	MaxConcurrency int
	// ProtocolVersion is the MCP version offered first. Empty: 2025-11-25 with a session, and 2026-07-28 when that is refused.
	ProtocolVersion string
	// ConnectTimeout bounds the start of a session. Default 10s.
	ConnectTimeout time.Duration
	// Tools are the policies of its tools, by name. A tool without an effect has the server's DefaultEffect, else what its hints say.
	Tools map[string]ToolPolicy
	// DefaultEffect of tools that declare none; unspecified leaves it to the server's hints, and to WRITE where there are none.
	DefaultEffect workflowv1.Effect
}

// StdioConfig declares a server that is started as a process and spoken to over its standard streams.
type StdioConfig struct {
	// Command is a path, or a name looked up in PATH.
	Command string
	Args    []string
	// Env is added to HOME, LANG, LC_ALL, LOGNAME, PATH, SHELL, TERM, TMPDIR, TZ and USER; nothing else is inherited.
	Env map[string]string
	// Dir is the working directory. Empty: that of this process.
	Dir string
}

// HTTPConfig declares a server that speaks streamable HTTP.
type HTTPConfig struct {
	// URL of the endpoint. Redirects are not followed.
	URL string
	// Headers go with every request; they may hold secrets and are never logged.
	Headers map[string]string
}

// ToolPolicy governs the calls of a tool.
type ToolPolicy struct {
	// Effect; unspecified leaves it to the server's hints, and to WRITE where there are none.
	Effect workflowv1.Effect
	// IdempotencyArgument is the argument that carries the idempotency key. Empty: the tool takes none.
	IdempotencyArgument string
	// Reconcile is the READ probe that tells whether a call of unknown outcome happened. Nil: there is none.
	Reconcile *workflowv1.ToolRef
	// MaxDuration is how long a call can still take effect after it was sent. Default 60s.
	MaxDuration time.Duration
}

const (
	defaultDrainTimeout    = 10 * time.Second
	defaultSecretEnvPrefix = "SIGNALBOX_SECRET_"
)

// Validate reports everything that is wrong with the configuration, each with its place and how to mend it.
func (c Config) Validate() error {
	var problems []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"drain_timeout", c.DrainTimeout}, {"receipt_age", c.ReceiptAge}, {"mcp_session_timeout", c.MCPSessionTimeout}} {
		if d.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %v is negative; leave it out for the default", d.name, d.value))
		}
	}
	if c.MaxOutput < 0 || c.MaxRequest < 0 {
		problems = append(problems, errors.New("max_output, max_request: negative; leave them out for the defaults"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		problems = append(problems, c.checkServer(name)...)
	}
	return errors.Join(problems...)
}

var serverName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`)

func (c Config) checkServer(name string) []error {
	var problems []error
	server := c.Servers[name]
	refuse := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("servers.%s%s: %s", name, field, fmt.Sprintf(format, args...)))
	}
	if !serverName.MatchString(name) || strings.Contains(name, "__") {
		refuse("", `not a name for a server; use letters, digits, "-" and "_", and no "__", which separates server and tool`)
	}
	switch {
	case server.Stdio == nil && server.HTTP == nil:
		refuse("", "give stdio (a command) or http (a url)")
	case server.Stdio != nil && server.HTTP != nil:
		refuse("", "has both stdio and http; give one")
	case server.Stdio != nil && server.Stdio.Command == "":
		refuse(".stdio.command", "is empty; name the program")
	case server.HTTP != nil:
		server.HTTP.check(refuse)
	}
	if server.MaxConcurrency < 0 {
		refuse(".max_concurrency", "%d is negative; leave it out for %d", server.MaxConcurrency, core.DefaultConcurrency)
	}
	if server.ConnectTimeout < 0 {
		refuse(".connect_timeout", "%v is negative; leave it out for the default", server.ConnectTimeout)
	}
	for _, tool := range slices.Sorted(maps.Keys(server.Tools)) {
		c.checkPolicy(server.Tools[tool], func(field, format string, args ...any) { refuse(".tools."+tool+field, format, args...) })
	}
	return problems
}

// replayHeaders are headers that make Go's HTTP client send a request again by itself.
var replayHeaders = []string{"Idempotency-Key", "X-Idempotency-Key"}

func (h *HTTPConfig) check(refuse func(field, format string, args ...any)) {
	address, err := url.Parse(h.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		refuse(".http.url", "is not an address; it looks like https://host:port/mcp")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if slices.Contains(replayHeaders, http.CanonicalHeaderKey(name)) {
			refuse(".http.headers."+name, "a fixed idempotency key would make different calls look like one; declare the tool's idempotency_argument")
		}
	}
}

func (c Config) checkPolicy(policy ToolPolicy, refuse func(field, format string, args ...any)) {
	if _, ok := workflowv1.Effect_name[int32(policy.Effect)]; !ok {
		refuse(".effect", "%d is no effect; use read, idempotent_write, write or irreversible", policy.Effect)
	}
	if policy.MaxDuration < 0 {
		refuse(".max_duration", "%v is negative; leave it out for 60s", policy.MaxDuration)
	}
	if policy.Reconcile == nil {
		return
	}
	probe, ok := c.Servers[policy.Reconcile.GetServer()]
	switch {
	case !ok:
		refuse(".reconcile.server", "%q is not declared%s", policy.Reconcile.GetServer(),
			nearest.Hint(policy.Reconcile.GetServer(), slices.Collect(maps.Keys(c.Servers))))
	case policy.Reconcile.GetTool() == "":
		refuse(".reconcile.tool", "is empty; name the tool that looks")
	case policy.Reconcile.GetHappened() == "":
		refuse(".reconcile.happened", "is empty; give the CEL condition over output that says whether it happened")
	default:
		effect := probe.Tools[policy.Reconcile.GetTool()].Effect
		if effect != workflowv1.Effect_EFFECT_UNSPECIFIED && effect != workflowv1.Effect_EFFECT_READ {
			refuse(".reconcile.tool", "%s/%s is declared as more than read; a probe only looks", policy.Reconcile.GetServer(), policy.Reconcile.GetTool())
		}
	}
}

// clients are the servers as the MCP client wants them.
func (c Config) clients() []mcpclient.Server {
	var servers []mcpclient.Server
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		declared := c.Servers[name]
		server := mcpclient.Server{
			Name: name, Concurrency: declared.MaxConcurrency, ProtocolVersion: declared.ProtocolVersion, ConnectTimeout: declared.ConnectTimeout,
		}
		if server.Concurrency == 0 {
			server.Concurrency = core.DefaultConcurrency
		}
		if declared.Stdio != nil {
			stdio := mcpclient.Stdio(*declared.Stdio)
			server.Stdio = &stdio
		} else {
			overHTTP := mcpclient.HTTP(*declared.HTTP)
			server.HTTP = &overHTTP
		}
		servers = append(servers, server)
	}
	return servers
}

// concurrency and policies are the servers as core wants them.
func (c Config) concurrency() map[string]int {
	limits := map[string]int{}
	for name, server := range c.Servers {
		limits[name] = server.MaxConcurrency
	}
	return limits
}

func (c Config) policies() map[string]map[string]core.Policy {
	all := map[string]map[string]core.Policy{}
	for name, server := range c.Servers {
		all[name] = map[string]core.Policy{core.EveryTool: {Effect: server.DefaultEffect}}
		for tool, policy := range server.Tools {
			all[name][tool] = core.Policy(policy)
		}
	}
	return all
}
