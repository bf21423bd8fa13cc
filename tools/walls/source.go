package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
)

// use is a place in the source where a name is mentioned.
type use struct {
	name string // as in Wall.NeverUse
	at   string // file:line, relative to the module's root
}

// source parses the files of packages, each once.
type source struct {
	house *House
	fset  *token.FileSet
	files map[string]*ast.File
}

func newSource(h *House) *source {
	return &source{house: h, fset: token.NewFileSet(), files: map[string]*ast.File{}}
}

func (s *source) parse(path string) (*ast.File, error) {
	if f, ok := s.files[path]; ok {
		return f, nil
	}
	f, err := parser.ParseFile(s.fset, path, nil, parser.SkipObjectResolution)
	if f == nil {
		return nil, err
	}
	s.files[path] = f // a file that does not parse to its end still shows what it could
	return f, nil
}

func (s *source) place(pos token.Pos) string {
	at := s.fset.Position(pos)
	if rel, err := filepath.Rel(s.house.Root, at.Filename); err == nil {
		at.Filename = rel
	}
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// importPlace says where p imports a path, or where p lies when no file shows it.
func (s *source) importPlace(p *Package, tests bool, importPath string) string {
	for _, name := range p.files(tests) {
		f, err := s.parse(name)
		if err != nil {
			continue
		}
		for _, spec := range f.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && path == importPath {
				return s.place(spec.Pos())
			}
		}
	}
	return s.house.Short(p.ImportPath)
}

// uses finds the places where p mentions a forbidden name. It goes by the file's imports, not by types: a local variable
// that hides an import of the same name is taken for the import.
func (s *source) uses(p *Package, tests bool, forbidden []string) ([]use, error) {
	var out []use
	for _, name := range p.files(tests) {
		f, err := s.parse(name)
		if err != nil {
			return nil, err
		}
		out = append(out, s.usesIn(f, forbidden)...)
	}
	return out, nil
}

func (s *source) usesIn(f *ast.File, forbidden []string) []use {
	var out []use
	want := map[string]bool{}
	paths := map[string]bool{}
	for _, name := range forbidden {
		want[name] = true
		if path, _, ok := splitName(name); ok {
			paths[path] = true
		}
	}
	local := map[string]string{} // the name a file knows an import by → its path
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !paths[path] {
			continue
		}
		known := s.localName(spec, path)
		if known == "." {
			out = append(out, use{name: "import . " + spec.Path.Value, at: s.place(spec.Pos())})
		}
		local[known] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if want[goStatement] {
				out = append(out, use{name: goStatement, at: s.place(n.Pos())})
			}
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok {
				if path, ok := local[pkg.Name]; ok && want[path+"."+n.Sel.Name] {
					out = append(out, use{name: path + "." + n.Sel.Name, at: s.place(n.Pos())})
				}
			}
		}
		return true
	})
	return out
}

func (s *source) localName(spec *ast.ImportSpec, path string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	if p, ok := s.house.packages[path]; ok {
		return p.Name
	}
	return filepath.Base(path)
}
