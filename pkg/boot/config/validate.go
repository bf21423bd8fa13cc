package config

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/pkg/telemetry"
)

// Validate finds everything wrong with a configuration that was made by hand; Load does the same and knows the origins. lookup finds
// the variables that ${env:NAME} names, for example os.LookupEnv.
func (c *Config) Validate(lookup func(string) (string, bool)) error {
	problems := &report{}
	c.check(problems, func(string) string { return "" }, lookup)
	return problems.err()
}

// checker gives every section the same few means.
type checker struct {
	report *report
	origin func(path string) string
	lookup func(name string) (string, bool)
}

func (k checker) add(path, format string, args ...any) {
	k.report.add(path, k.origin(path), format, args...)
}

// oneOf accepts "" too: it stands for the default.
func (k checker) oneOf(path, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		k.add(path, "%q is none of %s%s", value, strings.Join(allowed, ", "), nearest.Hint(value, allowed))
	}
}

func (c *Config) check(problems *report, origin func(string) string, lookup func(string) (string, bool)) {
	k := checker{report: problems, origin: origin, lookup: lookup}
	if c.DataDir == "" {
		k.add("data_dir", "this is empty; name a folder")
	}
	c.Auth.check(k)
	c.Listen.check(k, c.Auth.APIKey != "" || c.Auth.APIKeyFile != "")
	c.Services.check(k)
	for _, endpoint := range c.Etcd.Endpoints {
		k.url("etcd.endpoints", endpoint, "http://127.0.0.1:2379")
	}
	k.oneOf("log.level", c.Log.Level, telemetry.Levels)
	k.oneOf("log.format", c.Log.Format, telemetry.Formats)
	if c.Shutdown.Timeout <= 0 {
		k.add("shutdown.timeout", "%v leaves no time to end; give more than 0s", c.Shutdown.Timeout)
	}
	c.State.check(k)
	if c.Recovery.CacheBytes < 0 {
		k.add("recovery.cache_bytes", "%d is negative; give a number of bytes, or 0 to keep nothing", c.Recovery.CacheBytes)
	}
	c.Secrets.check(k)
	c.checkServers(k)
}

var envPrefix = regexp.MustCompile(`^[A-Z][A-Z0-9_]*_$`)

func (s Secrets) check(k checker) {
	switch {
	case !envPrefix.MatchString(s.EnvPrefix):
		k.add("secrets.env_prefix", `%q is not a prefix of variables; give capital letters, digits and "_", with "_" at the end, for example SIGNALBOX_SECRET_`, s.EnvPrefix)
	case strings.HasPrefix(setting{path: "auth.api_key"}.variable(), s.EnvPrefix):
		k.add("secrets.env_prefix", "%q begins the names of settings too, the API key among them, and would give them to definitions; give a longer one", s.EnvPrefix)
	}
}

func (s State) check(k checker) {
	times := map[string]time.Duration{"state.retention": s.Retention, "state.event_retention": s.EventRetention}
	for namespace, keep := range s.RetentionByNamespace {
		times["state.retention_by_namespace."+namespace] = keep
	}
	for _, path := range slices.Sorted(maps.Keys(times)) {
		if keep := times[path]; keep < 0 {
			k.add(path, "%v is negative; give a time such as 720h, or 0s to keep for ever", keep)
		}
	}
}

func (a Auth) check(k checker) {
	if a.APIKey != "" && a.APIKeyFile != "" {
		k.add("auth.api_key_file", "auth.api_key is set too; keep one of them")
		return
	}
	if a.APIKey != "" && strings.TrimSpace(a.APIKey.Reveal()) != a.APIKey.Reveal() {
		k.add("auth.api_key", "the key begins or ends with a blank, which no header can carry; remove it")
	}
	if _, err := a.Key(); err != nil {
		k.add("auth.api_key_file", "%s", strings.TrimPrefix(err.Error(), "auth.api_key_file: "))
	}
}

func (l Listen) check(k checker, authenticated bool) {
	taken := map[string]string{}
	for _, listener := range []struct{ path, addr string }{{"listen.grpc", l.GRPC}, {"listen.http", l.HTTP}, {"listen.admin", l.Admin}} {
		if err := authn.CheckListen(listener.path, listener.addr, authenticated); err != nil {
			k.invalid(listener.path, err)
			continue
		}
		if other, ok := taken[listener.addr]; ok && !strings.HasSuffix(listener.addr, ":0") {
			k.add(listener.path, "%q is the address of %s already; give another port", listener.addr, other)
		}
		taken[listener.addr] = listener.path
	}
	for _, origin := range l.AllowedOrigins {
		k.url("listen.allowed_origins", origin, "https://console.example")
	}
}

// invalid takes over the problems of an error of pkg/errs.
func (k checker) invalid(path string, err error) {
	refusal, ok := errs.From(err)
	if !ok || len(refusal.Fields()) == 0 {
		k.add(path, "%v", err)
		return
	}
	for _, violation := range refusal.Fields() {
		k.add(violation.Field, "%s", violation.Problem)
	}
}

func (s Services) check(k checker) {
	for name, addr := range s.Addresses() {
		if authn.IsUnix(addr) || strings.Contains(addr, "://") {
			continue
		}
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || !isPort(port) {
			k.add("services."+name+".address", "%q is not an address to call; give HOST:PORT, for example 127.0.0.1:7411", addr)
		}
	}
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0 && n < 1<<16
}

func (k checker) url(path, text, example string) {
	parsed, err := url.Parse(text)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		k.add(path, "%q is not a URL; give one such as %s", text, example)
	}
}

var serverName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func (c *Config) checkServers(k checker) {
	names := make([]string, 0, len(c.Servers))
	for name := range c.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := "servers." + name
		if !serverName.MatchString(name) || strings.Contains(name, "__") {
			k.add(path, `%q is not a name for a tool server; use lower case letters, digits, "-" and "_", without "__"`, name)
		}
		c.Servers[name].check(k, path, names)
	}
}

func (s ToolServer) check(k checker, path string, servers []string) {
	switch {
	case (s.Stdio == nil) == (s.HTTP == nil):
		k.add(path, "a tool server has either stdio or http; give one of them")
	case s.Stdio != nil:
		if len(s.Stdio.Command) == 0 || s.Stdio.Command[0] == "" {
			k.add(path+".stdio.command", "this is empty; give the program and its arguments as a list")
		}
		k.references(path+".stdio.env", s.Stdio.Env)
	default:
		k.url(path+".http.url", s.HTTP.URL, "http://127.0.0.1:8000/mcp")
		k.references(path+".http.headers", s.HTTP.Headers)
	}
	if s.MaxConcurrency < 0 {
		k.add(path+".max_concurrency", "%d is negative; give 1 or more, or leave it out for 32", s.MaxConcurrency)
	}
	k.oneOf(path+".default_effect", string(s.DefaultEffect), effects)
	for name, tool := range s.Tools {
		tool.check(k, path+".tools."+name, servers)
	}
}

func (k checker) references(path string, values map[string]string) {
	if _, err := Expand(values, k.lookup); err != nil {
		k.add(path, "%v", err)
	}
}

func (t Tool) check(k checker, path string, servers []string) {
	k.oneOf(path+".effect", string(t.Effect), effects)
	if t.MaxDuration < 0 {
		k.add(path+".max_duration", "%v is negative; leave it out for 1m", t.MaxDuration)
	}
	if t.Effect == EffectRead && (t.Reconcile != nil || t.IdempotencyArgument != "") {
		k.add(path, "a read can always be repeated and needs neither reconcile nor idempotency_argument; remove them, or correct the effect")
	}
	if t.Reconcile == nil {
		return
	}
	if t.Reconcile.Tool == "" {
		k.add(path+".reconcile.tool", "this is empty; name the read tool that tells whether the write happened")
	}
	if t.Reconcile.Happened == "" {
		k.add(path+".reconcile.happened", "this is empty; give a CEL expression over output that is true when the write happened")
	}
	if server := t.Reconcile.Server; server != "" && !slices.Contains(servers, server) {
		k.add(path+".reconcile.server", "no tool server %q is declared%s", server, nearest.Hint(server, servers))
	}
}
