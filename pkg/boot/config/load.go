package config

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// DefaultFile is read when it exists and no other file is named.
const DefaultFile = "signalbox.yaml"

// fileVariable names the file when no flag does.
const fileVariable = "SIGNALBOX_CONFIG"

// Sources are where a configuration comes from; a flag wins over the environment, that over the file, and that over the default.
type Sources struct {
	// File to read; it must exist. Empty: SIGNALBOX_CONFIG, else signalbox.yaml of the working directory if there is one.
	File string
	// Env is the environment as of os.Environ. Nil: none.
	Env []string
	// Flags are those of BindFlags; the ones that were given count. Nil: none.
	Flags *pflag.FlagSet
}

// Loaded is a configuration that was found to be valid, and where its values came from.
type Loaded struct {
	Config
	// File that was read; empty when there was none.
	File string
	// Warnings are worth a line in the log: variables that look like ours and are not.
	Warnings []string

	origins map[string]string
}

// BindFlags adds a flag for every setting, such as --listen-grpc, and --config for the file.
func BindFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "configuration `file` (default: "+DefaultFile+" if it exists; "+fileVariable+")")
	defaults := Default()
	for _, s := range settings(&defaults) {
		if s.flag() == "" {
			continue
		}
		flags.Var(&textFlag{text: show(s.value), kind: s.value.Type()}, s.flag(), summary(s.doc))
		if s.value.Kind() == reflect.Bool {
			flags.Lookup(s.flag()).NoOptDefVal = "true"
		}
	}
}

// Load reads the sources and checks the result. All problems come as one error, with a line for each that says where the value
// came from.
func Load(sources Sources) (*Loaded, error) {
	loaded := &Loaded{Config: Default(), origins: map[string]string{}}
	problems := &report{}
	if sources.Flags != nil && sources.File == "" {
		if flag := sources.Flags.Lookup("config"); flag != nil {
			sources.File = flag.Value.String()
		}
	}
	env := variables(sources.Env)
	loaded.readFile(sources.File, env, problems)
	loaded.readEnv(env, problems)
	loaded.readFlags(sources.Flags, problems)
	lookup := func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
	loaded.check(problems, loaded.Origin, lookup)
	problems.inOrder(func(origin string) int { return lineOf(loaded.File, origin) })
	return loaded, problems.err()
}

// Origin says where the value of a path came from: "signalbox.yaml:12", "SIGNALBOX_LISTEN_GRPC", "--listen-grpc" or "default".
func (l *Loaded) Origin(path string) string {
	for path != "" {
		if origin, ok := l.origins[path]; ok {
			return origin
		}
		// What is missing inside of a server is mended where the server is.
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 || !strings.HasPrefix(path, "servers.") {
			break
		}
		path = path[:cut]
	}
	return "default"
}

func (l *Loaded) readFile(file string, env map[string]string, problems *report) {
	optional := false
	if file == "" {
		file = env[fileVariable]
	}
	if file == "" {
		file, optional = DefaultFile, true
	}
	content, err := os.ReadFile(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		problems.add("", "", "the configuration file cannot be read: %v", err)
		return
	}
	l.File = file
	(&decoder{file: file, report: problems, origins: l.origins}).decode(content, &l.Config)
}

func (l *Loaded) readEnv(env map[string]string, problems *report) {
	known := []string{strings.TrimPrefix(fileVariable, variablePrefix)}
	for _, s := range settings(&l.Config) {
		name := s.variable()
		known = append(known, strings.TrimPrefix(name, variablePrefix))
		text, ok := env[name]
		if !ok {
			continue
		}
		l.origins[s.path] = name
		if err := s.set(text); err != nil {
			problems.add(s.path, name, "%v", err)
		}
	}
	for name := range env {
		rest, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || slices.Contains(known, rest) || l.Secrets.EnvPrefix != "" && strings.HasPrefix(name, l.Secrets.EnvPrefix) {
			continue
		}
		// Others may have variables with our prefix; only what looks like a slip of the pen is worth a word.
		if near, ok := nearest.Match(rest, known); ok {
			l.Warnings = append(l.Warnings, name+" of the environment is not a setting; did you mean "+variablePrefix+near+"?")
		}
	}
	slices.Sort(l.Warnings)
}

func (l *Loaded) readFlags(flags *pflag.FlagSet, problems *report) {
	if flags == nil {
		return
	}
	for _, s := range settings(&l.Config) {
		flag := flags.Lookup(s.flag())
		if s.flag() == "" || flag == nil || !flag.Changed {
			continue
		}
		l.origins[s.path] = "--" + s.flag()
		if err := s.set(flag.Value.String()); err != nil {
			problems.add(s.path, "--"+s.flag(), "%v", err)
		}
	}
}

func variables(environ []string) map[string]string {
	env := map[string]string{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	return env
}

// lineOf is the line of an origin in the file, and very large for other origins.
func lineOf(file, origin string) int {
	if line, ok := strings.CutPrefix(origin, file+":"); ok {
		if n, err := strconv.Atoi(line); err == nil {
			return n
		}
	}
	return 1 << 30
}

// textFlag keeps what was given, so that it is checked together with everything else.
type textFlag struct {
	text string
	kind reflect.Type
}

func (f *textFlag) String() string { return f.text }

func (f *textFlag) Set(text string) error { f.text = text; return nil }

// Type is shown in the help.
func (f *textFlag) Type() string {
	switch {
	case f.kind == durationType:
		return "duration"
	case f.kind.Kind() == reflect.Slice:
		return "list"
	default:
		return f.kind.Kind().String()
	}
}
