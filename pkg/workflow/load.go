package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Load reads a definition in YAML or JSON (told apart by content) and checks it against the contract. It returns all findings at once.
// The document is nil when the text could not be read at all; with other errors it is given all the same, so that Compile can add
// its own findings (and then returns no definition).
func Load(file string, src []byte) (*Document, Findings) {
	doc := &Document{File: file, places: map[string]place{}, broken: map[string]bool{}}
	root, problem := parseSource(src)
	if problem != nil {
		problem.File, problem.Severity = file, SeverityError
		return nil, Findings{*problem}
	}
	doc.Definition = &workflowv1.WorkflowDefinition{}
	d := &decoder{doc: doc}
	doc.places[""] = place{line: root.Line, column: root.Column}
	d.message(root, doc.Definition.ProtoReflect(), "", 0)
	if d.nodes > MaxNodes {
		return nil, d.findings.sorted()
	}
	unread := map[string]bool{}
	for _, f := range d.findings {
		unread[parentPath(f.Path)] = true
	}
	for _, f := range doc.validate() {
		if doc.brokenAt(f.Path) || f.wholeMessage && unread[f.messagePath] {
			continue
		}
		doc.broken[f.Path] = true
		doc.report(&d.findings, f.Finding)
	}
	return doc, d.findings.sorted()
}

// Check is Load and Compile in one: all findings of both.
func Check(file string, src []byte, cat Catalog, workflows Workflows) (*Definition, Findings) {
	return CheckIn("", file, src, cat, workflows)
}

// CheckIn is Check for a definition that is to belong to a namespace: it does when it names none, and one that names another is refused. Empty: the
// definition says it alone.
func CheckIn(namespace, file string, src []byte, cat Catalog, workflows Workflows) (*Definition, Findings) {
	doc, fs := loadIn(namespace, file, src)
	if doc == nil {
		return nil, fs
	}
	def, more := Compile(doc, cat, workflows)
	return def, append(fs, more...).sorted()
}

// loadIn is Load for a definition that is to belong to a namespace.
func loadIn(namespace, file string, src []byte) (*Document, Findings) {
	doc, fs := Load(file, src)
	if doc == nil || namespace == "" {
		return doc, fs
	}
	switch meta := doc.Definition.GetMetadata(); {
	case meta == nil:
	case meta.GetNamespace() == "":
		meta.Namespace = namespace
	case meta.GetNamespace() != namespace:
		path := fieldPath("metadata", "namespace")
		doc.broken[path] = true
		doc.report(&fs, Finding{
			Rule: RuleSchema, Path: path, Message: fmt.Sprintf("the definition belongs to namespace %q, and it is asked for in %q", meta.GetNamespace(), namespace),
			Mend: fmt.Sprintf("ask for it in %q, or change metadata.namespace", meta.GetNamespace()),
		})
	}
	return doc, fs.sorted()
}

// parseSource reads the text into YAML nodes.
func parseSource(src []byte) (*yaml.Node, *Finding) {
	if len(src) > MaxSourceBytes {
		return nil, &Finding{
			Rule: RuleLimit, Line: 1, Column: 1,
			Message: fmt.Sprintf("the text has %d bytes, more than the %d allowed", len(src), MaxSourceBytes),
			Mend:    "split the workflow, or keep data out of the definition",
		}
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if at := invalidUTF8(src); at >= 0 {
		line, column := lineColumn(src, at)
		return nil, &Finding{
			Rule: RuleSyntax, Line: line, Column: column,
			Message: fmt.Sprintf("byte 0x%02x is not UTF-8", src[at]), Mend: "save the file as UTF-8",
		}
	}
	root, problem := parseYAMLOrJSON(src)
	if problem != nil {
		return nil, problem
	}
	if root == nil || root.Kind != yaml.MappingNode {
		f := &Finding{Rule: RuleSyntax, Line: 1, Column: 1, Message: "the text holds no definition", Mend: "begin with `api_version: signalbox/v1`"}
		if root != nil {
			f.Line, f.Column = root.Line, root.Column
		}
		return nil, f
	}
	return root, nil
}

func parseYAMLOrJSON(src []byte) (*yaml.Node, *Finding) {
	if trimmed := bytes.TrimLeft(src, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(src) {
		return parseJSON(src), nil
	}
	return parseYAML(src)
}

// parseYAML reads one YAML document. The library reports some faults by panicking, hence the recover.
func parseYAML(src []byte) (root *yaml.Node, problem *Finding) {
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, &Finding{Rule: RuleSyntax, Line: 1, Column: 1, Message: fmt.Sprintf("not YAML: %v", r)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, yamlFault(err)
	}
	if err := dec.Decode(&second); err == nil {
		return nil, &Finding{
			Rule: RuleSyntax, Line: second.Line, Column: second.Column,
			Message: "the text holds a second document", Mend: "keep one definition in a file",
		}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlFault(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// yamlFault takes the line out of the library's message.
func yamlFault(err error) *Finding {
	msg := err.Error()
	line := 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	return &Finding{Rule: RuleSyntax, Line: max(line, 1), Column: 1, Message: "not YAML: " + strings.TrimPrefix(msg, "yaml: ")}
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// lineColumn counts lines and characters up to an offset.
func lineColumn(src []byte, offset int) (line, column int) {
	before := src[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}
