package workflow

import (
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The fields of an event as filters and expressions name them. The interpreter gives each of them always: an event without a subject has an empty
// one, one without data has null.
var eventFields = []string{"id", "type", "source", "subject", "time", "data"}

// declareEvents compiles the schemas of signals and of the data of events.
func (c *compiler) declareEvents() {
	if len(c.def.GetSignals()) > 0 {
		c.out.Signals = map[string]*Schema{}
	}
	for _, name := range sortedKeys(c.def.GetSignals()) {
		c.out.Signals[name] = c.schema(c.def.GetSignals()[name], fieldPath("signals", name), SignalPrefix+name)
	}
	for _, name := range sortedKeys(c.def.GetResources().GetEvents()) {
		at := fieldPath("resources", "events", name)
		if strings.HasPrefix(name, SignalPrefix) {
			c.fault("L3", at, "declare the signal under `signals`", "%q is the type of a signal, which is no published event", name)
		}
		if data := c.def.GetResources().GetEvents()[name].GetData(); data != nil {
			c.events[name] = c.schema(data, fieldPath(at, "data"), name)
		}
	}
}

// dataOf is the schema of the data of a type of events; nil: unknown.
func (c *compiler) dataOf(eventType string) *Schema {
	if name, ok := strings.CutPrefix(eventType, SignalPrefix); ok {
		return c.out.Signals[name]
	}
	return c.events[eventType]
}

// dataOfAll is the schema of the data of several types, if they agree.
func (c *compiler) dataOfAll(filters []*workflowv1.EventFilter) *Schema {
	var out *Schema
	for i, f := range filters {
		data := c.dataOf(f.GetType())
		if data == nil || i > 0 && string(data.raw) != string(out.raw) {
			return nil
		}
		out = data
	}
	return out
}

// eventSchema describes events of some types as expressions see them.
func eventSchema(comp *composer, data *Schema, types []string) map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{
		"type": "object", "required": eventFields,
		"properties": map[string]any{
			"id": text, "type": map[string]any{"type": "string", "enum": types}, "source": text, "subject": text,
			"time": map[string]any{"type": "string", "format": "date-time"}, "data": comp.part(data),
		},
	}
}

// eventTypes are the types that filters name, each once.
func eventTypes(filters []*workflowv1.EventFilter) []string {
	var out []string
	for _, f := range filters {
		if !slices.Contains(out, f.GetType()) {
			out = append(out, f.GetType())
		}
	}
	return out
}

// waitOutput is the schema of the output of a wait: the event with the index of the filter that it matched, or the events in the order of the
// filters.
func (c *compiler) waitOutput(p *workflowv1.WaitEvent, name string) *Schema {
	var comp composer
	if filters := p.GetAllOf(); len(filters) > 0 {
		return comp.build(name, map[string]any{
			"type": "array", "minItems": len(filters), "maxItems": len(filters),
			"items": eventSchema(&comp, c.dataOfAll(filters), eventTypes(filters)),
		})
	}
	filters := p.GetAnyOf()
	out := eventSchema(&comp, c.dataOfAll(filters), eventTypes(filters))
	out["required"] = append(slices.Clone(eventFields), "filter")
	if properties, ok := out["properties"].(map[string]any); ok {
		properties["filter"] = map[string]any{"type": "integer", "minimum": 0, "maximum": len(filters) - 1}
	}
	return comp.build(name, out)
}

// waitEvent compiles a wait.
func (c *compiler) waitEvent(p *workflowv1.WaitEvent, key siteKey, at string) *WaitEvent {
	out := &WaitEvent{All: len(p.GetAllOf()) > 0, FromRunStart: p.GetBufferFromRunStart()}
	filters, at := p.GetAnyOf(), fieldPath(at, "any_of")
	if out.All {
		filters, at = p.GetAllOf(), fieldPath(parentPath(at), "all_of")
	}
	for i, f := range filters {
		out.Filters = append(out.Filters, c.eventFilter(f, key, indexPath(at, i)))
	}
	return out
}

// eventFilter compiles a filter whose values may use the names of key, and whose condition the event beside them.
func (c *compiler) eventFilter(p *workflowv1.EventFilter, key siteKey, at string) *EventFilter {
	c.constantText(p.GetType(), fieldPath(at, "type"))
	c.constantText(p.GetSource(), fieldPath(at, "source"))
	c.signal(p.GetType(), fieldPath(at, "type"))
	out := &EventFilter{Type: p.GetType(), Source: p.GetSource()}
	event := c.eventShape(p.GetType())
	values := c.site(key)
	for _, field := range sortedKeys(p.GetCorrelate()) {
		path := fieldPath(fieldPath(at, "correlate"), field)
		value := c.expr(values, p.GetCorrelate()[field], path, 0, wantAny)
		if s, ok := c.eventField(field, event, path); ok && value != nil && !s.takes(value.output) {
			c.fault("L4", path, "convert it, or correlate by another field", "%s of the event is %s, which %s never equals", field, s.text(), typeText(value.output))
		}
		out.Correlate = append(out.Correlate, NamedExpr{Name: field, Expr: value})
	}
	if p.GetWhen() != "" {
		key.event = event
		out.When = c.expr(c.site(key), p.GetWhen(), fieldPath(at, "when"), 0, wantBool)
	}
	return out
}

// eventShape is the shape of the events of a type, with a name of its own.
func (c *compiler) eventShape(eventType string) *shape {
	if known := c.eventShapes[eventType]; known != nil {
		return known
	}
	var comp composer
	whole := eventSchema(&comp, c.dataOf(eventType), []string{eventType})
	c.eventShapes[eventType] = shapeOf(comp.build("event #"+itoa(len(c.eventShapes)), whole))
	return c.eventShapes[eventType]
}

// signal checks that the signal that a filter waits for is declared, when signals are.
func (c *compiler) signal(eventType, at string) {
	name, ok := strings.CutPrefix(eventType, SignalPrefix)
	if !ok {
		return
	}
	var have []string
	for _, known := range sortedKeys(c.def.GetSignals()) {
		have = append(have, SignalPrefix+known)
	}
	switch {
	case name == "":
		c.fault("L3", at, "write signal.<name>", "%q names no signal", eventType)
	case len(have) > 0 && !slices.Contains(have, eventType):
		c.fault("L3", at, nearestMend(eventType, have, "the signals are "), "there is no signal %q", name)
	}
}

// eventField finds the shape of a field of an event, and reports one that there cannot be.
func (c *compiler) eventField(field string, event *shape, at string) (*shape, bool) {
	parts := strings.Split(field, ".")
	if !slices.Contains(eventFields, parts[0]) {
		c.fault("L4", at, nearestMend(parts[0], eventFields, "its fields are "), "an event has no field %q", parts[0])
		return nil, false
	}
	s := event.member(parts[0])
	for i, part := range parts[1:] {
		of := strings.Join(parts[:i+1], ".")
		switch {
		case part == "":
			c.fault("L4", at, "write a name between the dots, as data.order.id", "%q is no path to a field", field)
			return nil, false
		case s.kind == kindObject && s.fields[part] == nil && !s.open():
			c.fault("L4", at, nearestMend(part, sortedKeys(s.fields), "its fields are "), "%s of the event has no field %q", of, part)
			return nil, false
		case s.kind != kindObject && s.kind != kindDict && s.kind != kindAny:
			c.fault("L4", at, "name a field of an object", "%s of the event is %s, which has no field %q", of, s.text(), part)
			return nil, false
		}
		s = s.member(part)
	}
	return s, true
}

// triggers compiles the events that start a run.
func (c *compiler) triggers() {
	for i, p := range c.def.GetTriggers() {
		at := indexPath("triggers", i)
		if strings.HasPrefix(p.GetEvent().GetType(), SignalPrefix) {
			c.fault("L3", fieldPath(at, "event", "type"), "name the type of a published event", "a signal goes to a run that there is already, so that it starts none")
			continue
		}
		key := siteKey{alone: true}
		t := &Trigger{Filter: c.eventFilter(p.GetEvent(), key, fieldPath(at, "event"))}
		key.event = c.eventShape(p.GetEvent().GetType())
		site := c.site(key)
		for _, name := range sortedKeys(p.GetInput()) {
			path := fieldPath(fieldPath(at, "input"), name)
			t.Input = append(t.Input, NamedExpr{Name: name, Expr: c.expr(site, p.GetInput()[name], path, 0, wantAny)})
		}
		c.checkFields(t.Input, fieldPath(at, "input"))
		if p.GetRequestId() != "" {
			t.RequestID = c.expr(site, p.GetRequestId(), fieldPath(at, "request_id"), 0, wantText)
		}
		c.out.Triggers = append(c.out.Triggers, t)
	}
}

// checkFields compares the fields of an input that a trigger makes with the schema of the input.
func (c *compiler) checkFields(fields []NamedExpr, at string) {
	s := c.env.input
	switch s.kind {
	case kindAny, kindDict:
		return
	case kindObject:
	default:
		c.fault("L4", parentPath(at), "describe the input as an object", "the trigger's input is an object, but `input` is described as %s", s.text())
		return
	}
	given := map[string]bool{}
	for _, f := range fields {
		given[f.Name] = true
		path := fieldPath(at, f.Name)
		if s.fields[f.Name] == nil && !s.open() {
			c.fault("L4", path, nearestMend(f.Name, sortedKeys(s.fields), "its fields are "), "the input has no field %q", f.Name)
			continue
		}
		if wanted := s.member(f.Name); f.Expr != nil && !wanted.takes(f.Expr.output) {
			c.fault("L4", path, "convert it, or pass another value", "the input's field %s is of type %s, wanted %s", f.Name, typeText(f.Expr.output), wanted.text())
		}
	}
	for _, name := range sortedKeys(s.required) {
		if !given[name] {
			c.fault("L4", parentPath(at), "add it to the trigger's `input`", "a run needs the input field %q", name)
		}
	}
}
