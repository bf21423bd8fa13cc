package workflow

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Source is the text of a definition.
type Source struct {
	// File is the name that findings are given.
	File string
	// Text is YAML or JSON.
	Text []byte
	// Namespace that the definition is to belong to, as in CheckIn. Empty: the definition says it alone.
	Namespace string
}

// CheckAll checks definitions that belong together: each may run the others as sub-workflows and wait for what they emit. What none of them is
// is looked up among the known ones; nil: nothing is known of others, so that a workflow that is not among the sources is a warning.
// It returns all findings, file by file.
func CheckAll(sources []Source, cat Catalog, known Workflows) Findings {
	t := &together{cat: cat, known: known}
	for _, s := range sources {
		doc, fs := loadIn(s.Namespace, s.File, s.Text)
		t.entries = append(t.entries, &entry{doc: doc, findings: fs})
	}
	var out Findings
	for _, e := range t.entries {
		t.check(e)
		out = append(out, e.findings.sorted()...)
	}
	return out
}

// together are definitions that are checked together. It implements Workflows.
type together struct {
	entries []*entry
	cat     Catalog
	known   Workflows
}

// entry is one of them.
type entry struct {
	doc      *Document
	findings Findings
	begun    bool
	// def is what others may run; it is there too when only lint rules find fault with it.
	def *Definition
}

func (t *together) check(e *entry) {
	if e.begun || e.doc == nil {
		return
	}
	e.begun = true
	var found Findings
	e.def, found = compileAndLint(e.doc, t.cat, t)
	e.findings = append(e.findings, found...)
	if len(e.doc.broken) > 0 {
		e.def = nil
	}
}

// Workflow implements Workflows. One that is being checked already cannot be part of itself.
func (t *together) Workflow(namespace, name, version string) (*Definition, bool) {
	var found *entry
	for _, e := range t.entries {
		m := e.metadata()
		if m.GetName() != name || cmp.Or(m.GetNamespace(), defaultNamespace) != namespace || version != "" && m.GetVersion() != version {
			continue
		}
		if found == nil || versionLess(found.metadata().GetVersion(), m.GetVersion()) {
			found = e
		}
	}
	if found != nil {
		t.check(found)
		return found.def, found.def != nil
	}
	if t.known == nil {
		return nil, false
	}
	return t.known.Workflow(namespace, name, version)
}

// Partial implements PartialWorkflows.
func (t *together) Partial() bool { return t.known == nil }

// Emitters implements Emitters.
func (t *together) Emitters(namespace, eventType string) []string {
	var out []string
	for _, e := range t.entries {
		if m := e.metadata(); e.doc != nil && cmp.Or(m.GetNamespace(), defaultNamespace) == namespace && slices.Contains(EmittedTypes(e.doc.Definition), eventType) {
			out = append(out, m.GetName())
		}
	}
	if known, ok := t.known.(Emitters); ok {
		out = append(out, known.Emitters(namespace, eventType)...)
	}
	return out
}

func (e *entry) metadata() *workflowv1.Metadata {
	if e.doc == nil {
		return nil
	}
	return e.doc.Definition.GetMetadata()
}

// EmittedTypes are the types of the events that the steps of a definition publish, those of its pinned sub-workflows included; sorted.
func EmittedTypes(def *workflowv1.WorkflowDefinition) []string {
	var out []string
	c := newCompiler(def, nil)
	c.collectSteps(proto.CloneOf(def))
	for _, ref := range c.steps {
		if e := ref.proto.GetEmit(); e != nil {
			out = append(out, e.GetType())
		}
		out = append(out, ref.proto.GetWorkflow().GetPin().GetEmits()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// versionLess compares versions of three numbers.
func versionLess(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}
