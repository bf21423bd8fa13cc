package main

import (
	"fmt"
	"regexp"
	"strings"
)

// Pattern matches import paths; see [Wall] for its language.
type Pattern struct {
	text string
	re   *regexp.Regexp
}

// String returns the pattern as it was written, with its captures filled in.
func (p Pattern) String() string { return p.text }

// Match reports whether the import path matches, and what the pattern's captures stand for in it.
func (p Pattern) Match(importPath string) (captures map[string]string, ok bool) {
	m := p.re.FindStringSubmatch(importPath)
	if m == nil {
		return nil, false
	}
	captures = map[string]string{}
	for i, name := range p.re.SubexpNames() {
		if name != "" {
			captures[name] = m[i]
		}
	}
	return captures, true
}

var wildcard = regexp.MustCompile(`/\.\.\.$|\.\.\.|\*|\{[a-z]+\}`)

// compilePattern compiles one pattern. module is the path that "./" stands for. With bound nil, "{x}" captures one path element;
// otherwise bound says what each capture stands for, and one that it does not know is an error.
func compilePattern(text, module string, bound map[string]string) (Pattern, error) {
	full := text
	if rest, ours := strings.CutPrefix(text, "./"); ours {
		full = strings.TrimSuffix(module+"/"+rest, "/")
	}
	var expr strings.Builder
	expr.WriteString("^")
	last := 0
	for _, capture := range captureName.FindAllString(full, -1) {
		if _, ok := bound[strings.Trim(capture, "{}")]; !ok && bound != nil {
			return Pattern{}, fmt.Errorf("pattern %q: %s is captured by no room that it belongs to", text, capture)
		}
	}
	for _, at := range wildcard.FindAllStringIndex(full, -1) {
		expr.WriteString(regexp.QuoteMeta(full[last:at[0]]))
		expr.WriteString(translate(full[at[0]:at[1]], bound))
		last = at[1]
	}
	expr.WriteString(regexp.QuoteMeta(full[last:]))
	expr.WriteString("$")
	re, err := regexp.Compile(expr.String())
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern %q: %w", text, err)
	}
	for name, value := range bound {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return Pattern{text: text, re: re}, nil
}

var captureName = regexp.MustCompile(`\{[a-z]+\}`)

func translate(wild string, bound map[string]string) string {
	switch wild {
	case "/...":
		return `(?:/.*)?`
	case "...":
		return `.*`
	case "*":
		return `[^/]+`
	}
	name := strings.Trim(wild, "{}")
	if value, ok := bound[name]; ok {
		return regexp.QuoteMeta(value)
	}
	return `(?P<` + name + `>[^/]+)`
}

func compileAll(texts []string, module string, bound map[string]string) ([]Pattern, error) {
	out := make([]Pattern, 0, len(texts))
	for _, text := range texts {
		p, err := compilePattern(text, module, bound)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// first returns the first pattern that matches.
func first(patterns []Pattern, importPath string) (Pattern, map[string]string, bool) {
	for _, p := range patterns {
		if captures, ok := p.Match(importPath); ok {
			return p, captures, true
		}
	}
	return Pattern{}, nil, false
}

func matchesAny(patterns []Pattern, importPath string) bool {
	_, _, ok := first(patterns, importPath)
	return ok
}
