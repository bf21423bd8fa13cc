package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// message compares two messages of one type field by field.
func (c *comparison) message(a, b protoreflect.Message, s spot) {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		c.field(a, b, fields.Get(i), s)
	}
}

// field compares one field of two messages.
func (c *comparison) field(a, b protoreflect.Message, f protoreflect.FieldDescriptor, s spot) {
	if !a.Has(f) && !b.Has(f) {
		return
	}
	at := s.at(authored(f))
	x, y := a.Get(f), b.Get(f)
	switch {
	case f.IsMap():
		c.entries(x.Map(), y.Map(), f, at)
	case f.IsList():
		c.list(x.List(), y.List(), f, at)
	case f.Message() == nil:
		if !x.Equal(y) {
			c.value(a.Has(f), b.Has(f), scalar(f, x), scalar(f, y), at)
		}
	case wellKnown(f.Message()):
		c.json(jsonOf(a, f), jsonOf(b, f), f, at)
	case !a.Has(f) || !b.Has(f):
		c.value(a.Has(f), b.Has(f), summary(x.Message()), summary(y.Message()), at)
	default:
		c.message(x.Message(), y.Message(), at)
	}
}

// value tells of a value that came, went or changed.
func (c *comparison) value(had, has bool, before, after string, s spot) {
	switch {
	case !has:
		c.say(Removed, s, before, "")
	case !had:
		c.say(Added, s, "", after)
	default:
		c.say(Changed, s, before, after)
	}
}

// authored is a field's name as authors write it.
func authored(f protoreflect.FieldDescriptor) string {
	if f.Name() == "condition" {
		return "if"
	}
	return string(f.Name())
}

// scalar is a value as authors write it.
func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return enumWords(f.Enum(), v.Enum())
	case protoreflect.BytesKind:
		return string(v.Bytes())
	case protoreflect.StringKind:
		return text(v.String())
	default:
		return v.String()
	}
}

// enumWords is a value without the prefix of its enum.
func enumWords(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	return wording.Enum(enumValue{e, n})
}

// enumValue is a value of an enum that is known by its descriptor alone.
type enumValue struct {
	protoreflect.EnumDescriptor
	number protoreflect.EnumNumber
}

func (v enumValue) Descriptor() protoreflect.EnumDescriptor { return v.EnumDescriptor }
func (v enumValue) Type() protoreflect.EnumType             { return nil }
func (v enumValue) Number() protoreflect.EnumNumber         { return v.number }

// text quotes what would not be read as one word or sentence.
func text(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func quote(s string) string { return strconv.Quote(s) }

func wellKnown(m protoreflect.MessageDescriptor) bool {
	return m.ParentFile().Package() == "google.protobuf"
}

// jsonOf is a well-known message as JSON, nil when it is unset. A duration is as authors write it.
func jsonOf(m protoreflect.Message, f protoreflect.FieldDescriptor) any {
	if !m.Has(f) {
		return nil
	}
	message := m.Get(f).Message().Interface()
	if d, ok := message.(*durationpb.Duration); ok {
		return wording.Duration(d.AsDuration())
	}
	raw, err := protojson.Marshal(message)
	if err != nil {
		return err.Error()
	}
	return decode(raw)
}

// decode reads JSON; what is none stays text.
func decode(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return string(raw)
	}
	return value
}

// json compares two JSON values member by member.
func (c *comparison) json(a, b any, f protoreflect.FieldDescriptor, s spot) {
	x, xs := a.(map[string]any)
	y, ys := b.(map[string]any)
	if !xs || !ys {
		if before, after := jsonText(a), jsonText(b); before != after {
			c.value(a != nil, b != nil, before, after, s)
		}
		return
	}
	for _, name := range sortedNames(x, y) {
		v, had := x[name]
		w, has := y[name]
		switch at := s.at(name); {
		case !has:
			c.say(Removed, at, jsonText(v), "")
		case !had:
			c.say(Added, at, "", jsonText(w))
		default:
			c.json(v, w, f, at)
		}
	}
}

func jsonText(v any) string {
	if s, ok := v.(string); ok {
		return text(s)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if v == nil || e.Encode(v) != nil {
		return "null"
	}
	return strings.TrimSpace(out.String())
}

// entries compares two maps by key.
func (c *comparison) entries(a, b protoreflect.Map, f protoreflect.FieldDescriptor, s spot) {
	keys := map[string]protoreflect.MapKey{}
	for _, m := range []protoreflect.Map{a, b} {
		m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys[k.String()] = k
			return true
		})
	}
	value := f.MapValue()
	for _, name := range sortedNames(keys) {
		k, at := keys[name], s.at(name)
		had, has := a.Has(k), b.Has(k)
		switch {
		case value.Message() == nil:
			if x, y := scalarOr(value, a, k), scalarOr(value, b, k); x != y || had != has {
				c.value(had, has, x, y, at)
			}
		case !had:
			c.say(Added, at, "", summary(b.Get(k).Message()))
		case !has:
			c.say(Removed, at, summary(a.Get(k).Message()), "")
		default:
			c.message(a.Get(k).Message(), b.Get(k).Message(), at)
		}
	}
}

func scalarOr(f protoreflect.FieldDescriptor, m protoreflect.Map, k protoreflect.MapKey) string {
	if !m.Has(k) {
		return ""
	}
	return scalar(f, m.Get(k))
}

// list compares two lists: scalars as a whole, messages one by one.
func (c *comparison) list(a, b protoreflect.List, f protoreflect.FieldDescriptor, s spot) {
	if f.Message() == nil {
		x, y := scalars(a, f), scalars(b, f)
		if !slices.Equal(x, y) {
			c.value(a.Len() > 0, b.Len() > 0, strings.Join(x, ", "), strings.Join(y, ", "), s)
		}
		return
	}
	for _, pair := range align(messages(a), messages(b)) {
		at := s.at(fmt.Sprintf("[%d]", pair.number()))
		switch {
		case pair.b < 0:
			c.say(Removed, at, summary(a.Get(pair.a).Message()), "")
		case pair.a < 0:
			c.say(Added, at, "", summary(b.Get(pair.b).Message()))
		default:
			c.message(a.Get(pair.a).Message(), b.Get(pair.b).Message(), at)
		}
	}
}

func scalars(l protoreflect.List, f protoreflect.FieldDescriptor) []string {
	out := make([]string, 0, l.Len())
	for i := range l.Len() {
		out = append(out, scalar(f, l.Get(i)))
	}
	return out
}

func messages(l protoreflect.List) []proto.Message {
	out := make([]proto.Message, 0, l.Len())
	for i := range l.Len() {
		out = append(out, l.Get(i).Message().Interface())
	}
	return out
}

// pair are the places of one item in two lists; -1: it is not in that one.
type pair struct{ a, b int }

func (p pair) number() int {
	if p.b >= 0 {
		return p.b
	}
	return p.a
}

// align pairs the items of two lists that are not equal: the longest run of equal ones is taken out, and what stands between two of those
// is paired in order.
func align[M proto.Message](a, b []M) []pair {
	x, y := keysOf(a), keysOf(b)
	common := make([][]int, len(x)+1)
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); x[i] == y[j] {
				common[i][j] = max(common[i][j], common[i+1][j+1]+1)
			}
		}
	}
	var out []pair
	var gone, came []int
	flush := func() {
		for i := range max(len(gone), len(came)) {
			p := pair{-1, -1}
			if i < len(gone) {
				p.a = gone[i]
			}
			if i < len(came) {
				p.b = came[i]
			}
			out = append(out, p)
		}
		gone, came = nil, nil
	}
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			flush()
			i, j = i+1, j+1
		case j >= len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			gone, i = append(gone, i), i+1
		default:
			came, j = append(came, j), j+1
		}
	}
	flush()
	return out
}

func keysOf[M proto.Message](list []M) []string {
	out := make([]string, 0, len(list))
	for _, m := range list {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			raw = []byte(err.Error())
		}
		out = append(out, string(raw))
	}
	return out
}

// renameStates is the definition with its states under their new names.
func renameStates(d *workflowv1.WorkflowDefinition, names map[string]string) *workflowv1.WorkflowDefinition {
	out := proto.CloneOf(d)
	if len(names) == 0 {
		return out
	}
	rename := func(name *string) {
		if to, ok := names[*name]; ok {
			*name = to
		}
	}
	policy := func(p *workflowv1.ErrorPolicy) {
		for _, h := range p.GetHandlers() {
			switch then := h.GetThen().(type) {
			case *workflowv1.ErrorHandler_Transition:
				rename(&then.Transition)
			case *workflowv1.ErrorHandler_Escalate:
				rename(&then.Escalate.To)
			case *workflowv1.ErrorHandler_Compensate:
				rename(&then.Compensate.Then)
			}
		}
	}
	rename(&out.Initial)
	policy(out.GetOnError())
	states := map[string]*workflowv1.State{}
	for _, name := range sortedNames(out.GetStates()) {
		state, to := out.GetStates()[name], name
		rename(&to)
		if states[to] != nil {
			to = name // two states become one: the first counts as the same
		}
		states[to] = state
		policy(state.GetOnError())
		for _, t := range state.GetTransitions() {
			rename(&t.To)
		}
	}
	out.States = states
	for _, placed := range placeSteps(out) {
		policy(placed.step.GetOnError())
	}
	return out
}
