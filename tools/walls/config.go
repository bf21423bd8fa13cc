package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config is the content of walls.yaml.
type Config struct {
	// Sets are named lists of patterns; a wall refers to one as "@name".
	Sets map[string][]string `yaml:"sets"`
	// Walls are checked independently; a package may stand behind several.
	Walls []Wall `yaml:"walls"`
}

// Wall is one rule about what the packages of some rooms may import or use.
//
// Patterns name packages. One that starts with "./" is relative to the module's root, any other is a full import path.
// "..." stands for any text (and "/..." also for nothing), "*" for one path element, and "{x}" in a room for one path element that the other
// lists of the same wall may then repeat.
type Wall struct {
	// Name is the wall's identity in messages; required, unique.
	Name string `yaml:"name"`
	// Reason says why the wall stands; required.
	Reason string `yaml:"reason"`
	// Mend says what to do instead of breaking it; required.
	Mend string `yaml:"mend"`
	// Rooms are the packages held to the wall; required.
	Rooms []string `yaml:"rooms"`
	// Except are packages of Rooms that are not held to it. Default none.
	Except []string `yaml:"except"`
	// Tests holds test files to the wall too. Default false: only what ships is held.
	Tests bool `yaml:"tests"`
	// OnlyImport, unless empty, lists all that may be imported directly besides the standard library.
	OnlyImport []string `yaml:"only_import"`
	// NeverImport lists what may not be imported directly.
	NeverImport []string `yaml:"never_import"`
	// NeverReach lists what may not be imported through any chain. Standard packages do not belong here.
	NeverReach []string `yaml:"never_reach"`
	// But takes packages out of NeverImport and NeverReach.
	But []string `yaml:"but"`
	// NeverUse lists names the source may not mention, as import path, dot, name; or "go" for the go statement.
	NeverUse []string `yaml:"never_use"`
	// Exceptions are known breaches, each with its own reason. One that no longer excuses anything is reported.
	Exceptions []Exception `yaml:"exceptions"`
}

// Exception lets one package through a wall.
type Exception struct {
	// Package is a pattern of the importing package; required.
	Package string `yaml:"package"`
	// Target is a pattern of the import, or a name as in NeverUse; required.
	Target string `yaml:"target"`
	// Reason says why; required.
	Reason string `yaml:"reason"`
}

// goStatement is the entry of NeverUse that forbids starting goroutines.
const goStatement = "go"

// LoadConfig reads walls.yaml and refuses it with every problem at once.
func LoadConfig(path string) (*Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var cfg Config
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := cfg.prepare(); err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return &cfg, nil
}

// prepare replaces "@set" by the set's patterns and validates every wall.
func (c *Config) prepare() error {
	var problems []error
	if len(c.Walls) == 0 {
		problems = append(problems, errors.New("walls: there are none"))
	}
	seen := map[string]bool{}
	for i := range c.Walls {
		w := &c.Walls[i]
		if seen[w.Name] {
			problems = append(problems, fmt.Errorf("wall %q: this name is taken by an earlier wall", w.Name))
		}
		seen[w.Name] = true
		for _, list := range []*[]string{&w.Rooms, &w.Except, &w.OnlyImport, &w.NeverImport, &w.NeverReach, &w.But, &w.NeverUse} {
			expanded, err := c.expand(*list)
			if err != nil {
				problems = append(problems, fmt.Errorf("wall %q: %w", w.Name, err))
			}
			*list = expanded
		}
		problems = append(problems, w.problems()...)
	}
	return errors.Join(problems...)
}

func (c *Config) expand(patterns []string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		name, isSet := strings.CutPrefix(p, "@")
		if !isSet {
			out = append(out, p)
			continue
		}
		set, ok := c.Sets[name]
		if !ok {
			return nil, fmt.Errorf("set @%s is not declared under sets", name)
		}
		out = append(out, set...)
	}
	return out, nil
}

func (w *Wall) problems() []error {
	var out []error
	complain := func(format string, args ...any) {
		out = append(out, fmt.Errorf("wall %q: "+format, append([]any{w.Name}, args...)...))
	}
	if w.Name == "" || w.Reason == "" || w.Mend == "" {
		complain("name, reason and mend are required")
	}
	if len(w.Rooms) == 0 {
		complain("rooms is empty: the wall guards nothing")
	}
	if len(w.OnlyImport)+len(w.NeverImport)+len(w.NeverReach)+len(w.NeverUse) == 0 {
		complain("forbids nothing: give only_import, never_import, never_reach or never_use")
	}
	for _, use := range w.NeverUse {
		if _, _, ok := splitName(use); !ok && use != goStatement {
			complain("never_use %q: write import path, dot, name (time.Now), or %q", use, goStatement)
		}
	}
	for _, e := range w.Exceptions {
		if e.Package == "" || e.Target == "" || e.Reason == "" {
			complain("exception %q: package, target and reason are required", e.Package+" "+e.Target)
		}
	}
	return out
}

// splitName cuts "google.golang.org/grpc.NewServer" into import path and name.
func splitName(use string) (path, name string, ok bool) {
	dot := strings.LastIndexByte(use, '.')
	if dot <= 0 || dot == len(use)-1 || strings.Contains(use[dot:], "/") {
		return "", "", false
	}
	return use[:dot], use[dot+1:], true
}
