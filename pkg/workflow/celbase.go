package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// The names of the types that have no schema. No CEL name can be spelt like them.
const (
	typeSteps = "{steps}"
	typeRun   = "{run}"
	typeLocks = "{locks}"
	typeLock  = "{lock}"
	typeError = "{error}"
)

var runType = types.NewObjectType(typeRun)

// celLimits keep one expression from costing more than it is worth to compile. The nesting is far below what the compiler survives.
const (
	celRecursion = 100
	celNodes     = 2_000
	celRegex     = 10_000
)

// baseEnv holds what all definitions share: the standard library, strings and math (in pinned versions, so that a definition keeps its
// meaning), and no function that reads a clock. Extending it is cheap, making it is not.
var baseEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(
		cel.StdLib(),
		ext.Strings(ext.StringsVersion(4)),
		ext.Math(ext.MathVersion(2)),
		cel.CrossTypeNumericComparisons(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.ParserRecursionLimit(celRecursion),
		cel.ParserExpressionSizeLimit(MaxExpressionBytes),
		cel.ExpressionNodeLimit(celNodes),
		cel.RegexProgramSizeLimit(celRegex),
		cel.CustomTypeAdapter(adapter{}),
		cel.CustomTypeProvider(newProvider()),
		cel.Function("visits", cel.MemberOverload("run_visits_string",
			[]*cel.Type{runType, cel.StringType}, cel.IntType, cel.BinaryBinding(runVisits))),
	)
})

// standardIdents knows the names of CEL's own types, as `int` in `type(x) == int`.
var standardIdents = sync.OnceValues(func() (*types.Registry, error) { return types.NewRegistry() })

// provider tells the type checker of the objects that schemas describe. No expression can create one, so that every map that an
// expression iterates over comes through the adapter.
type provider struct {
	structs map[string]*structType
	// shapes are those of structs that a schema describes.
	shapes map[string]*shape
	// missed is the last field that was asked for in vain, for the message about it.
	missed struct{ typeName, field string }
}

// structType is an object with known fields.
type structType struct {
	fields map[string]*types.FieldType
	names  []string
	// other is the type of further fields; nil: there are none.
	other func(name string) *types.FieldType
}

func newProvider() *provider {
	return &provider{structs: map[string]*structType{}, shapes: map[string]*shape{}}
}

// EnumValue implements types.Provider: there are no enums.
func (p *provider) EnumValue(name string) ref.Val { return types.NewErr("unknown enum %q", name) }

// FindIdent implements types.Provider.
func (p *provider) FindIdent(name string) (ref.Val, bool) {
	std, err := standardIdents()
	if err != nil || strings.Contains(name, ".") {
		return nil, false
	}
	return std.FindIdent(name)
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.structs[name]; !ok {
		return nil, false
	}
	return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	s, ok := p.structs[name]
	if !ok {
		return nil, false
	}
	return s.names, true
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	s, ok := p.structs[name]
	if !ok {
		return nil, false
	}
	if f, ok := s.fields[field]; ok {
		return f, true
	}
	if s.other != nil {
		return s.other(field), true
	}
	p.missed.typeName, p.missed.field = name, field
	return nil, false
}

// NewValue implements types.Provider: expressions create no objects.
func (p *provider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("%s cannot be created in an expression", name)
}

// addStruct declares a type whose values are of Go type T.
func addStruct[T any](p *provider, name string, fields ...structField[T]) {
	s := &structType{fields: map[string]*types.FieldType{}}
	for _, f := range fields {
		s.names = append(s.names, f.name)
		s.fields[f.name] = &types.FieldType{
			Type: f.celType,
			IsSet: func(target any) bool {
				t, ok := target.(T)
				return ok && (f.isSet == nil || f.isSet(t))
			},
			GetFrom: func(target any) (any, error) {
				t, ok := target.(T)
				if !ok {
					return nil, fmt.Errorf("null has no %s", f.name)
				}
				return f.get(t)
			},
		}
	}
	slices.Sort(s.names)
	p.structs[name] = s
}

type structField[T any] struct {
	name    string
	celType *cel.Type
	get     func(T) (any, error)
	isSet   func(T) bool // nil: always
}

// addShape declares the objects of a shape, itself and below.
func (p *provider) addShape(s *shape) {
	if s == nil || s.typeName != "" && p.structs[s.typeName] != nil {
		return
	}
	if s.typeName != "" {
		t := &structType{fields: map[string]*types.FieldType{}, names: sortedKeys(s.fields)}
		p.shapes[s.typeName] = s
		p.structs[s.typeName] = t // before its fields: an object may hold itself
		for name, field := range s.fields {
			t.fields[name] = memberType(name, field)
			p.addShape(field)
		}
		if other := s.elem; other != nil {
			t.other = func(name string) *types.FieldType { return memberType(name, other) }
		}
	}
	p.addShape(s.elem)
}

// memberType reads a member of a decoded JSON object.
func memberType(name string, s *shape) *types.FieldType {
	return &types.FieldType{
		Type: s.celType,
		IsSet: func(target any) bool {
			m, _ := target.(map[string]any)
			_, ok := m[name]
			return ok
		},
		GetFrom: func(target any) (any, error) {
			m, ok := target.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%s has no %q", goTypeText(target), name)
			}
			v, ok := m[name]
			if !ok {
				return nil, fmt.Errorf("there is no %q; guard it with has()", name)
			}
			return v, nil
		},
	}
}

func goTypeText(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a bool"
	case int64, float64:
		return "a number"
	}
	return fmt.Sprintf("%T", v)
}

// adapter turns Go values into CEL values. Its maps are iterated in the order of their keys: Go's own order differs from run to run.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch x := v.(type) {
	case nil:
		return types.NullValue
	case *sortedMap:
		return x
	case traits.Mapper:
		return &sortedMap{x}
	case ref.Val:
		return x
	case map[string]any:
		return &sortedMap{types.NewStringInterfaceMap(a, x)}
	case map[ref.Val]ref.Val:
		return &sortedMap{types.NewRefValMap(a, x)}
	case []any:
		return types.NewDynamicList(a, x)
	case []ref.Val:
		return types.NewRefValList(a, x)
	case *Scope:
		return &runValue{x}
	case *ErrorInfo:
		if x == nil {
			return types.NullValue
		}
		return a.NativeToValue(map[string]any{
			"type": x.Type, "message": x.Message, "detail": x.Detail, "effect": x.Effect, "attempts": int64(x.Attempts),
		})
	default:
		return types.DefaultTypeAdapter.NativeToValue(v)
	}
}

// sortedMap is a map that is iterated in the order of its keys.
type sortedMap struct{ traits.Mapper }

// Iterator implements traits.Iterable.
func (m *sortedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return types.NewRefValList(adapter{}, keys).Iterator()
}

// sortLiterals makes map literals come through the adapter too: the interpreter builds them past it.
func sortLiterals(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return &sortedLiteral{i}, nil
	}
	return i, nil
}

// sortedLiteral is a map literal whose value is iterated in the order of its keys.
type sortedLiteral struct{ interpreter.InterpretableV2 }

// Exec implements interpreter.InterpretableV2.
func (l *sortedLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return adapter{}.NativeToValue(l.InterpretableV2.Exec(frame))
}

// Eval implements interpreter.Interpretable.
func (l *sortedLiteral) Eval(vars cel.Activation) ref.Val {
	return interpreter.EvalActivation(vars, l.Exec)
}

// compareKeys orders keys by type, then value.
func compareKeys(a, b ref.Val) int {
	if c := strings.Compare(a.Type().TypeName(), b.Type().TypeName()); c != 0 {
		return c
	}
	if cmp, ok := a.(traits.Comparer); ok {
		if c, ok := cmp.Compare(b).(types.Int); ok {
			return int(c)
		}
	}
	return 0
}

// runValue is the variable `run` where an expression calls a function on it.
type runValue struct{ scope *Scope }

// ConvertToNative implements ref.Val.
func (r *runValue) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("run has no JSON form; name run.id or run.started_at")
}

// ConvertToType implements ref.Val.
func (r *runValue) ConvertToType(ref.Type) ref.Val { return types.NewErr("run cannot be converted") }

// Equal implements ref.Val.
func (r *runValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(*runValue)
	return types.Bool(ok && o.scope == r.scope)
}

// Type implements ref.Val.
func (r *runValue) Type() ref.Type { return runType }

// Value implements ref.Val: fields are read from it.
func (r *runValue) Value() any { return r.scope }

// runVisits implements run.visits('state').
func runVisits(run, state ref.Val) ref.Val {
	r, ok := run.(*runValue)
	name, isText := state.(types.String)
	if !ok || !isText {
		return types.MaybeNoSuchOverloadErr(run)
	}
	if r.scope.Run.Visits == nil {
		return types.IntZero
	}
	return types.Int(r.scope.Run.Visits(string(name)))
}
