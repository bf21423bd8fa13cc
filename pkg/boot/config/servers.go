package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// ToolServer is one MCP server that agents and workflows act through. Give one of stdio and http.
type ToolServer struct {
	// A server that this process starts, speaks to over its standard input and output, and restarts when it ends.
	Stdio *Stdio `yaml:"stdio"`
	// A server that runs elsewhere, reached by streamable HTTP.
	HTTP *HTTP `yaml:"http"`
	// The most calls under way at one time; further ones wait. 0: 32.
	MaxConcurrency int `yaml:"max_concurrency"`
	// Effect of tools that are not listed under tools: read, idempotent_write, write or irreversible. Empty: write, and
	// irreversible where the server hints that a tool destroys.
	DefaultEffect Effect `yaml:"default_effect"`
	// What is known about single tools, by the tool's name.
	Tools map[string]Tool `yaml:"tools"`
}

// Stdio is a tool server that is started here.
type Stdio struct {
	// The program and its arguments. It is not run by a shell.
	Command []string `yaml:"command"`
	// Variables added to the program's environment. ${env:NAME} stands for a variable of this process.
	Env map[string]string `yaml:"env"`
	// The folder to start it in. Empty: that of this process.
	Dir string `yaml:"dir"`
}

// HTTP is a tool server that is reached by streamable HTTP.
type HTTP struct {
	// Where it is, for example http://127.0.0.1:8000/mcp.
	URL string `yaml:"url"`
	// Headers sent with every request. ${env:NAME} stands for a variable of this process, so that secrets need not be in the file.
	Headers map[string]string `yaml:"headers"`
	// true: speak the older protocol, 2025-11-25, and keep one session; false: the stateless one, 2026-07-28. Unset: the newest that the server speaks.
	Session *bool `yaml:"session"`
}

// Tool is what an operator knows about one tool. It governs agents' own calls too; a workflow may only be stricter.
type Tool struct {
	// What a call does: read, idempotent_write (again makes no difference), write, or irreversible. Empty: the server's default_effect.
	Effect Effect `yaml:"effect"`
	// The argument that takes an idempotency key. A write with one is safe to retry.
	IdempotencyArgument string `yaml:"idempotency_argument"`
	// A probe that tells whether a write of unknown outcome happened.
	Reconcile *Probe `yaml:"reconcile"`
	// The longest that one call can take until it has its effect or never will. 0: 1m.
	MaxDuration time.Duration `yaml:"max_duration"`
}

// Probe is a READ tool that tells whether a write happened.
type Probe struct {
	// The tool server that has the probe. Empty: the same one.
	Server string `yaml:"server"`
	// The tool to call.
	Tool string `yaml:"tool"`
	// Its arguments. ${ CEL } in them may use self, the write: self.arguments, self.idempotency_key, self.operation_id.
	Arguments map[string]any `yaml:"arguments"`
	// CEL over output, the probe's answer, and self: true when the write happened, false when it did not. An evaluation error means
	// that the probe cannot tell.
	Happened string `yaml:"happened"`
}

// Effect is what a tool's call does to the world.
type Effect string

// The effects, from harmless to final.
const (
	EffectRead            Effect = "read"
	EffectIdempotentWrite Effect = "idempotent_write"
	EffectWrite           Effect = "write"
	EffectIrreversible    Effect = "irreversible"
)

var effects = []string{string(EffectRead), string(EffectIdempotentWrite), string(EffectWrite), string(EffectIrreversible)}

var envReference = regexp.MustCompile(`\$\{env:([^}]*)\}`)

// Expand replaces every ${env:NAME} in the values by what lookup finds, for example os.LookupEnv. It fails for a variable that is not
// set, naming the key and the variable.
func Expand(values map[string]string, lookup func(string) (string, bool)) (map[string]string, error) {
	expanded := make(map[string]string, len(values))
	for key, value := range values {
		missing := ""
		expanded[key] = envReference.ReplaceAllStringFunc(value, func(reference string) string {
			name := envReference.FindStringSubmatch(reference)[1]
			text, ok := lookup(name)
			if !ok {
				missing = name
			}
			return text
		})
		if missing != "" {
			return nil, fmt.Errorf("%s: the environment variable %q is not set", key, missing)
		}
	}
	return expanded, nil
}

// Key returns the API key, read from its file if need be, or "" when none is configured.
func (a Auth) Key() (string, error) {
	if a.APIKeyFile == "" {
		return a.APIKey.Reveal(), nil
	}
	content, err := os.ReadFile(a.APIKeyFile)
	if err != nil {
		return "", fmt.Errorf("auth.api_key_file: %w", err)
	}
	key, _, _ := strings.Cut(string(content), "\n")
	if key = strings.TrimSpace(key); key == "" {
		return "", fmt.Errorf("auth.api_key_file: the first line of %s is empty; write the key there", a.APIKeyFile)
	}
	return key, nil
}
