package workflow

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// stepPending is the status of a step that has not run.
const stepPending = "pending"

// environment is what the expressions of one definition share: the types of its input, steps and locks.
type environment struct {
	provider *provider
	// base has the names that all expressions may use, bare has none.
	base, bare *cel.Env
	input      *shape
	steps      []*stepType
	index      map[string]int // step id -> place in steps
	locks      []string
	states     []string
	sites      map[siteKey]*site
}

// stepType is what expressions know of a step.
type stepType struct {
	id     string
	output *shape
}

// siteKey tells which names an expression may use beside those that all may. A nil shape leaves the name out.
type siteKey struct {
	handler                   bool
	originalArgs, originalOut *shape
	selfArgs                  *shape
	output                    *shape
	// item is that of the innermost map; `index` comes with it.
	item *shape
	// event is the one that is looked at.
	event *shape
	// alone tells that it may use no other names: there is no run yet.
	alone bool
}

// site is a place for expressions: the names in scope with their types.
type site struct {
	siteKey
	env    *environment
	celEnv *cel.Env
	extra  []string // the names beside those that all may use
}

// newEnvironment declares input, steps and locks. The outputs of steps are declared afterwards, by setOutput, because those of `set`
// steps follow from expressions.
func newEnvironment(input *Schema, stepIDs, locks, states []string) (*environment, error) {
	e := &environment{
		provider: newProvider(), input: anyShape, index: map[string]int{}, locks: locks, states: states, sites: map[siteKey]*site{},
	}
	if input != nil {
		e.input = input.shape
	}
	e.provider.addShape(e.input)
	e.declareCommon()
	var steps []structField[*Scope]
	for i, id := range stepIDs {
		e.index[id] = i
		t := &stepType{id: id}
		e.steps = append(e.steps, t)
		e.setOutput(id, nil)
		steps = append(steps, structField[*Scope]{
			name: id, celType: types.NewObjectType(stepTypeName(id)),
			get:   func(s *Scope) (any, error) { return s.step(t), nil },
			isSet: func(s *Scope) bool { return s.step(t).ran },
		})
	}
	addStruct(e.provider, typeSteps, steps...)
	var held []structField[*Scope]
	for _, name := range locks {
		held = append(held, structField[*Scope]{
			name: name, celType: types.NewObjectType(typeLock),
			get: func(s *Scope) (any, error) { return &lockValue{name: name, token: s.Locks[name]}, nil },
			isSet: func(s *Scope) bool {
				_, ok := s.Locks[name]
				return ok
			},
		})
	}
	addStruct(e.provider, typeLocks, held...)
	base, err := baseEnv()
	if err != nil {
		return nil, err
	}
	if e.bare, err = base.Extend(cel.CustomTypeProvider(e.provider)); err != nil {
		return nil, err
	}
	e.base, err = e.bare.Extend(
		cel.Variable("input", e.input.celType),
		cel.Variable("steps", types.NewObjectType(typeSteps)),
		cel.Variable("run", runType),
		cel.Variable("state", cel.StringType),
		cel.Variable("locks", types.NewObjectType(typeLocks)),
	)
	return e, err
}

// lockValue is a lock as expressions see it.
type lockValue struct{ name, token string }

func stepTypeName(id string) string { return "{steps." + id + "}" }

// declareCommon declares the types that do not depend on the definition.
func (e *environment) declareCommon() {
	addStruct(e.provider, typeRun,
		structField[*Scope]{name: "id", celType: cel.StringType, get: func(s *Scope) (any, error) { return s.Run.ID, nil }},
		structField[*Scope]{name: "started_at", celType: cel.TimestampType, get: func(s *Scope) (any, error) { return s.Run.StartedAt, nil }},
	)
	addStruct(e.provider, typeLock,
		structField[*lockValue]{
			name: "token", celType: cel.StringType,
			get: func(l *lockValue) (any, error) {
				if l.token == "" {
					return nil, fmt.Errorf("lock %q is not held", l.name)
				}
				return l.token, nil
			},
			isSet: func(l *lockValue) bool { return l.token != "" },
		})
	text := func(name string, get func(*ErrorInfo) string) structField[*ErrorInfo] {
		return structField[*ErrorInfo]{name: name, celType: cel.StringType, get: func(i *ErrorInfo) (any, error) {
			if i == nil {
				return nil, fmt.Errorf("there is no error, so that it has no %s", name)
			}
			return get(i), nil
		}}
	}
	addStruct(e.provider, typeError,
		text("type", func(i *ErrorInfo) string { return i.Type }),
		text("message", func(i *ErrorInfo) string { return i.Message }),
		text("detail", func(i *ErrorInfo) string { return i.Detail }),
		text("effect", func(i *ErrorInfo) string { return i.Effect }),
		structField[*ErrorInfo]{name: "attempts", celType: cel.IntType, get: func(i *ErrorInfo) (any, error) {
			if i == nil {
				return nil, fmt.Errorf("there is no error, so that it has no attempts")
			}
			return int64(i.Attempts), nil
		}},
	)
}

// setOutput declares the output of a step; a nil schema leaves it untyped.
func (e *environment) setOutput(id string, output *Schema) {
	t := e.steps[e.index[id]]
	t.output = anyShape
	if output != nil {
		t.output = output.shape
	}
	e.provider.addShape(t.output)
	addStruct(e.provider, stepTypeName(id),
		structField[*stepSlot]{
			name: "output", celType: t.output.celType,
			get:   func(s *stepSlot) (any, error) { return s.output(t) },
			isSet: func(s *stepSlot) bool { return s.hasOutput() },
		},
		structField[*stepSlot]{name: "status", celType: cel.StringType, get: func(s *stepSlot) (any, error) { return s.value.Status, nil }},
		structField[*stepSlot]{
			name: "error", celType: types.NewObjectType(typeError),
			get:   func(s *stepSlot) (any, error) { return s.value.Error, nil },
			isSet: func(s *stepSlot) bool { return s.value.Error != nil },
		},
	)
}

// at returns the site with these names.
func (e *environment) at(key siteKey) (*site, error) {
	if s, ok := e.sites[key]; ok {
		return s, nil
	}
	s := &site{siteKey: key, env: e, celEnv: e.base}
	if key.alone {
		s.celEnv = e.bare
	}
	var vars []cel.EnvOption
	declare := func(name string, t *cel.Type) {
		s.extra = append(s.extra, name)
		vars = append(vars, cel.Variable(name, t))
	}
	number := len(e.sites)
	if key.handler {
		declare("error", types.NewObjectType(typeError))
	}
	if key.originalOut != nil {
		name := fmt.Sprintf("{original %d}", number)
		e.declareOriginal(name, key)
		declare("original", types.NewObjectType(name))
	}
	if key.selfArgs != nil {
		name := fmt.Sprintf("{self %d}", number)
		e.declareSelf(name, key)
		declare("self", types.NewObjectType(name))
	}
	if key.output != nil {
		e.provider.addShape(key.output)
		declare("output", key.output.celType)
	}
	if key.item != nil {
		e.provider.addShape(key.item)
		declare("item", key.item.celType)
		declare("index", cel.IntType)
	}
	if key.event != nil {
		e.provider.addShape(key.event)
		declare("event", key.event.celType)
	}
	if len(vars) > 0 {
		var err error
		if s.celEnv, err = s.celEnv.Extend(vars...); err != nil {
			return nil, err
		}
	}
	e.sites[key] = s
	return s, nil
}

func (e *environment) declareOriginal(name string, key siteKey) {
	e.provider.addShape(key.originalArgs)
	e.provider.addShape(key.originalOut)
	addStruct(e.provider, name,
		structField[*Scope]{name: "arguments", celType: key.originalArgs.celType, get: func(s *Scope) (any, error) {
			return s.decode(&s.decoded.originalArgs, s.Original.Arguments, key.originalArgs)
		}},
		structField[*Scope]{
			name: "output", celType: key.originalOut.celType,
			get: func(s *Scope) (any, error) {
				return s.decode(&s.decoded.originalOut, s.Original.Output, key.originalOut)
			},
			isSet: func(s *Scope) bool { return len(s.Original.Output) > 0 && string(s.Original.Output) != "null" },
		},
	)
}

func (e *environment) declareSelf(name string, key siteKey) {
	e.provider.addShape(key.selfArgs)
	addStruct(e.provider, name,
		structField[*Scope]{name: "idempotency_key", celType: cel.StringType, get: func(s *Scope) (any, error) { return s.Self.IdempotencyKey, nil }},
		structField[*Scope]{name: "operation_id", celType: cel.StringType, get: func(s *Scope) (any, error) { return s.Self.OperationID, nil }},
		structField[*Scope]{name: "arguments", celType: key.selfArgs.celType, get: func(s *Scope) (any, error) {
			return s.decode(&s.decoded.selfArgs, s.Self.Arguments, key.selfArgs)
		}},
	)
}

// names are the names in scope, for messages.
func (s *site) names() []string {
	if s.alone {
		return slices.Clone(s.extra)
	}
	return append(slices.Clone(s.extra), commonNames...)
}

// commonNames are the names that all expressions of a run may use.
var commonNames = []string{"input", "steps", "run", "state", "locks"}
