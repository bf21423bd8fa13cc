package workflow

import (
	"strconv"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Document is a loaded definition with the place of each of its fields.
type Document struct {
	// Definition as written: nothing is defaulted yet. Not to be changed.
	Definition *workflowv1.WorkflowDefinition
	// File is the name given to Load.
	File string

	places map[string]place
	// broken holds the paths that already have an error finding, so that what follows from it is not reported again.
	broken map[string]bool
}

// place is where a value stands in the text.
type place struct {
	line, column int
	// text is the column at which the characters of a one-line scalar begin; 0 when it is not one, so that a place inside the scalar
	// cannot be told.
	text int
}

// report gives a finding its place and keeps it, unless it follows from an earlier one.
func (d *Document) report(fs *Findings, f Finding) {
	f.File, f.Path = d.File, d.written(f.Path)
	if f.Line == 0 {
		p := d.placeOf(f.Path)
		f.Line, f.Column = p.line, p.column
	}
	if f.Severity == "" {
		f.Severity = SeverityError
	}
	*fs = append(*fs, f)
}

// brokenAt reports whether the path already has an error finding.
func (d *Document) brokenAt(path string) bool { return d.broken[d.written(path)] }

// placeOf finds the place of a path, or of the nearest thing above it that has one.
func (d *Document) placeOf(path string) place {
	for path = d.written(path); path != ""; path = parentPath(path) {
		if p, ok := d.places[path]; ok {
			return p
		}
	}
	return d.places[""]
}

// exactPlace finds the place of a path itself.
func (d *Document) exactPlace(path string) (place, bool) {
	p, ok := d.places[d.written(path)]
	return p, ok
}

// written is the path as the author wrote it: the steps of the shorthand are compiled as those of one state.
func (d *Document) written(path string) string {
	if len(d.Definition.GetSteps()) > 0 {
		if rest, ok := strings.CutPrefix(path, "states."+mainState+"."); ok && strings.HasPrefix(rest, "steps[") {
			return rest
		}
	}
	return path
}

// fieldPath appends fields or map keys to a path, quoting what is not a plain name.
func fieldPath(path string, names ...string) string {
	for _, name := range names {
		switch {
		case !plainName(name):
			path += "[" + strconv.Quote(name) + "]"
		case path == "":
			path = name
		default:
			path += "." + name
		}
	}
	return path
}

// indexPath appends a list index to a path.
func indexPath(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// plainName reports whether a name needs no quotes in a path.
func plainName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '_' && c != '-' && c != '$' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// parentPath drops the last element of a path.
func parentPath(path string) string {
	if strings.HasSuffix(path, `"]`) {
		for i := len(path) - 3; i > 0; i-- {
			if path[i] == '"' && path[i-1] == '[' {
				if _, err := strconv.Unquote(path[i : len(path)-1]); err == nil {
					return path[:i-1]
				}
			}
		}
		return ""
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
