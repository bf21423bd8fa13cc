package diff

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// comparison compares the normalised contracts of two definitions field by field, so that nothing that changes the digest goes untold.
type comparison struct {
	report   *Report
	from, to *workflow.Definition
	stateMap map[string]string

	before, after map[string]placedStep
}

// placedStep is a step with the words for where it stands.
type placedStep struct {
	step *workflowv1.Step
	in   string
	path string
}

// spot is a place in the definitions.
type spot struct {
	section Section
	// what it belongs to, in words, and the path of that.
	what, path string
	// field is the path from there, empty for the thing itself.
	field string
}

// at is the place of a field.
func (s spot) at(field string) spot {
	if s.field != "" && !strings.HasPrefix(field, "[") {
		field = "." + field
	}
	s.field += field
	return s
}

// of is a thing of its own inside the place.
func (s spot) of(section Section, what, field string) spot {
	return spot{section: section, what: what, path: s.full(field)}
}

// full is the path of a field.
func (s spot) full(field string) string {
	path := s.path
	for _, part := range []string{s.field, field} {
		switch {
		case part == "":
		case path == "" || strings.HasPrefix(part, "["):
			path += part
		default:
			path += "." + part
		}
	}
	return path
}

func (c *comparison) say(how How, s spot, before, after string) {
	what := s.what
	if s.field != "" {
		what += ": " + s.field
	}
	c.report.Changes = append(c.report.Changes, Change{Section: s.section, How: how, Path: s.full(""), What: strings.TrimPrefix(what, ": "), Before: before, After: after})
}

// definitions compares the whole.
func (c *comparison) definitions() {
	a, b := renameStates(c.from.Proto, c.stateMap), c.to.Proto
	for _, old := range sortedNames(c.stateMap) {
		if c.from.States[old] != nil && c.to.States[c.stateMap[old]] != nil && old != c.stateMap[old] {
			c.say(Renamed, spot{section: SectionStates, what: "state " + quote(old), path: "states." + old}, old, c.stateMap[old])
		}
	}
	c.before, c.after = placeSteps(a), placeSteps(b)
	fields := a.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch name := string(f.Name()); name {
		case "metadata":
			c.metadata(a.GetMetadata(), b.GetMetadata())
		case "states":
			c.states(a.GetStates(), b.GetStates())
		case "on_error":
			c.handlers(spot{section: SectionHandlers}, a.GetOnError(), b.GetOnError())
		default:
			c.field(a.ProtoReflect(), b.ProtoReflect(), f, spot{section: sectionOf(name)})
		}
	}
	c.tools()
}

// sectionOf is the section of a field of the definition.
func sectionOf(field string) Section {
	switch field {
	case "input", "output":
		return SectionSchemas
	case "resources":
		return SectionResources
	case "triggers":
		return SectionTriggers
	case "signals":
		return SectionSignals
	case "escalations":
		return SectionEscalations
	default:
		return SectionDefinition
	}
}

// metadata compares the labels; name and version are the report's heading.
func (c *comparison) metadata(a, b *workflowv1.Metadata) {
	s := spot{section: SectionDefinition, path: "metadata", what: "metadata"}
	for _, name := range []protoreflect.Name{"namespace", "labels"} {
		c.field(a.ProtoReflect(), b.ProtoReflect(), a.ProtoReflect().Descriptor().Fields().ByName(name), s)
	}
}

func (c *comparison) states(a, b map[string]*workflowv1.State) {
	for _, name := range sortedNames(a, b) {
		s := spot{section: SectionStates, what: "state " + quote(name), path: "states." + name}
		switch {
		case b[name] == nil:
			c.say(Removed, s, stateText(a[name]), "")
		case a[name] == nil:
			c.say(Added, s, "", stateText(b[name]))
		}
		c.state(s, a[name], b[name])
	}
}

// state compares a state's parts. Those of one that is new or gone are not told one by one, save its steps, which may have moved.
func (c *comparison) state(s spot, a, b *workflowv1.State) {
	both := a != nil && b != nil
	fields := (&workflowv1.State{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.Name() == "steps":
			c.steps(s, s.what, "steps", a.GetSteps(), b.GetSteps(), both)
		case !both:
		case f.Name() == "transitions":
			c.transitions(s, a.GetTransitions(), b.GetTransitions())
		case f.Name() == "on_error":
			c.handlers(s, a.GetOnError(), b.GetOnError())
		default:
			c.field(a.ProtoReflect(), b.ProtoReflect(), f, s)
		}
	}
}

func (c *comparison) transitions(s spot, a, b []*workflowv1.Transition) {
	for _, pair := range align(a, b) {
		t := s.of(SectionTransitions, fmt.Sprintf("transition %d of %s", pair.number()+1, s.what), fmt.Sprintf("transitions[%d]", pair.number()))
		switch {
		case pair.b < 0:
			c.say(Removed, t, transitionWords(a[pair.a]), "")
		case pair.a < 0:
			c.say(Added, t, "", transitionWords(b[pair.b]))
		default:
			c.say(Changed, t, transitionWords(a[pair.a]), transitionWords(b[pair.b]))
		}
	}
}

func (c *comparison) handlers(s spot, a, b *workflowv1.ErrorPolicy) {
	for _, pair := range align(a.GetHandlers(), b.GetHandlers()) {
		what := fmt.Sprintf("handler %d", pair.number()+1)
		if s.what != "" {
			what += " of " + s.what
		}
		h := s.of(SectionHandlers, what, fmt.Sprintf("on_error.handlers[%d]", pair.number()))
		switch {
		case pair.b < 0:
			c.say(Removed, h, handlerWords(a.GetHandlers()[pair.a]), "")
		case pair.a < 0:
			c.say(Added, h, "", handlerWords(b.GetHandlers()[pair.b]))
		default:
			c.handler(h, a.GetHandlers()[pair.a], b.GetHandlers()[pair.b])
		}
	}
}

func (c *comparison) handler(s spot, a, b *workflowv1.ErrorHandler) {
	if x, y := a.GetFallback().GetStep(), b.GetFallback().GetStep(); x != nil && y != nil && x.GetId() == y.GetId() {
		// Tell what of the step changed, and then the rest.
		c.step(s.of(SectionSteps, fmt.Sprintf("fallback step %s of %s", quote(x.GetId()), s.what), "fallback.step"), x, y)
		a, b = proto.CloneOf(a), proto.CloneOf(b)
		a.GetFallback().Value, b.GetFallback().Value = nil, nil
	}
	if a.ProtoReflect().WhichOneof(thenOneof) != b.ProtoReflect().WhichOneof(thenOneof) {
		c.say(Changed, s, handlerWords(a), handlerWords(b))
		return
	}
	c.message(a.ProtoReflect(), b.ProtoReflect(), s)
}

var (
	thenOneof = (&workflowv1.ErrorHandler{}).ProtoReflect().Descriptor().Oneofs().ByName("then")
	doOneof   = (&workflowv1.Step{}).ProtoReflect().Descriptor().Oneofs().ByName("do")
)

// tools compares the pinned declarations.
func (c *comparison) tools() {
	a, b := map[string]*workflowv1.ToolDeclaration{}, map[string]*workflowv1.ToolDeclaration{}
	for _, t := range c.from.Tools {
		a[t.GetServer()+"/"+t.GetName()] = t
	}
	for _, t := range c.to.Tools {
		b[t.GetServer()+"/"+t.GetName()] = t
	}
	if len(a) == 0 != (len(b) == 0) {
		one := c.from
		if len(a) > 0 {
			one = c.to
		}
		if namesTools(one) {
			c.report.Notes = append(c.report.Notes, "the tools of "+version(one)+" were not looked up, so that tools and their schemas are not compared")
			return
		}
	}
	for _, name := range sortedNames(a, b) {
		s := spot{section: SectionTools, what: "tool " + name, path: "tools." + name}
		switch {
		case b[name] == nil:
			c.say(Removed, s, "", "")
		case a[name] == nil:
			c.say(Added, s, "", "")
		default:
			c.message(a[name].ProtoReflect(), b[name].ProtoReflect(), s)
		}
	}
}

// namesTools tells that a definition has tools that could be pinned.
func namesTools(d *workflow.Definition) bool {
	names := false
	eachStep(d, func(s *workflow.Step) {
		names = names || s.Tool != nil || s.Agent != nil && len(s.Agent.AllowedTools) > 0
	})
	return names
}

func transitionWords(t *workflowv1.Transition) string { return text(wording.Transition(t)) }

func handlerWords(h *workflowv1.ErrorHandler) string { return text(wording.Handler(h)) }
