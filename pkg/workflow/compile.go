package workflow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The states that the `steps:` shorthand is written out as.
const (
	mainState = "main"
	doneState = "done"
)

// Compile expands shorthand, writes defaults out, resolves tools against the catalogue, compiles every expression and runs the lint
// rules. It returns all findings at once; with an error among them the definition is nil, as it is for a document that Load found
// errors in. Without a catalogue (nil), tools are unknown: each is a warning and untyped, and its effect is taken as written, else WRITE. Without
// workflows (nil), so are sub-workflows, save those that the definition has pinned already.
func Compile(doc *Document, cat Catalog, workflows Workflows) (*Definition, Findings) {
	if doc == nil || doc.Definition == nil {
		return nil, Findings{{Rule: RuleSyntax, Severity: SeverityError, Message: "there is no definition to compile"}}
	}
	def, findings := compileAndLint(doc, cat, workflows)
	if findings.HasErrors() || len(doc.broken) > 0 {
		return nil, findings
	}
	return def, findings
}

// compileAndLint returns a definition also when only the linter finds fault with it.
func compileAndLint(doc *Document, cat Catalog, workflows Workflows) (*Definition, Findings) {
	c := newCompiler(doc.Definition, cat)
	c.doc, c.workflows = doc, workflows
	c.run()
	def := c.out
	if c.findings.HasErrors() {
		def = nil
	}
	if c.def != nil {
		c.lint()
	}
	return def, c.findings.sorted()
}

// Rebuild compiles a stored, normalised definition with its pinned tools and sub-workflows again, without linting. It is deterministic: the digest is the one
// that Compile gave. It fails only on a definition that Compile did not make.
func Rebuild(def *workflowv1.WorkflowDefinition, tools []*workflowv1.ToolDeclaration) (*Definition, error) {
	if def == nil {
		return nil, errors.New("workflow: no definition to rebuild")
	}
	c := newCompiler(def, NewCatalog(tools))
	c.run()
	if c.findings.HasErrors() {
		return nil, fmt.Errorf("workflow: the definition cannot be rebuilt: %s", c.findings.sorted().Errors()[0])
	}
	return c.out, nil
}

// compiler turns one definition into its compiled form.
type compiler struct {
	// doc is nil when a definition is rebuilt: then nothing is linted.
	doc    *Document
	source *workflowv1.WorkflowDefinition
	cat    Catalog
	// workflows are the registered ones; nil: unknown.
	workflows Workflows
	findings  Findings

	// def is the normalised definition; nil when it is too broken to go on.
	def   *workflowv1.WorkflowDefinition
	env   *environment
	out   *Definition
	steps []*stepRef
	// stateBlocks are the steps of each state, by its name.
	stateBlocks map[string]*blockRef
	// tooMany tells that there are more steps, or deeper ones, than are allowed.
	tooMany bool
	tools   map[string]*resolvedTool
	outputs map[string]*Schema
	items   map[*stepRef]*shape
	// events are the schemas of the data of events, by type.
	events      map[string]*Schema
	eventShapes map[string]*shape
	compiledAs  map[*stepRef]*Step
	blocks      map[*blockRef]*Block
	expressions int
	compiled    []*Expr // kept for the linter only
}

func newCompiler(def *workflowv1.WorkflowDefinition, cat Catalog) *compiler {
	return &compiler{source: def, cat: cat, tools: map[string]*resolvedTool{}, outputs: map[string]*Schema{}, items: map[*stepRef]*shape{}, events: map[string]*Schema{}, eventShapes: map[string]*shape{}, compiledAs: map[*stepRef]*Step{}, blocks: map[*blockRef]*Block{}}
}

// run compiles; what is wrong is in the findings.
func (c *compiler) run() {
	def := proto.CloneOf(c.source)
	if !c.collectSteps(def) {
		return
	}
	c.def = def
	c.normalise()
	c.resolveTools()
	c.resolveWorkflows()
	c.out = &Definition{
		Proto: c.def, States: map[string]*State{}, Deadline: c.def.GetDeadline().AsDuration(),
		AutoUpgrade: c.def.GetVersioning().GetBehavior() == workflowv1.Behavior_BEHAVIOR_AUTO_UPGRADE,
		steps:       map[string]*Step{}, policies: map[string]*ToolPolicy{},
	}
	if !c.declare() {
		return
	}
	c.references()
	c.compilePolicies()
	c.compileStates()
	c.triggers()
	c.finish()
}

// finish pins the tools and digests the whole.
func (c *compiler) finish() {
	var reads []string
	for _, s := range c.out.steps {
		reads = append(reads, s.Reads...)
	}
	for _, s := range c.out.States {
		reads = append(reads, s.Reads...)
	}
	for _, h := range c.out.Handlers {
		reads = append(reads, h.reads()...)
	}
	for _, r := range c.out.Result {
		reads = append(reads, readsOf(r.Expr)...)
	}
	c.out.Reads = mergeReads(reads)
	for _, key := range sortedKeys(c.tools) {
		if t := c.tools[key]; t.declaration != nil {
			c.out.Tools = append(c.out.Tools, t.declaration)
		}
	}
	c.out.Digest = digest(c.out.Proto, c.out.Tools)
}

// digest is over the deterministic bytes of the definition and of each tool, each after its length.
func digest(def *workflowv1.WorkflowDefinition, tools []*workflowv1.ToolDeclaration) string {
	h := sha256.New()
	write := func(m proto.Message) {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			b = []byte(err.Error()) // text that is not UTF-8; Load and the wire both refuse it
		}
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	write(def)
	for _, t := range tools {
		write(t)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// fault reports an error at a path.
func (c *compiler) fault(rule, path, mend, format string, args ...any) {
	c.add(Finding{Rule: rule, Path: path, Message: fmt.Sprintf(format, args...), Mend: mend})
}

// warn reports a warning at a path.
func (c *compiler) warn(rule, path, mend, format string, args ...any) {
	c.add(Finding{Rule: rule, Severity: SeverityWarning, Path: path, Message: fmt.Sprintf(format, args...), Mend: mend})
}

// add keeps a finding, unless Load has already found fault with the same place.
func (c *compiler) add(f Finding) {
	if f.Severity == "" {
		f.Severity = SeverityError
	}
	switch {
	case c.doc == nil:
		c.findings = append(c.findings, f)
	case !c.doc.brokenAt(f.Path):
		c.doc.report(&c.findings, f)
	}
}

// place gives a finding inside an expression its place, when the text is one whose characters stand where they are read.
func (c *compiler) place(f *Finding, offset, line, column int) {
	if c.doc == nil {
		return
	}
	p := c.doc.placeOf(f.Path)
	f.Line, f.Column = p.line, p.column
	if exact, ok := c.doc.exactPlace(f.Path); ok && exact.text > 0 && line == 1 {
		f.Column = exact.text + offset + column
	}
}

// template compiles a free-form object; nil stands for an empty one.
func (c *compiler) template(at *site, b func(*templateBuilder)) *Template {
	before := len(c.findings)
	tb := &templateBuilder{
		compile: func(source, path string, offset int) *Expr { return c.expr(at, source, path, offset, wantAny) },
		fault: func(path string, offset int, message, mend string) {
			f := Finding{Rule: "L4", Path: path, Message: message, Mend: mend}
			c.place(&f, 0, 1, offset)
			c.add(f)
		},
	}
	b(tb)
	t := tb.build()
	t.broken = c.findings[before:].HasErrors()
	return t
}
