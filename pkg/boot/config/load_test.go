package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// in writes the file into a folder of its own and makes that the working directory, so that messages name "signalbox.yaml".
func in(t *testing.T, content string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(config.DefaultFile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutAnythingTheDefaultsHold(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), loaded.Config); diff != "" {
		t.Error(diff)
	}
	if loaded.Origin("listen.grpc") != "default" || loaded.File != "" {
		t.Errorf("origin %q, file %q", loaded.Origin("listen.grpc"), loaded.File)
	}
}

func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	in(t, "log: {level: warn, format: json}\nlisten:\n  grpc: 127.0.0.1:1\nshutdown: {timeout: 3s}\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.BindFlags(flags)
	if err := flags.Parse([]string{"--log-level", "debug", "--telemetry-call-metrics=false", "--etcd-endpoints", "http://a:1, http://b:2"}); err != nil {
		t.Fatal(err)
	}
	env := []string{"SIGNALBOX_LOG_LEVEL=error", "SIGNALBOX_LISTEN_GRPC=127.0.0.1:2", "SIGNALBOX_SERVICES_STATE_ADDRESS=10.0.0.1:7411"}
	loaded, err := config.Load(config.Sources{Env: env, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Log = config.Log{Level: "debug", Format: "json"}
	want.Listen.GRPC = "127.0.0.1:2"
	want.Shutdown.Timeout = 3 * time.Second
	want.Telemetry.CallMetrics = false
	want.Etcd.Endpoints = []string{"http://a:1", "http://b:2"}
	want.Services.State.Address = "10.0.0.1:7411"
	if diff := cmp.Diff(want, loaded.Config); diff != "" {
		t.Error(diff)
	}
	for path, origin := range map[string]string{
		"log.level": "--log-level", "listen.grpc": "SIGNALBOX_LISTEN_GRPC", "shutdown.timeout": "signalbox.yaml:4",
		"log.format": "signalbox.yaml:1", "data_dir": "default",
	} {
		if got := loaded.Origin(path); got != origin {
			t.Errorf("%s came from %s, want %s", path, got, origin)
		}
	}
	if got := loaded.Services.Addresses(); len(got) != 1 || got["state"] != "10.0.0.1:7411" {
		t.Errorf("addresses %v", got)
	}
}

func TestFileIsFoundByFlagThenVariable(t *testing.T) {
	in(t, "data_dir: from-default-file\n")
	for name := range map[string]bool{"flag": true, "variable": true} {
		if err := os.WriteFile(name+".yaml", []byte("data_dir: from-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.BindFlags(flags)
	load := func(want string, sources config.Sources) {
		t.Helper()
		loaded, err := config.Load(sources)
		if err != nil || loaded.DataDir != want {
			t.Errorf("got %q, %v, want %q", loaded.DataDir, err, want)
		}
	}
	env := []string{"SIGNALBOX_CONFIG=variable.yaml"}
	load("from-default-file", config.Sources{Flags: flags})
	load("from-variable", config.Sources{Flags: flags, Env: env})
	if err := flags.Parse([]string{"--config", "flag.yaml"}); err != nil {
		t.Fatal(err)
	}
	load("from-flag", config.Sources{Flags: flags, Env: env})
	if _, err := config.Load(config.Sources{File: "missing.yaml"}); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("a named file that is missing: %v", err)
	}
}

func TestEveryProblemOfTheFileIsToldAtOnce(t *testing.T) {
	in(t, `data_dir:
listen:
  grcp: 127.0.0.1:7411
  http: 0.0.0.0:7412
shutdown: {timeout: soon}
log:
  level: verbos
  level: info
telemetry: [1]
servers:
  retial:
    stdio: {command: [], env: {TOKEN: "${env:NOT_SET}"}}
  Desk:
    http: {url: "desk.example/mcp"}
    max_concurrency: -1
    tools:
      look: {effect: raed, max_duration: -1s}
      cancel: {effect: write, reconcile: {server: retail}}
      read: {effect: read, idempotency_argument: key}
  none: {}
nonsense: 1
state: {event_retention: -1s, retention_by_namespace: {eu: 24h, us: -24h}}
recovery: {cache_bytes: -1}
`)
	_, err := config.Load(config.Sources{Env: []string{"SIGNALBOX_TELEMETRY_CALL_METRICS=maybe"}})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
		t.Fatalf("got %v", err)
	}
	want := []string{
		`the configuration has 23 problems:`,
		`signalbox.yaml:3: listen.grcp: unknown key "grcp"; did you mean "grpc"?`,
		`signalbox.yaml:4: listen.http: "0.0.0.0:7412" can be reached from other machines, and no API key is set; set auth.api_key or auth.api_key_file, or listen on 127.0.0.1`,
		`signalbox.yaml:5: shutdown.timeout: "soon" is not a duration, such as 10s or 5m`,
		`signalbox.yaml:7: log.level: "verbos" is none of debug, info, warn, error`,
		`signalbox.yaml:8: log.level: this key is there twice; keep one`,
		`signalbox.yaml:9: telemetry: this must be a mapping of keys to values`,
		`signalbox.yaml:12: servers.retial.stdio.command: this is empty; give the program and its arguments as a list`,
		`signalbox.yaml:12: servers.retial.stdio.env: TOKEN: the environment variable "NOT_SET" is not set`,
		`signalbox.yaml:14: servers.Desk: "Desk" is not a name for a tool server; use lower case letters, digits, "-" and "_", without "__"`,
		`signalbox.yaml:14: servers.Desk.http.url: "desk.example/mcp" is not a URL; give one such as http://127.0.0.1:8000/mcp`,
		`signalbox.yaml:15: servers.Desk.max_concurrency: -1 is negative; give 1 or more, or leave it out for 32`,
		`signalbox.yaml:17: servers.Desk.tools.look.effect: "raed" is none of read, idempotent_write, write, irreversible; did you mean "read"?`,
		`signalbox.yaml:17: servers.Desk.tools.look.max_duration: -1s is negative; leave it out for 1m`,
		`signalbox.yaml:18: servers.Desk.tools.cancel.reconcile.happened: this is empty; give a CEL expression over output that is true when the write happened`,
		`signalbox.yaml:18: servers.Desk.tools.cancel.reconcile.server: no tool server "retail" is declared; did you mean "retial"?`,
		`signalbox.yaml:18: servers.Desk.tools.cancel.reconcile.tool: this is empty; name the read tool that tells whether the write happened`,
		`signalbox.yaml:19: servers.Desk.tools.read: a read can always be repeated and needs neither reconcile nor idempotency_argument; remove them, or correct the effect`,
		`signalbox.yaml:20: servers.none: a tool server has either stdio or http; give one of them`,
		`signalbox.yaml:21: nonsense: unknown key "nonsense"; known here are auth, data_dir, etcd, listen, log, recovery, secrets, servers, services, shutdown, state, telemetry`,
		`signalbox.yaml:22: state.event_retention: -1s is negative; give a time such as 720h, or 0s to keep for ever`,
		`signalbox.yaml:22: state.retention_by_namespace.us: -24h0m0s is negative; give a time such as 720h, or 0s to keep for ever`,
		`signalbox.yaml:23: recovery.cache_bytes: -1 is negative; give a number of bytes, or 0 to keep nothing`,
		`SIGNALBOX_TELEMETRY_CALL_METRICS: telemetry.call_metrics: "maybe" is not true or false`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if refusal, _ := errs.From(err); len(refusal.Fields()) != 23 {
		t.Errorf("%d violations for programs", len(refusal.Fields()))
	}
}

func TestToolServersAreRead(t *testing.T) {
	in(t, `servers:
  desk:
    http: {url: "http://127.0.0.1:8000/mcp", headers: {authorization: "Bearer ${env:TOKEN}"}, session: true}
    max_concurrency: 4
    default_effect: write
    tools:
      cancel:
        max_duration: 30s
        reconcile: {tool: look, arguments: {id: "${self.arguments.id}", deep: {n: 1}}, happened: output.done}
  shell: {stdio: {command: [./desk, --quiet], env: {A: b}, dir: /tmp}}
`)
	loaded, err := config.Load(config.Sources{Env: []string{"TOKEN=t0ken"}})
	if err != nil {
		t.Fatal(err)
	}
	session := true
	want := map[string]config.ToolServer{
		"desk": {
			HTTP:           &config.HTTP{URL: "http://127.0.0.1:8000/mcp", Headers: map[string]string{"authorization": "Bearer ${env:TOKEN}"}, Session: &session},
			MaxConcurrency: 4, DefaultEffect: config.EffectWrite,
			Tools: map[string]config.Tool{"cancel": {MaxDuration: 30 * time.Second, Reconcile: &config.Probe{
				Tool: "look", Arguments: map[string]any{"id": "${self.arguments.id}", "deep": map[string]any{"n": 1}}, Happened: "output.done",
			}}},
		},
		"shell": {Stdio: &config.Stdio{Command: []string{"./desk", "--quiet"}, Env: map[string]string{"A": "b"}, Dir: "/tmp"}},
	}
	if diff := cmp.Diff(want, loaded.Servers); diff != "" {
		t.Error(diff)
	}
	headers, err := config.Expand(loaded.Servers["desk"].HTTP.Headers, func(string) (string, bool) { return "t0ken", true })
	if err != nil || headers["authorization"] != "Bearer t0ken" {
		t.Errorf("headers %v, %v", headers, err)
	}
}

func TestSlipsInTheEnvironmentAreWarnedOf(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, err := config.Load(config.Sources{Env: []string{"SIGNALBOX_LISTEN_GRCP=x", "SIGNALBOX_TAU_RETAIL=/data", "PATH=/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Warnings) != 1 || !strings.Contains(loaded.Warnings[0], "did you mean SIGNALBOX_LISTEN_GRPC?") {
		t.Errorf("warnings %q", loaded.Warnings)
	}
}

func TestBrokenFilesAreProblemsAndNotPanics(t *testing.T) {
	for _, content := range []string{"a: b: c", "- 1", "text", "\t", "servers: {a: 1}", "a: &x\n  b: *x\n", "listen: *nowhere", "? [a]\n: b\n", "--- \na: 1\n---\nb: 2\n", "\xff\xff", "servers: &x\n  a: *x\n"} {
		in(t, content)
		if _, err := config.Load(config.Sources{}); err == nil {
			t.Errorf("%q is accepted", content)
		}
	}
	for _, content := range []string{"", "# only a comment\n", "listen:\n", "---\n"} {
		in(t, content)
		if _, err := config.Load(config.Sources{}); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestTheKeyComesFromOneOfTwoPlaces(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("key", []byte("  s3cret \nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("empty", []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(config.Sources{Env: []string{"SIGNALBOX_AUTH_API_KEY_FILE=key", "SIGNALBOX_LISTEN_GRPC=0.0.0.0:7411"}})
	if err != nil {
		t.Fatal(err)
	}
	if key, err := loaded.Auth.Key(); key != "s3cret" || err != nil {
		t.Errorf("key %q, %v", key, err)
	}
	for _, env := range [][]string{
		{"SIGNALBOX_AUTH_API_KEY_FILE=missing"}, {"SIGNALBOX_AUTH_API_KEY_FILE=empty"},
		{"SIGNALBOX_AUTH_API_KEY_FILE=key", "SIGNALBOX_AUTH_API_KEY=k"}, {"SIGNALBOX_AUTH_API_KEY=k "},
	} {
		if _, err := config.Load(config.Sources{Env: env}); err == nil || !strings.Contains(err.Error(), "auth.api_key") {
			t.Errorf("%v: %v", env, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, err := config.Load(config.Sources{Env: []string{"SIGNALBOX_AUTH_API_KEY=s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %v", loaded.Config, loaded.Config, loaded.Config, loaded.Entries()); strings.Contains(text, "s3cret") {
		t.Error("the key is printed: " + text)
	}
	if loaded.Auth.APIKey.Reveal() != "s3cret" {
		t.Error("the key is lost")
	}
}

func TestEntriesSayValueAndOrigin(t *testing.T) {
	in(t, "listen: {grpc: 127.0.0.1:9}\n")
	loaded, err := config.Load(config.Sources{File: filepath.Join(".", config.DefaultFile)})
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]bool{}
	for _, entry := range loaded.Entries() {
		if variables[entry.Variable] {
			t.Errorf("%s stands for two settings", entry.Variable)
		}
		variables[entry.Variable] = true
		if entry.Doc == "" {
			t.Errorf("%s has no text; run go generate", entry.Path)
		}
		if entry.Path == "listen.grpc" && (entry.Value != "127.0.0.1:9" || entry.Origin != "signalbox.yaml:1") {
			t.Errorf("got %+v", entry)
		}
	}
	if len(variables) < 15 {
		t.Errorf("only %d entries", len(variables))
	}
}

func TestValidateOfAConfigMadeByHand(t *testing.T) {
	c := config.Default()
	if err := c.Validate(os.LookupEnv); err != nil {
		t.Error(err)
	}
	c.Listen.Admin = c.Listen.GRPC
	c.Services.Lock.Address = "127.0.0.1"
	c.Etcd.Endpoints = []string{"127.0.0.1:2379"}
	c.Listen.AllowedOrigins = []string{"console"}
	err := c.Validate(os.LookupEnv)
	for _, part := range []string{"listen.admin", "services.lock.address", "etcd.endpoints", "listen.allowed_origins"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}

func TestSecretsOfDefinitionsAreFenced(t *testing.T) {
	for prefix, problem := range map[string]string{
		"":               "is not a prefix of variables",
		"secret":         "is not a prefix of variables",
		"SIGNALBOX_":     "begins the names of settings too",
		"DESK_":          "",
		"TEAM_A_SECRET_": "",
	} {
		cfg := config.Default()
		cfg.Secrets.EnvPrefix = prefix
		err := cfg.Validate(func(string) (string, bool) { return "", false })
		if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), "secrets.env_prefix") || !strings.Contains(err.Error(), problem)) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	in(t, "")
	loaded, err := config.Load(config.Sources{Env: []string{"SIGNALBOX_SECRET_FOLDER=near-a-setting", "SIGNALBOX_SECRETS_FOLDR=x"}})
	if err != nil || len(loaded.Warnings) != 1 || !strings.Contains(loaded.Warnings[0], "SIGNALBOX_SECRETS_FOLDR") {
		t.Errorf("warnings: %v, %v", loaded.Warnings, err)
	}
}
