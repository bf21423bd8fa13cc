package workflow

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// root is the checked tree of an expression.
func (e *Expr) root() ast.Expr { return e.checked.NativeRep().Expr() }

// faultIn reports an error at a part of an expression.
func (l *linter) faultIn(rule string, e *Expr, part ast.Expr, mend, format string, args ...any) {
	f := Finding{Rule: rule, Path: e.Path, Message: fmt.Sprintf(format, args...), Mend: mend}
	info := e.checked.NativeRep().SourceInfo()
	first, ok := info.GetOffsetRange(part.ID())
	ast.PreOrderVisit(part, ast.NewExprVisitor(func(x ast.Expr) { // the place of a selection is that of its dot
		if at, known := info.GetOffsetRange(x.ID()); known && (!ok || at.Start < first.Start) {
			first, ok = at, true
		}
	}))
	if ok {
		at := info.GetLocationByOffset(first.Start)
		l.place(&f, e.offset, at.Line(), at.Column())
	}
	l.add(f)
}

// operands are those of a call of a function with as many; nil for any other expression.
func operands(x ast.Expr, function string, n int) []ast.Expr {
	if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != function || len(x.AsCall().Args()) != n {
		return nil
	}
	return x.AsCall().Args()
}

// literal is the value of a literal in the forms of JSON: a string, a float64, a bool or nil.
func literal(x ast.Expr) (value any, ok bool) {
	if x.Kind() != ast.LiteralKind {
		return nil, false
	}
	switch v := x.AsLiteral().(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return float64(v), true
	case types.Uint:
		return float64(v), true
	case types.Double:
		return float64(v), true
	case types.Bool:
		return bool(v), true
	case types.Null:
		return nil, true
	}
	return nil, false
}

// dataPathOf follows an expression down to a variable: the path of the cost estimator, as [steps order output items @items]. The variables of
// loops stand for the paths that they run over.
func dataPathOf(x ast.Expr, loops map[string][]string) []string {
	switch x.Kind() {
	case ast.IdentKind:
		if path, ok := loops[x.AsIdent()]; ok {
			return path
		}
		return []string{x.AsIdent()}
	case ast.SelectKind:
		if sel := x.AsSelect(); !sel.IsTestOnly() {
			if path := dataPathOf(sel.Operand(), loops); path != nil {
				return append(slices.Clone(path), sel.FieldName())
			}
		}
	case ast.CallKind:
		args := operands(x, operators.Index, 2)
		if args == nil {
			return nil
		}
		path := dataPathOf(args[0], loops)
		if path == nil {
			return nil
		}
		if name, ok := literal(args[1]); ok {
			if field, isText := name.(string); isText {
				return append(slices.Clone(path), field)
			}
		}
		return append(slices.Clone(path), "@items")
	}
	return nil
}

// comparisons finds what an expression compares with literals, in all of its parts.
func (l *linter) comparisons(e *Expr, found func(path []string, with ast.Expr)) {
	var walk func(x ast.Expr, loops map[string][]string)
	compare := func(x, with ast.Expr, loops map[string][]string) {
		if path := dataPathOf(x, loops); path != nil && with.Kind() == ast.LiteralKind {
			found(path, with)
		}
	}
	walk = func(x ast.Expr, loops map[string][]string) {
		switch x.Kind() {
		case ast.SelectKind:
			walk(x.AsSelect().Operand(), loops)
		case ast.CallKind:
			call := x.AsCall()
			switch name := call.FunctionName(); {
			case (name == operators.Equals || name == operators.NotEquals) && len(call.Args()) == 2:
				compare(call.Args()[0], call.Args()[1], loops)
				compare(call.Args()[1], call.Args()[0], loops)
			case name == operators.In && len(call.Args()) == 2:
				if list := call.Args()[1]; list.Kind() == ast.ListKind {
					for _, item := range list.AsList().Elements() {
						compare(call.Args()[0], item, loops)
					}
				} else if path := dataPathOf(list, loops); path != nil && call.Args()[0].Kind() == ast.LiteralKind {
					found(append(slices.Clone(path), "@items"), call.Args()[0])
				}
			}
			if call.IsMemberFunction() {
				walk(call.Target(), loops)
			}
			for _, arg := range call.Args() {
				walk(arg, loops)
			}
		case ast.ListKind:
			for _, item := range x.AsList().Elements() {
				walk(item, loops)
			}
		case ast.MapKind:
			for _, entry := range x.AsMap().Entries() {
				walk(entry.AsMapEntry().Key(), loops)
				walk(entry.AsMapEntry().Value(), loops)
			}
		case ast.ComprehensionKind:
			loop := x.AsComprehension()
			inner := map[string][]string{loop.AccuVar(): nil}
			for name, path := range loops {
				inner[name] = path
			}
			l.loopVariables(e, loop, loops, inner)
			for _, part := range []ast.Expr{loop.IterRange(), loop.AccuInit()} {
				walk(part, loops)
			}
			for _, part := range []ast.Expr{loop.LoopCondition(), loop.LoopStep(), loop.Result()} {
				walk(part, inner)
			}
		}
	}
	walk(e.root(), nil)
}

// loopVariables tells what the variables of a loop stand for. One that is not known is nil, so that it is not taken for a variable outside.
func (l *linter) loopVariables(e *Expr, loop ast.ComprehensionExpr, outer, inner map[string][]string) {
	inner[loop.IterVar()] = nil
	if loop.HasIterVar2() {
		inner[loop.IterVar2()] = nil
	}
	path := dataPathOf(loop.IterRange(), outer)
	s := e.site.shapeAt(path)
	switch {
	case s == nil:
	case s.kind == kindList && loop.HasIterVar2():
		inner[loop.IterVar2()] = append(slices.Clone(path), "@items")
	case s.kind == kindList:
		inner[loop.IterVar()] = append(slices.Clone(path), "@items")
	case s.kind == kindDict && loop.HasIterVar2():
		inner[loop.IterVar2()] = append(slices.Clone(path), "@values")
	}
}

// literals is L6.
func (l *linter) literals() {
	for _, e := range l.inOrder() {
		l.comparisons(e, func(path []string, with ast.Expr) {
			value, ok := literal(with)
			allowed, closed := l.valuesAt(e.site, path)
			if !ok || value == nil || !closed || slices.Contains(allowed, value) {
				return
			}
			var names []string
			for _, v := range allowed {
				names = append(names, fmt.Sprint(v))
			}
			l.faultIn("L6", e, with, nearestMend(fmt.Sprint(value), names, "its values are "), "%s is never %s: it is not among its values", pathText(path), literalText(value))
		})
	}
}

// valuesAt are the values that data at a path can have, in the forms of JSON, when they can be listed.
func (l *linter) valuesAt(at *site, path []string) (values []any, closed bool) {
	list := func(names []string) ([]any, bool) {
		for _, name := range names {
			values = append(values, name)
		}
		return values, true
	}
	switch field := path[len(path)-1]; {
	case len(path) == 1 && field == "state":
		return list(l.env.states)
	case len(path) == 3 && path[0] == "steps" && field == "status":
		return list(stepStatuses)
	case len(path) == 2 && path[0] == "error", len(path) == 4 && path[0] == "steps" && path[2] == "error":
		switch field {
		case "type":
			return list(errtype.Names())
		case "effect":
			return list(effectNames())
		}
		return nil, false
	}
	if s := at.shapeAt(path); s != nil && len(s.values) > 0 {
		return s.values, true
	}
	return nil, false
}

// stepStatuses are the values of steps.<id>.status.
var stepStatuses = []string{stepPending, "succeeded", "skipped", "failed", "compensated"}

// effectNames are the values of error.effect; it is empty when nothing was called.
func effectNames() []string {
	names := []string{""}
	for e := workflowv1.Effect_EFFECT_READ; e <= workflowv1.Effect_EFFECT_IRREVERSIBLE; e++ {
		names = append(names, EffectName(e))
	}
	return names
}

// pathText shows a path as an author would write it.
func pathText(path []string) string {
	text := strings.Join(path, ".")
	return strings.NewReplacer(".@items", "[]", ".@values", "[]").Replace(text)
}

func literalText(v any) string {
	if s, ok := v.(string); ok {
		return quoted(s)
	}
	return fmt.Sprint(v)
}

// constant evaluates an expression knowing nothing but the state that it is evaluated in (empty: not even that). It is not known when the
// value depends on data.
func (e *Expr) constant(state string) (value, known bool) {
	program, err := e.site.celEnv.Program(e.checked, cel.EvalOptions(cel.OptPartialEval))
	if err != nil {
		return false, false
	}
	s := &Scope{State: state}
	s.use(e.site)
	var unknown []*cel.AttributePatternType
	for _, name := range e.site.names() {
		if name != "state" || state == "" {
			unknown = append(unknown, cel.AttributePattern(name))
		}
	}
	vars, err := cel.PartialVars(&s.decoded, unknown...)
	if err != nil {
		return false, false
	}
	v, _, err := program.Eval(vars)
	b, ok := v.(types.Bool)
	return bool(b), ok && err == nil
}

// text is the expression in one spelling, so that two that only differ in blanks or quotes are equal.
func (e *Expr) text() string {
	if text, err := cel.AstToString(e.checked); err == nil {
		return text
	}
	return e.Source
}
