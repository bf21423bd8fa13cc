package workflow

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// decoder fills a message from YAML nodes by the message's descriptor, keeping the place of every value and every fault.
type decoder struct {
	doc      *Document
	findings Findings
	nodes    int
}

// fault reports a problem at a node.
func (d *decoder) fault(node *yaml.Node, path, rule, mend, format string, args ...any) {
	d.doc.broken[path] = true
	d.doc.report(&d.findings, Finding{
		Rule: rule, Line: node.Line, Column: node.Column, Path: path, Message: fmt.Sprintf(format, args...), Mend: mend,
	})
}

// enter counts a value and refuses what is too large or too deep; a false answer means: go no further.
func (d *decoder) enter(node *yaml.Node, path string, depth int) bool {
	d.nodes++
	if d.nodes == MaxNodes+1 {
		d.fault(node, path, RuleLimit, "write less, or fewer aliases", "the definition has more than %d values, aliases written out", MaxNodes)
	}
	if d.nodes > MaxNodes {
		return false
	}
	if depth > MaxDepth {
		d.fault(node, path, RuleLimit, "nest less", "values are nested more than %d deep", MaxDepth)
		return false
	}
	return true
}

// resolve follows an alias.
func resolve(node *yaml.Node) *yaml.Node {
	for range MaxDepth {
		if node.Kind != yaml.AliasNode {
			break
		}
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// message fills m from a mapping.
func (d *decoder) message(node *yaml.Node, m protoreflect.Message, path string, depth int) {
	if !d.enter(node, path, depth) {
		return
	}
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		d.fault(node, path, RuleSchema, "write its fields as a mapping", "%s is %s, wanted the fields of a %s", subject(path), nodeText(node), m.Descriptor().Name())
		return
	}
	fields := m.Descriptor().Fields()
	d.pairs(node, path, func(key, value *yaml.Node, at string) string {
		fd := fieldByName(fields, key.Value)
		if fd == nil {
			d.unknownField(key, at, m.Descriptor())
			return at
		}
		at = fieldPath(path, fieldLabel(fd))
		if d.doc.places[at] != (place{}) && m.Has(fd) {
			d.fault(key, at, RuleSchema, "keep one of them", "%q is given twice", key.Value)
			return at
		}
		d.doc.places[at] = keyPlace(key, value)
		if isNull(resolve(value)) {
			return at
		}
		if od := fd.ContainingOneof(); od != nil && !od.IsSynthetic() {
			if other := m.WhichOneof(od); other != nil {
				d.fault(key, at, RuleSchema, "keep one of them", "%s and %s exclude each other", fieldLabel(other), fieldLabel(fd))
				return at
			}
		}
		d.field(value, m, fd, at, depth+1)
		return at
	})
}

// pairs walks a mapping, refusing keys that are no names, merge keys and keys given twice. The visitor returns the path of the value.
func (d *decoder) pairs(node *yaml.Node, path string, visit func(key, value *yaml.Node, at string) string) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content) && d.nodes <= MaxNodes; i += 2 {
		key, value := resolve(node.Content[i]), node.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fault(key, path, RuleSchema, "use a plain name", "a key of %s is %s, wanted a name", subject(path), nodeText(key))
		case key.ShortTag() == "!!merge":
			d.fault(key, fieldPath(path, "<<"), RuleSchema, "alias whole values, or write the fields out", "merge keys (`<<`) are not read")
		case seen[key.Value]:
			d.fault(key, fieldPath(path, key.Value), RuleSchema, "keep one of them", "%q is given twice", key.Value)
		default:
			seen[key.Value] = true
			visit(key, value, fieldPath(path, key.Value))
		}
	}
}

func (d *decoder) unknownField(key *yaml.Node, at string, md protoreflect.MessageDescriptor) {
	var have []string
	for i := range md.Fields().Len() {
		have = append(have, fieldLabel(md.Fields().Get(i)))
	}
	mend := "its fields are " + strings.Join(have, ", ")
	if near, ok := nearest.Match(key.Value, have); ok {
		mend = fmt.Sprintf("did you mean %q?", near)
	}
	d.fault(key, at, RuleSchema, mend, "%s has no field %q", md.Name(), key.Value)
}

// field fills one field of m: a list, a map or a single value.
func (d *decoder) field(node *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor, path string, depth int) {
	switch {
	case fd.IsMap():
		d.mapField(node, m.Mutable(fd).Map(), fd, path, depth)
	case fd.IsList():
		d.listField(node, m.Mutable(fd).List(), fd, path, depth)
	case fd.Message() != nil:
		d.messageValue(node, m.Mutable(fd).Message(), path, depth)
	default:
		if v, ok := d.scalar(node, fd, path, depth); ok {
			m.Set(fd, v)
		}
	}
}

func (d *decoder) mapField(node *yaml.Node, into protoreflect.Map, fd protoreflect.FieldDescriptor, path string, depth int) {
	if !d.enter(node, path, depth) {
		return
	}
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		d.fault(node, path, RuleSchema, "write it as a mapping", "%s is %s, wanted names with values", subject(path), nodeText(node))
		return
	}
	d.pairs(node, path, func(key, value *yaml.Node, at string) string {
		d.doc.places[at] = keyPlace(key, value)
		element := into.NewValue()
		if fd.MapValue().Message() != nil {
			if !isNull(resolve(value)) {
				d.messageValue(value, element.Message(), at, depth+1)
			}
		} else if v, ok := d.scalar(value, fd.MapValue(), at, depth+1); ok {
			element = v
		}
		into.Set(protoreflect.ValueOfString(key.Value).MapKey(), element)
		return at
	})
}

func (d *decoder) listField(node *yaml.Node, into protoreflect.List, fd protoreflect.FieldDescriptor, path string, depth int) {
	if !d.enter(node, path, depth) {
		return
	}
	node = resolve(node)
	if node.Kind != yaml.SequenceNode {
		d.fault(node, path, RuleSchema, "write it as a list: [ … ]", "%s is %s, wanted a list", subject(path), nodeText(node))
		return
	}
	for i, item := range node.Content {
		at := indexPath(path, i)
		d.doc.places[at] = scalarPlace(item)
		if fd.Message() != nil {
			element := into.NewElement()
			if !isNull(resolve(item)) {
				d.messageValue(item, element.Message(), at, depth+1)
			}
			into.Append(element)
		} else if v, ok := d.scalar(item, fd, at, depth+1); ok {
			into.Append(v)
		} else {
			into.Append(into.NewElement()) // keeps the indexes of those that follow
		}
	}
}

// messageValue fills a message, of which two kinds are not written as their fields.
func (d *decoder) messageValue(node *yaml.Node, m protoreflect.Message, path string, depth int) {
	switch target := m.Interface().(type) {
	case *durationpb.Duration:
		d.duration(node, target, path, depth)
	case *structpb.Struct:
		d.structValue(node, target, path, depth)
	default:
		d.message(node, m, path, depth)
	}
}

// structValue fills a free-form object.
func (d *decoder) structValue(node *yaml.Node, into *structpb.Struct, path string, depth int) {
	if !d.enter(node, path, depth) {
		return
	}
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		d.fault(node, path, RuleSchema, "write it as a mapping", "%s is %s, wanted an object", subject(path), nodeText(node))
		return
	}
	into.Fields = map[string]*structpb.Value{}
	d.pairs(node, path, func(key, value *yaml.Node, at string) string {
		d.doc.places[at] = keyPlace(key, value)
		into.Fields[key.Value] = d.jsonValue(value, at, depth+1)
		return at
	})
}

// jsonValue reads any value. It never returns nil, so that what follows need not care.
func (d *decoder) jsonValue(node *yaml.Node, path string, depth int) *structpb.Value {
	if resolved := resolve(node); resolved.Kind == yaml.MappingNode {
		into := &structpb.Struct{}
		d.structValue(node, into, path, depth)
		return structpb.NewStructValue(into)
	}
	if !d.enter(node, path, depth) {
		return structpb.NewNullValue()
	}
	node = resolve(node)
	if node.Kind == yaml.SequenceNode {
		list := &structpb.ListValue{}
		for i, item := range node.Content {
			at := indexPath(path, i)
			d.doc.places[at] = scalarPlace(item)
			list.Values = append(list.Values, d.jsonValue(item, at, depth+1))
		}
		return structpb.NewListValue(list)
	}
	return d.jsonScalar(node, path)
}

// fieldByName finds a field by its name in snake_case or lowerCamelCase.
func fieldByName(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if fd := fields.ByJSONName(name); fd != nil {
		return fd
	}
	return fields.ByName(protoreflect.Name(name))
}

// fieldLabel is the name that messages and paths use: the one that authors write.
func fieldLabel(fd protoreflect.FieldDescriptor) string {
	if fd.JSONName() == "if" {
		return "if"
	}
	return string(fd.Name())
}

// keyPlace is where a finding about a value points: at the value if it is a scalar, else at its key.
func keyPlace(key, value *yaml.Node) place {
	if value.Kind == yaml.ScalarNode && !isNull(value) {
		return scalarPlace(value)
	}
	return place{line: key.Line, column: key.Column}
}

func scalarPlace(node *yaml.Node) place {
	p := place{line: node.Line, column: node.Column}
	if node.Kind == yaml.ScalarNode && !strings.Contains(node.Value, "\n") {
		switch node.Style &^ yaml.TaggedStyle {
		case 0:
			p.text = node.Column
		case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
			p.text = node.Column + 1
		}
	}
	return p
}

// subject names what a message is about.
func subject(path string) string {
	if path == "" {
		return "the definition"
	}
	return path
}

// nodeText tells what a node is, for messages.
func nodeText(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if isNull(node) {
			return "empty"
		}
		return quoted(node.Value)
	default:
		return "not a value"
	}
}

// quoted shows a text in a message, cut when it is long.
func quoted(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}
