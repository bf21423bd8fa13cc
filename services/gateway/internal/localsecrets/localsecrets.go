// Package localsecrets looks secrets up where the gateway runs: in its environment and in a folder. Both are fenced, because the names of
// secrets come from definitions: of the environment only variables with a prefix, of the files only those below the folder.
package localsecrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// The providers.
const (
	Env  = "env"
	File = "file"
)

const (
	// fresh is how long the value of a file is taken without looking at the file; then it is read again if it has changed.
	fresh = time.Second
	// maxFile bounds a secret's file.
	maxFile = 64 << 10
	// maxKept bounds the files whose values are kept.
	maxKept = 1024
)

// Config says which secrets there are.
type Config struct {
	// EnvPrefix begins the names of the variables that are secrets. Required.
	EnvPrefix string
	// Folder below which the files of secrets are. Empty: there are none.
	Folder string
	// Lookup finds a variable. Nil: os.LookupEnv.
	Lookup func(string) (string, bool)
	// Clock says how long ago a file was looked at. Required.
	Clock clock.Clock
}

// Secrets implements core.Secrets.
type Secrets struct {
	cfg Config

	mu   sync.Mutex
	kept map[string]kept
}

var _ core.Secrets = (*Secrets)(nil)

// kept is the value of a file, and what tells that the file has changed.
type kept struct {
	value   string
	changed time.Time
	size    int64
	looked  time.Time
}

// New makes a lookup. It reads nothing yet.
func New(cfg Config) *Secrets {
	if cfg.Lookup == nil {
		cfg.Lookup = os.LookupEnv
	}
	return &Secrets{cfg: cfg, kept: map[string]kept{}}
}

// Secret implements core.Secrets.
func (s *Secrets) Secret(ref core.SecretRef) (core.Secret, error) {
	var value string
	var problem *core.SecretProblem
	switch ref.Provider {
	case Env:
		value, problem = s.variable(ref.Path)
	case File:
		value, problem = s.file(ref.Path)
	default:
		problem = &core.SecretProblem{Problem: "there is no such provider", Mend: fmt.Sprintf("name %q or %q in resources.secrets of the definition", Env, File)}
	}
	if problem == nil {
		secret, err := core.NewSecret(ref, value)
		if err == nil {
			return secret, nil
		}
		problem = &core.SecretProblem{Problem: err.Error(), Mend: "store the bare token, as the tool server takes it"}
	}
	problem.Ref = ref
	return core.Secret{}, problem
}

func (s *Secrets) variable(name string) (string, *core.SecretProblem) {
	if !strings.HasPrefix(name, s.cfg.EnvPrefix) || name == s.cfg.EnvPrefix {
		return "", &core.SecretProblem{
			Problem: fmt.Sprintf("the variable's name does not begin with %q, so it is not for definitions", s.cfg.EnvPrefix),
			Mend:    "name such a variable, or let the gateway's operator change secrets.env_prefix",
		}
	}
	value, ok := s.cfg.Lookup(name)
	if !ok {
		return "", &core.SecretProblem{
			Problem: "the gateway has no such variable in its environment", Mend: "set it where the gateway runs and start the gateway again",
		}
	}
	return value, nil
}

func (s *Secrets) file(path string) (string, *core.SecretProblem) {
	if s.cfg.Folder == "" {
		return "", &core.SecretProblem{Problem: "the gateway has no folder of secrets", Mend: "set secrets.folder in the gateway's configuration"}
	}
	if !filepath.IsLocal(path) {
		return "", &core.SecretProblem{Problem: "the path leads out of the gateway's folder of secrets", Mend: "give the path of a file below secrets.folder"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	if have, ok := s.kept[path]; ok && now.Sub(have.looked) < fresh && !now.Before(have.looked) {
		return have.value, nil
	}
	found, err := s.read(path, s.kept[path])
	if err != nil {
		delete(s.kept, path)
		return "", explain(err)
	}
	if len(s.kept) >= maxKept {
		s.kept = map[string]kept{}
	}
	found.looked = now
	s.kept[path] = found
	return found.value, nil
}

var (
	errNoFolder = errors.New("the folder cannot be opened")
	errNoFile   = errors.New("it is no file")
	errTooLarge = fmt.Errorf("it has more than %d bytes", maxFile)
)

// read returns what a file holds, from memory if it has not changed. os.Root keeps to the folder, links included.
func (s *Secrets) read(path string, before kept) (kept, error) {
	root, err := os.OpenRoot(s.cfg.Folder)
	if err != nil {
		return kept{}, errNoFolder
	}
	defer func() { _ = root.Close() }()
	// A pipe would block when it is opened, so it is looked at before.
	info, err := root.Stat(path)
	if err != nil {
		return kept{}, err
	}
	switch {
	case !info.Mode().IsRegular():
		return kept{}, errNoFile
	case info.Size() > maxFile:
		return kept{}, errTooLarge
	case before.value != "" && info.ModTime().Equal(before.changed) && info.Size() == before.size:
		return before, nil
	}
	file, err := root.Open(path)
	if err != nil {
		return kept{}, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return kept{}, err
	}
	if len(content) > maxFile {
		return kept{}, errTooLarge
	}
	return kept{value: strings.TrimSpace(string(content)), changed: info.ModTime(), size: info.Size()}, nil
}

// explain says why a file cannot be read, without the place of the folder.
func explain(err error) *core.SecretProblem {
	problem := &core.SecretProblem{Problem: "the file cannot be read", Mend: "look at the file where the gateway runs"}
	switch {
	case errors.Is(err, errNoFolder):
		problem.Problem, problem.Mend = "the gateway's folder of secrets cannot be opened", "make the folder that secrets.folder names, and let the gateway's user read it"
	case errors.Is(err, errNoFile), errors.Is(err, errTooLarge):
		problem.Problem, problem.Mend = err.Error(), "name a file that holds the bare token"
	case errors.Is(err, fs.ErrNotExist):
		problem.Problem, problem.Mend = "there is no such file", "put the file below the gateway's secrets.folder"
	case errors.Is(err, fs.ErrPermission):
		problem.Problem, problem.Mend = "the gateway may not read the file", "let the gateway's user read it"
	case strings.Contains(err.Error(), "escapes"):
		problem.Problem, problem.Mend = "the path leads out of the gateway's folder of secrets, by a link", "keep the file itself below secrets.folder"
	}
	return problem
}
