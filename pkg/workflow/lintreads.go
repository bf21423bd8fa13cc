package workflow

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// statuses is a set of those that a step may have at a point of a run; bit i stands for stepStatuses[i].
type statuses uint8

const (
	mayPending statuses = 1 << iota
	maySucceeded
	maySkipped
	mayFailed
	mayCompensated

	mayAny = mayPending | maySucceeded | maySkipped | mayFailed | mayCompensated
	// withOutput are those of a step that has an output; one that was skipped or failed has null.
	withOutput = maySucceeded | mayCompensated
)

// facts are the statuses that each step may have at a point of a run, by its place in the environment. Nil: the point is never reached.
type facts []statuses

func (f facts) clone() facts { return slices.Clone(f) }

// with is the facts with another set for a step.
func (f facts) with(i int, s statuses) facts {
	if f[i] == s {
		return f
	}
	out := f.clone()
	out[i] = s
	return out
}

// within reports whether others hold wherever these do.
func (f facts) within(others facts) bool {
	for i := range f {
		if f[i]&^others[i] != 0 {
			return false
		}
	}
	return true
}

// merge is what holds where two ways meet.
func merge(a, b facts) facts {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := a.clone()
	for i := range out {
		out[i] |= b[i]
	}
	return out
}

// reading walks an expression and tells of each output that may be missing where it is read.
type reading struct {
	env     *environment
	missing func(at ast.Expr, step int, may statuses)
}

// stepOutputOf recognises steps.<id>.output.
func stepOutputOf(x ast.Expr) (id string, ok bool) {
	if x.Kind() != ast.SelectKind || x.AsSelect().FieldName() != "output" {
		return "", false
	}
	return stepOf(x.AsSelect().Operand())
}

func nullLiteral(x ast.Expr) bool {
	v, ok := literal(x)
	return ok && v == nil
}

// check walks an expression that is evaluated where the facts hold. CEL's && and || do not mind in which of their operands an error is, as long
// as the other decides, so that each operand may rely on all others.
func (r *reading) check(x ast.Expr, f facts) {
	if f == nil {
		return // never evaluated
	}
	if id, ok := stepOutputOf(x); ok && !x.AsSelect().IsTestOnly() {
		if i, known := r.env.index[id]; known && f[i]&^withOutput != 0 {
			r.missing(x, i, f[i])
		}
		return
	}
	switch x.Kind() {
	case ast.SelectKind:
		inner := x.AsSelect().Operand()
		if id, ok := stepOutputOf(inner); ok && x.AsSelect().IsTestOnly() && f[r.env.index[id]]&mayPending == 0 {
			return // null has no fields, which is no error
		}
		r.check(inner, f)
	case ast.CallKind:
		r.call(x, f)
	case ast.ListKind:
		for _, item := range x.AsList().Elements() {
			r.check(item, f)
		}
	case ast.MapKind:
		for _, entry := range x.AsMap().Entries() {
			r.check(entry.AsMapEntry().Key(), f)
			r.check(entry.AsMapEntry().Value(), f)
		}
	case ast.ComprehensionKind:
		loop := x.AsComprehension()
		for _, part := range []ast.Expr{loop.IterRange(), loop.AccuInit(), loop.LoopCondition(), loop.LoopStep(), loop.Result()} {
			r.check(part, f)
		}
	}
}

func (r *reading) call(x ast.Expr, f facts) {
	call := x.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); {
	case name == operators.LogicalAnd && len(args) == 2:
		r.check(args[0], r.assume(args[1], true, f))
		r.check(args[1], r.assume(args[0], true, f))
		return
	case name == operators.LogicalOr && len(args) == 2:
		r.check(args[0], r.assume(args[1], false, f))
		r.check(args[1], r.assume(args[0], false, f))
		return
	case name == operators.Conditional && len(args) == 3:
		r.check(args[0], f)
		r.check(args[1], r.assume(args[0], true, f))
		r.check(args[2], r.assume(args[0], false, f))
		return
	case (name == operators.Equals || name == operators.NotEquals) && len(args) == 2:
		if i, ok := r.nullTest(args); ok {
			if f[i]&mayPending != 0 { // null can be compared, but an output that was never made cannot be read
				r.check(args[0], f)
				r.check(args[1], f)
			}
			return
		}
	}
	if call.IsMemberFunction() {
		r.check(call.Target(), f)
	}
	for _, arg := range args {
		r.check(arg, f)
	}
}

// nullTest recognises steps.<id>.output == null, either way around.
func (r *reading) nullTest(args []ast.Expr) (step int, ok bool) {
	for i, arg := range args {
		if id, isOutput := stepOutputOf(arg); isOutput && nullLiteral(args[1-i]) && !arg.AsSelect().IsTestOnly() {
			step, ok = r.env.index[id]
			return step, ok
		}
	}
	return 0, false
}

// assume is what holds where an expression is true, or false; nil when it cannot be.
func (r *reading) assume(x ast.Expr, truth bool, f facts) facts {
	if f == nil {
		return nil
	}
	switch x.Kind() {
	case ast.LiteralKind:
		if v, ok := literal(x); ok && v == !truth {
			return nil
		}
	case ast.SelectKind:
		return r.assumeHas(x, truth, f)
	case ast.CallKind:
		return r.assumeCall(x, truth, f)
	}
	return f
}

// assumeHas learns from has(steps.<id>), has(steps.<id>.output) and has() of what is inside it.
func (r *reading) assumeHas(x ast.Expr, truth bool, f facts) facts {
	if !x.AsSelect().IsTestOnly() {
		return f
	}
	if id, ok := stepOf(x); ok {
		return r.only(id, f, truth, mayAny&^mayPending, mayPending)
	}
	if id, ok := stepOutputOf(x); ok {
		return r.only(id, f, truth, withOutput, mayAny) // an output may be null by itself
	}
	for inner := x.AsSelect().Operand(); inner.Kind() == ast.SelectKind; inner = inner.AsSelect().Operand() {
		if id, ok := stepOutputOf(inner); ok {
			return r.only(id, f, truth, withOutput, mayAny)
		}
	}
	return f
}

// only keeps some of a step's statuses: those of yes when what was asked is true, else those of no.
func (r *reading) only(id string, f facts, truth bool, yes, no statuses) facts {
	i, ok := r.env.index[id]
	if !ok {
		return f
	}
	if !truth {
		yes = no
	}
	if f[i]&yes == 0 {
		return nil
	}
	return f.with(i, f[i]&yes)
}

func (r *reading) assumeCall(x ast.Expr, truth bool, f facts) facts {
	call := x.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); {
	case name == operators.LogicalNot && len(args) == 1:
		return r.assume(args[0], !truth, f)
	case (name == operators.LogicalAnd || name == operators.LogicalOr) && len(args) == 2:
		if truth == (name == operators.LogicalAnd) { // both are true, or both are false
			return r.assume(args[1], truth, r.assume(args[0], truth, f))
		}
		return merge(r.assume(args[0], truth, f), r.assume(args[1], truth, f))
	case name == operators.Conditional && len(args) == 3:
		return merge(r.assume(args[1], truth, r.assume(args[0], true, f)), r.assume(args[2], truth, r.assume(args[0], false, f)))
	case (name == operators.Equals || name == operators.NotEquals) && len(args) == 2:
		equal := truth == (name == operators.Equals)
		if i, ok := r.nullTest(args); ok && f[i]&mayPending == 0 {
			return r.only(r.env.steps[i].id, f, !equal, withOutput, mayAny)
		}
		for i, arg := range args {
			if id, set := r.statusTest(arg, args[1-i:2-i]); set != 0 {
				return r.only(id, f, equal, set, mayAny&^set)
			}
		}
	case name == operators.In && len(args) == 2 && args[1].Kind() == ast.ListKind:
		if id, set := r.statusTest(args[0], args[1].AsList().Elements()); set != 0 {
			return r.only(id, f, truth, set, mayAny&^set)
		}
	}
	return f
}

// statusTest recognises steps.<id>.status beside literals: the statuses that they name; none when it is not that.
func (r *reading) statusTest(x ast.Expr, with []ast.Expr) (id string, set statuses) {
	if x.Kind() != ast.SelectKind || x.AsSelect().FieldName() != "status" {
		return "", 0
	}
	id, ok := stepOf(x.AsSelect().Operand())
	if !ok {
		return "", 0
	}
	for _, item := range with {
		value, isLiteral := literal(item)
		if !isLiteral {
			return "", 0
		}
		name, _ := value.(string)
		if i := slices.Index(stepStatuses, name); i >= 0 {
			set |= 1 << i
		}
	}
	return id, set
}
