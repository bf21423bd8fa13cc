package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is what the check needs of one package of `go list -json`.
type Package struct {
	ImportPath   string
	Name         string
	Dir          string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Module       *struct {
		Path string
		Main bool
	}
}

// House is the module under check with everything that it imports, tests included.
type House struct {
	// Module is the path of the main module.
	Module string
	// Root is the folder of the main module, absolute.
	Root string
	// Rooms are the packages of the main module, in import path order.
	Rooms []*Package

	packages map[string]*Package
}

const listFields = "ImportPath,Name,Dir,Standard,Imports,TestImports,XTestImports,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Module"

// LoadHouse asks the go command for the packages that the patterns name, and for all their dependencies. Packages that do
// not compile are still listed: saying so is the compiler's part.
func LoadHouse(ctx context.Context, dir string, patterns []string) (*House, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	args := append([]string{"list", "-e", "-deps", "-test", "-json=" + listFields}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	// A workspace file further up would change what "main module" means.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	return decodeHouse(root, out)
}

func decodeHouse(root string, out []byte) (*House, error) {
	h := &House{Root: root, packages: map[string]*Package{}}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if isTestVariant(&p) {
			continue
		}
		h.packages[p.ImportPath] = &p
		if p.Module != nil && p.Module.Main {
			h.Module = p.Module.Path
			h.Rooms = append(h.Rooms, &p)
		}
	}
	if len(h.Rooms) == 0 {
		return nil, errors.New("go list names no package of the main module: is this the module's root?")
	}
	return h, nil
}

// isTestVariant recognises what `go list -test` makes up: "p [p.test]" and the test's main package "p.test". The plain
// package already says what its tests import.
func isTestVariant(p *Package) bool {
	return strings.Contains(p.ImportPath, " [") || (p.Name == "main" && strings.HasSuffix(p.ImportPath, ".test"))
}

// Short is the import path as people write it here: relative to the module's root for our own packages.
func (h *House) Short(importPath string) string {
	if rest, ours := strings.CutPrefix(importPath, h.Module+"/"); ours {
		return rest
	}
	return importPath
}

func (h *House) isStandard(importPath string) bool {
	if p, ok := h.packages[importPath]; ok {
		return p.Standard
	}
	// Not listed, so not resolved; the go command's own test is the dot in the first element.
	head, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(head, ".")
}

// imports returns the direct imports of p, from its test files too when tests is set.
func (p *Package) imports(tests bool) []string {
	if !tests {
		return p.Imports
	}
	seen := map[string]bool{p.ImportPath: true} // an external test imports its own package
	var out []string
	for _, list := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
		for _, path := range list {
			if !seen[path] {
				seen[path] = true
				out = append(out, path)
			}
		}
	}
	return out
}

// files returns the paths of p's source files, with its test files when tests is set.
func (p *Package) files(tests bool) []string {
	lists := [][]string{p.GoFiles, p.CgoFiles}
	if tests {
		lists = append(lists, p.TestGoFiles, p.XTestGoFiles)
	}
	var out []string
	for _, list := range lists {
		for _, name := range list {
			out = append(out, filepath.Join(p.Dir, name))
		}
	}
	return out
}

// chainTo finds the shortest chain of imports from p to a package that wanted accepts, outside the standard library. The
// chain starts with p. A shipped package further down counts with what it ships, not with its tests.
func (h *House) chainTo(p *Package, tests bool, wanted func(importPath string) bool) []string {
	type link struct {
		path string
		from *link
	}
	seen := map[string]bool{p.ImportPath: true}
	queue := []*link{}
	push := func(paths []string, from *link) {
		for _, path := range paths {
			if !seen[path] && !h.isStandard(path) {
				seen[path] = true
				queue = append(queue, &link{path, from})
			}
		}
	}
	push(p.imports(tests), &link{path: p.ImportPath})
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if wanted(at.path) {
			var chain []string
			for l := at; l != nil; l = l.from {
				chain = append([]string{l.path}, chain...)
			}
			return chain
		}
		if next, ok := h.packages[at.path]; ok {
			push(next.Imports, at)
		}
	}
	return nil
}
