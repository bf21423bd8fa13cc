package workflow

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// scalar reads a text, number, bool or enum value.
func (d *decoder) scalar(node *yaml.Node, fd protoreflect.FieldDescriptor, path string, depth int) (protoreflect.Value, bool) {
	if !d.enter(node, path, depth) {
		return protoreflect.Value{}, false
	}
	node = resolve(node)
	if node.Kind != yaml.ScalarNode || isNull(node) || !knownTag(node) {
		d.fault(node, path, RuleSchema, "", "%s is %s, wanted %s", subject(path), nodeText(node), fieldWants(fd))
		return protoreflect.Value{}, false
	}
	v, mend := scalarValue(node, fd)
	if !v.IsValid() {
		d.fault(node, path, RuleSchema, mend, "%s is %s, wanted %s", subject(path), nodeText(node), fieldWants(fd))
	}
	return v, v.IsValid()
}

// scalarValue converts a scalar; an invalid value comes with a hint how to mend it.
func scalarValue(node *yaml.Node, fd protoreflect.FieldDescriptor) (protoreflect.Value, string) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		// A plain 1.10, true or 3 is taken as it is written: in a field of CEL it is an expression.
		return protoreflect.ValueOfString(node.Value), ""
	case protoreflect.BoolKind:
		if node.ShortTag() == "!!bool" {
			return protoreflect.ValueOfBool(strings.EqualFold(node.Value, "true")), ""
		}
		return protoreflect.Value{}, "write true or false"
	case protoreflect.EnumKind:
		return enumValue(node.Value, fd.Enum())
	case protoreflect.DoubleKind:
		if f, ok := floatValue(node); ok {
			return protoreflect.ValueOfFloat64(f), ""
		}
		return protoreflect.Value{}, "write a number"
	case protoreflect.Uint32Kind:
		if n, ok := uintValue(node, math.MaxUint32); ok {
			return protoreflect.ValueOfUint32(uint32(n)), ""
		}
		return protoreflect.Value{}, "write a whole number, 0 or greater"
	case protoreflect.Uint64Kind:
		if n, ok := uintValue(node, math.MaxUint64); ok {
			return protoreflect.ValueOfUint64(n), ""
		}
		return protoreflect.Value{}, "write a whole number, 0 or greater"
	default:
		return protoreflect.Value{}, "this field cannot be written in a definition"
	}
}

// enumValue takes `read`, `READ` and `EFFECT_READ` for EFFECT_READ. The unspecified value cannot be written: the field is left out.
func enumValue(text string, ed protoreflect.EnumDescriptor) (protoreflect.Value, string) {
	var have []string
	for i := range ed.Values().Len() {
		value := ed.Values().Get(i)
		if value.Number() == 0 {
			continue
		}
		short := EnumName(ed, value.Number())
		if text == short || text == strings.ToUpper(short) || text == string(value.Name()) {
			return protoreflect.ValueOfEnum(value.Number()), ""
		}
		have = append(have, short)
	}
	if near, ok := nearest.Match(text, have); ok {
		return protoreflect.Value{}, fmt.Sprintf("did you mean %q?", near)
	}
	return protoreflect.Value{}, "write one of " + strings.Join(have, ", ")
}

// EnumName is how authors spell a value of an enum of the contract: in lower case and without the enum's own name, as in "read" for
// EFFECT_READ. It is "" for a number that the enum does not have.
func EnumName(ed protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := ed.Values().ByNumber(number)
	if value == nil {
		return ""
	}
	unspecified := string(ed.Values().ByNumber(0).Name())
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), strings.TrimSuffix(unspecified, "UNSPECIFIED")))
}

func floatValue(node *yaml.Node) (float64, bool) {
	if tag := node.ShortTag(); tag != "!!int" && tag != "!!float" {
		return 0, false
	}
	if f, err := strconv.ParseFloat(node.Value, 64); err == nil {
		return f, !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	n, err := strconv.ParseInt(node.Value, 0, 64) // 0x1f and 1_000
	return float64(n), err == nil
}

func uintValue(node *yaml.Node, most uint64) (uint64, bool) {
	if node.ShortTag() == "!!int" {
		n, err := strconv.ParseUint(node.Value, 0, 64)
		return n, err == nil && n <= most
	}
	f, ok := floatValue(node) // 3.0 and 1e3, as JSON writers may put it
	if !ok || f < 0 || f != math.Trunc(f) || f > 1<<53 || uint64(f) > most {
		return 0, false
	}
	return uint64(f), true
}

// duration reads 0.5s, 5m, 1h30m.
func (d *decoder) duration(node *yaml.Node, into *durationpb.Duration, path string, depth int) {
	if !d.enter(node, path, depth) {
		return
	}
	node = resolve(node)
	if node.Kind == yaml.ScalarNode {
		if v, err := time.ParseDuration(node.Value); err == nil {
			into.Seconds, into.Nanos = int64(v/time.Second), int32(v%time.Second)
			return
		}
	}
	mend := "write a number with a unit: ms, s, m or h, as in 0.5s, 5m, 72h"
	if node.Kind == yaml.ScalarNode && (node.ShortTag() == "!!int" || node.ShortTag() == "!!float") {
		mend = fmt.Sprintf("give it a unit, as in %ss", node.Value)
	}
	d.fault(node, path, RuleSchema, mend, "%s is %s, wanted a duration", subject(path), nodeText(node))
}

// jsonScalar reads a scalar of a free-form value.
func (d *decoder) jsonScalar(node *yaml.Node, path string) *structpb.Value {
	switch node.ShortTag() {
	case "!!null":
		return structpb.NewNullValue()
	case "!!bool":
		return structpb.NewBoolValue(strings.EqualFold(node.Value, "true"))
	case "!!int", "!!float":
		f, ok := floatValue(node)
		if !ok {
			d.fault(node, path, RuleSchema, "write a finite number, or quote it", "%s is %s, which JSON cannot hold", subject(path), nodeText(node))
		} else if node.ShortTag() == "!!int" && math.Abs(f) >= 1<<53 {
			d.fault(node, path, RuleSchema, "quote it", "%s is %s, a whole number that JSON readers round (2^53 and more)", subject(path), nodeText(node))
		}
		return structpb.NewNumberValue(f)
	}
	if !knownTag(node) {
		d.fault(node, path, RuleSchema, "remove the tag", "%s has the tag %s, which is not read", subject(path), quoted(node.Tag))
	}
	return structpb.NewStringValue(node.Value)
}

// knownTag refuses tags of other languages and binary data.
func knownTag(node *yaml.Node) bool {
	switch node.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		return true
	}
	return false
}

// fieldWants says what a field wants.
func fieldWants(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "a text"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		var have []string
		for i := range fd.Enum().Values().Len() {
			if n := fd.Enum().Values().Get(i).Number(); n != 0 {
				have = append(have, EnumName(fd.Enum(), n))
			}
		}
		return "one of " + strings.Join(have, ", ")
	case protoreflect.DoubleKind:
		return "a number"
	default:
		return "a whole number"
	}
}
