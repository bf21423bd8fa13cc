// Package config is what signalbox.yaml, the environment and the flags can say, where each value came from, and what is wrong with it.
//
// To add a setting, add a field with a yaml tag and a comment to a section below (or a section to Config), its default to Default and
// what can be wrong with it to the section's validate; then run go generate. Its flag, its environment variable and its entry in
// docs/configuration.md follow from the field.
package config

import "time"

//go:generate go run ./internal/gendocs

// Config is the whole configuration of one process.
type Config struct {
	// Folder for everything that must survive: the database, etcd's files and the lock of the folder. One process uses it at a time.
	DataDir string `yaml:"data_dir"`
	// Addresses this process listens on.
	Listen Listen `yaml:"listen"`
	// Who may call.
	Auth Auth `yaml:"auth"`
	// Where the services are that do not run in this process.
	Services Services `yaml:"services"`
	// How long the state service keeps what has ended.
	State State `yaml:"state"`
	// What the recovery service keeps.
	Recovery Recovery `yaml:"recovery"`
	// The etcd cluster of the lock service and the scheduler.
	Etcd Etcd `yaml:"etcd"`
	// What is logged, to standard error.
	Log Log `yaml:"log"`
	// What the process tells about itself.
	Telemetry Telemetry `yaml:"telemetry"`
	// How the process ends.
	Shutdown Shutdown `yaml:"shutdown"`
	// The secrets that definitions may name for calls to tool servers.
	Secrets Secrets `yaml:"secrets"`
	// The tool servers, by the name that workflows use. A name is lower case letters, digits, "-" and "_", without "__".
	Servers map[string]ToolServer `yaml:"servers"`
}

// Listen holds the addresses to listen on: HOST:PORT or unix:PATH. Port 0 takes any free one. An address that other machines can reach
// needs auth.api_key.
type Listen struct {
	// gRPC: all services of this process, health checks and reflection.
	GRPC string `yaml:"grpc"`
	// HTTP: MCP for agents at /mcp. Opened only when the gateway runs in this process.
	HTTP string `yaml:"http"`
	// HTTP for operators: /metrics, /readyz, /livez and /debug/pprof/.
	Admin string `yaml:"admin"`
	// Origins of web pages that may call the HTTP listeners, for example https://console.example; pages of the server itself always may.
	AllowedOrigins []string `yaml:"allowed_origins"`
}

// Auth says who may call. Give one of the two, or neither on loopback.
type Auth struct {
	// The key that every caller must send as "authorization: Bearer KEY" or "x-api-key: KEY". Empty: everybody who can connect may call. Processes
	// of one installation share the key and send it to each other.
	APIKey Secret `yaml:"api_key"`
	// File whose first line is the key.
	APIKeyFile string `yaml:"api_key_file"`
}

// Services holds the addresses of the services. One that runs in this process is called here, whatever its address.
type Services struct {
	// The state service.
	State Service `yaml:"state"`
	// The scheduler.
	Scheduler Service `yaml:"scheduler"`
	// The lock service.
	Lock Service `yaml:"lock"`
	// The recovery service.
	Recovery Service `yaml:"recovery"`
	// The escalation service.
	Escalation Service `yaml:"escalation"`
	// The gateway.
	Gateway Service `yaml:"gateway"`
}

// Service says where one service is.
type Service struct {
	// Its gRPC address: HOST:PORT, unix:PATH or dns:///NAME:PORT.
	Address string `yaml:"address"`
}

// State says how long the state service keeps what has ended.
type State struct {
	// How long after its end, or its last change since, a run stays in the database. Then it moves to a file in the folder archive of
	// data_dir, once every run of its tree has ended. 0: for ever.
	Retention time.Duration `yaml:"retention"`
	// Namespaces with a retention of their own.
	RetentionByNamespace map[string]time.Duration `yaml:"retention_by_namespace"`
	// How long events stay in the log. Those that a run which goes on may still wait for stay in any case. 0: for ever.
	EventRetention time.Duration `yaml:"event_retention"`
}

// Recovery says what the recovery service keeps.
type Recovery struct {
	// How many bytes of memory the outputs that steps cache may take, about. What was used longest ago makes room. 0: none is kept.
	CacheBytes int `yaml:"cache_bytes"`
}

// Etcd says which etcd cluster to use.
type Etcd struct {
	// URLs of the cluster's members. Empty: an etcd is embedded in the process and keeps its files under data_dir.
	Endpoints []string `yaml:"endpoints"`
}

// Secrets says where the secrets are that definitions name, with resources.secrets, to reach a tool server over HTTP. The gateway looks them
// up when it sends a call; definitions, records and logs hold their names only.
type Secrets struct {
	// Variables of the gateway's environment whose names begin with this are secrets of provider env: capital letters, digits and "_", with "_"
	// at the end.
	EnvPrefix string `yaml:"env_prefix"`
	// Folder whose files are secrets of provider file, each holding a bare token. Links that lead out of it are not followed. Empty: there
	// are none.
	Folder string `yaml:"folder"`
}

// Log says what is logged and how.
type Log struct {
	// The least level that is logged: debug, info, warn or error. Successful calls are logged at debug.
	Level string `yaml:"level"`
	// How a record looks: text or json.
	Format string `yaml:"format"`
}

// Telemetry says what is measured. Traces are sent by OTLP over gRPC when the standard OTEL_EXPORTER_OTLP_ENDPOINT is set, and only then.
type Telemetry struct {
	// Whether gRPC calls are counted and timed (grpc_server_*). The other metrics are always kept.
	CallMetrics bool `yaml:"call_metrics"`
}

// Shutdown says how the process ends.
type Shutdown struct {
	// How long calls and modules may take to end after SIGTERM or SIGINT; what is left then is cut off. A second signal ends the process at
	// once.
	Timeout time.Duration `yaml:"timeout"`
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		DataDir:   "./signalbox-data",
		Listen:    Listen{GRPC: "127.0.0.1:7411", HTTP: "127.0.0.1:7412", Admin: "127.0.0.1:7413"},
		Recovery:  Recovery{CacheBytes: 64 << 20},
		Secrets:   Secrets{EnvPrefix: "SIGNALBOX_SECRET_"},
		Log:       Log{Level: "info", Format: "text"},
		Telemetry: Telemetry{CallMetrics: true},
		Shutdown:  Shutdown{Timeout: 10 * time.Second},
	}
}

// Addresses returns the addresses that are set, by the short name of the service.
func (s Services) Addresses() map[string]string {
	set := map[string]string{}
	for name, service := range map[string]Service{
		"state": s.State, "scheduler": s.Scheduler, "lock": s.Lock, "recovery": s.Recovery, "escalation": s.Escalation, "gateway": s.Gateway,
	} {
		if service.Address != "" {
			set[name] = service.Address
		}
	}
	return set
}

// Secret is a text that is not shown.
type Secret string

const masked = "********"

// String hides the text, so that printing a Config does not show it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from JSON and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }
