package workflow

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// want is the type that a field needs.
type want int

const (
	wantAny want = iota
	wantBool
	wantText
	wantTime
	wantList
)

func (w want) String() string {
	return [...]string{"any value", "a bool", "a string", "a timestamp, or a string in RFC 3339", "a list"}[w]
}

// accepts reports whether a value of the type may be what is wanted.
func (w want) accepts(t *cel.Type) bool {
	switch kind := t.Kind(); {
	case w == wantAny || kind == types.DynKind || kind == types.AnyKind:
		return true
	case w == wantBool:
		return kind == types.BoolKind
	case w == wantText:
		return kind == types.StringKind
	case w == wantList:
		return kind == types.ListKind
	default:
		return kind == types.StringKind || kind == types.TimestampKind
	}
}

// expr compiles an expression that stands at a path, offset characters into its text. It reports what is wrong and then returns nil.
func (c *compiler) expr(at *site, source, path string, offset int, w want) *Expr {
	c.expressions++
	switch {
	case c.expressions == MaxExpressions+1:
		c.fault(RuleLimit, path, "split the workflow", "the definition has more than %d expressions", MaxExpressions)
		return nil
	case c.expressions > MaxExpressions:
		return nil
	case len(source) > MaxExpressionBytes:
		c.fault(RuleLimit, path, "split it with a `set` step", "the expression has %d bytes, more than the %d allowed", len(source), MaxExpressionBytes)
		return nil
	case strings.TrimSpace(source) == "":
		c.fault("L4", path, "write a CEL expression, as input.order_id", "the expression is empty")
		return nil
	}
	checked, issues := at.celEnv.Compile(source)
	if issues.Err() != nil {
		c.issues(at, issues, path, offset)
		return nil
	}
	e := &Expr{Source: source, Path: path, site: at, output: checked.OutputType()}
	native := checked.NativeRep()
	if !c.uses(e, native, path) {
		return nil
	}
	if !w.accepts(e.output) {
		c.fault("L4", path, wantMend(w), "the expression is of type %s, wanted %s", typeText(e.output), w)
		return nil
	}
	if c.doc != nil && !c.affordable(at, checked, path) {
		return nil
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(native.Expr()) {
		// Without a loop the cost is bounded by the expression and the size of the data.
		options = append(options, cel.CostLimit(MaxCost), cel.CustomDecoratorV2(sortLiterals))
	}
	program, err := at.celEnv.Program(checked, options...)
	if err != nil {
		c.fault("L4", path, "", "the expression cannot be planned: %v", err)
		return nil
	}
	e.program = program
	if c.doc != nil {
		e.checked, e.offset = checked, offset
		c.compiled = append(c.compiled, e)
	}
	return e
}

func wantMend(w want) string {
	switch w {
	case wantBool:
		return "compare it, as in steps.x.output.n > 0"
	case wantText:
		return "convert it with string()"
	case wantTime:
		return "convert it with timestamp()"
	}
	return ""
}

// typeText shows a type as authors know it.
func typeText(t *cel.Type) string {
	return objectName.ReplaceAllString(eventNumber.ReplaceAllString(cel.FormatCELType(t), "event"), "object $1")
}

// issues reports the errors of the CEL compiler.
func (c *compiler) issues(at *site, issues *cel.Issues, path string, offset int) {
	const most = 5
	for i, issue := range issues.Errors() {
		if i == most {
			break
		}
		f := Finding{Rule: "L4", Path: path, Message: celMessage(issue.Message)}
		missed := at.env.provider.missed
		if m := undefinedField.FindStringSubmatch(issue.Message); m != nil {
			f.Rule, f.Message, f.Mend = at.undefined(missed.typeName, m[1])
		} else if m := undeclaredName.FindStringSubmatch(issue.Message); m != nil {
			f.Message = fmt.Sprintf("%q is neither a name in scope here nor a function", m[1])
			f.Mend = nearestMend(m[1], at.names(), "the names in scope are ")
			switch {
			case c.secret(m[1]):
				f.Rule, f.Message = "L15", fmt.Sprintf("%q would be a secret: no expression can read one", m[1])
				f.Mend = "name the secret under resources.servers.<server>.secret: the connection to the server uses it"
			case slices.Contains(scopedNames, m[1]):
				f.Mend = scopeMends[m[1]]
			case at.alone && slices.Contains(commonNames, m[1]):
				f.Mend = "there is no run yet: write a constant"
				if at.event != nil {
					f.Mend = "there is no run yet: only `event` is in scope"
				}
			}
		} else if strings.Contains(issue.Message, "no matching overload") {
			f.Mend = overloadMend(issue.Message)
		}
		c.place(&f, offset, issue.Location.Line(), issue.Location.Column())
		c.add(f)
	}
}

// overloadMend says what usually helps when an operator does not take its operands.
func overloadMend(msg string) string {
	switch {
	case strings.Contains(msg, "double"):
		return "a `number` is a double: write 3.0 for 3, or convert with int() or double()"
	case strings.Contains(msg, "null"):
		return "a field that may be absent is tested with has(); one that may be null has type: [..., null] in its schema"
	}
	return ""
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '(.*)'`)
	undeclaredName = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	scopedNames    = []string{"error", "original", "self", "output", "item", "index", "event", "secrets"}
	scopeMends     = map[string]string{
		"error":    "`error` is in scope in error handlers only; elsewhere use steps.<id>.error",
		"original": "`original` is in scope in compensations only",
		"self":     "`self` is in scope in probes (`reconcile`) only",
		"output":   "`output` is in scope in a probe's `happened` only; elsewhere use steps.<id>.output",
		"item":     "`item` is in scope in the steps of a map only",
		"index":    "`index` is in scope in the steps of a map only",
		"event":    "`event` is in scope in event filters and triggers only; elsewhere use steps.<id>.output of the step that waited for it",
		"secrets":  "a secret is used by the connection of a tool server only: name it under resources.servers",
	}
)

// celMessage drops what only a user of the CEL library understands.
func celMessage(msg string) string {
	msg = strings.ReplaceAll(msg, " (in container '')", "")
	msg = strings.TrimPrefix(msg, "Syntax error: ")
	msg, _, _ = strings.Cut(msg, " expecting {") // a list of everything that could stand there
	msg = strings.ReplaceAll(msg, "input '<EOF>'", "end of the expression")
	return strings.NewReplacer("_&&_", "&&", "_||_", "||", "_==_", "==", "_!=_", "!=", "_<_", "<", "_<=_", "<=", "_>_", ">",
		"_>=_", ">=", "_+_", "+", "_-_", "-", "_*_", "*", "_/_", "/", "_%_", "%", "@in", "in", "_?_:_", "?:", "_[_]", "[]").Replace(objectName.ReplaceAllString(eventNumber.ReplaceAllString(msg, "event"), "object $1"))
}

// eventNumber tells the types of events apart, of which there is one for each filter.
var eventNumber = regexp.MustCompile(`event #\d+`)

var objectName = regexp.MustCompile(`\{([^{}']*)\}`)

// undefined says that an object has no such field; a step or lock that does not exist is a broken reference.
func (s *site) undefined(typeName, field string) (rule, message, mend string) {
	names, _ := s.env.provider.FindStructFieldNames(typeName)
	switch typeName {
	case typeSteps:
		return "L3", fmt.Sprintf("there is no step %q", field), nearestMend(field, names, "the steps are ")
	case typeLocks:
		return "L3", fmt.Sprintf("there is no lock %q", field), nearestMend(field, names, "the locks are ")
	}
	of := eventNumber.ReplaceAllString(strings.Trim(typeName, "{}"), "event")
	if first, _, _ := strings.Cut(of, " "); first == "original" || first == "self" { // "original 3"
		of = first
	}
	return "L4", fmt.Sprintf("%s has no field %q", of, field), nearestMend(field, names, "its fields are ")
}

// nearestMend suggests a name, else lists them if they are few.
func nearestMend(name string, have []string, list string) string {
	if near, ok := nearest.Match(name, have); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	const few = 12
	if len(have) == 0 || len(have) > few {
		return ""
	}
	return list + strings.Join(have, ", ")
}

// uses finds what an expression names: the steps it reads, the states whose visits it asks for. Whole structs that are no data are refused.
func (c *compiler) uses(e *Expr, a *ast.AST, path string) bool {
	ok := true
	e.uses = map[string]bool{}
	selected := map[int64]string{} // id of an operand -> the field selected from it
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.SelectKind:
			sel := x.AsSelect()
			selected[sel.Operand().ID()] = sel.FieldName()
			if id, isStep := stepOf(sel.Operand()); isStep && sel.FieldName() == "output" {
				e.reads = append(e.reads, id)
			}
			if id, isStep := stepOf(x); isStep && selected[x.ID()] == "" && !sel.IsTestOnly() {
				c.fault("L4", path, fmt.Sprintf("name steps.%s.output, .status or .error", id), "steps.%s is no value by itself", id)
				ok = false
			}
		case ast.IdentKind:
			name := x.AsIdent()
			e.uses[name] = true
			if slices.Contains([]string{"steps", "locks", "run", "original", "self"}, name) && selected[x.ID()] == "" {
				c.fault("L4", path, "name one of its fields", "`%s` is no value by itself", name)
				ok = false
			}
		case ast.CallKind:
			call := x.AsCall()
			if call.FunctionName() == "visits" && call.IsMemberFunction() {
				selected[call.Target().ID()] = "visits"
				ok = c.visitsOf(call, path) && ok
			}
		}
	}))
	e.reads = mergeReads(e.reads)
	return ok
}

// stepOf recognises steps.<id>.
func stepOf(x ast.Expr) (string, bool) {
	if x.Kind() != ast.SelectKind {
		return "", false
	}
	sel := x.AsSelect()
	if sel.Operand().Kind() != ast.IdentKind || sel.Operand().AsIdent() != "steps" {
		return "", false
	}
	return sel.FieldName(), true
}

// visitsOf checks that run.visits('state') names a state.
func (c *compiler) visitsOf(call ast.CallExpr, path string) bool {
	if len(call.Args()) != 1 || call.Args()[0].Kind() != ast.LiteralKind {
		return true
	}
	name, isText := call.Args()[0].AsLiteral().(types.String)
	if !isText || slices.Contains(c.env.states, string(name)) {
		return true
	}
	c.fault("L3", path, nearestMend(string(name), c.env.states, "the states are "), "there is no state %q", string(name))
	return false
}

// loops reports whether an expression can do more than look at each part of its data once.
func loops(x ast.Expr) bool {
	found := false
	ast.PreOrderVisit(x, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.ComprehensionKind:
			found = true
		case ast.CallKind:
			// Joining and replacing can make data grow; an operator of two data can only double it.
			switch x.AsCall().FunctionName() {
			case "join", "replace", "format", "split", "matches":
				found = true
			case operators.Add:
				// a + a + … : at most as often as the expression says
			}
		}
	}))
	return found
}

// affordable estimates the worst cost.
func (c *compiler) affordable(at *site, checked *cel.Ast, path string) bool {
	estimate, err := at.celEnv.EstimateCost(checked, sizes{at})
	if err != nil {
		return true // the limit at run time still holds
	}
	if estimate.Max <= MaxCost {
		return true
	}
	worst := "without bound"
	if estimate.Max < math.MaxUint64/2 {
		worst = fmt.Sprint(estimate.Max)
	}
	c.fault("L4", path, "give the schema maxItems and maxLength, or nest fewer loops",
		"the worst cost of the expression is %s, more than %d units", worst, MaxCost)
	return false
}

// Sizes that data is taken to have where its schema does not say. They are such that a loop in a loop over lists without bounds is accepted and one
// more is not; the limit at run time is on what the data really costs.
const (
	assumedText  = 500
	assumedItems = 100
)

// sizes tells the cost estimator how large data can be.
type sizes struct{ at *site }

// EstimateSize implements cost.Estimator.
func (z sizes) EstimateSize(element cost.AstNode) *cost.SizeEstimate {
	size := func(most, assumed uint64) *cost.SizeEstimate {
		if most == 0 || most > math.MaxUint32 {
			most = assumed
		}
		return &cost.SizeEstimate{Min: 0, Max: most}
	}
	s := z.at.shapeAt(element.Path())
	switch {
	case s != nil && s.kind == kindText:
		return size(s.most, assumedText)
	case s != nil && (s.kind == kindList || s.kind == kindDict):
		return size(s.most, assumedItems)
	case s != nil && s.kind != kindAny:
		return nil
	}
	if element.ComputedSize() != nil {
		return nil
	}
	switch element.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return size(0, assumedText)
	case types.ListKind, types.MapKind:
		return size(0, assumedItems)
	case types.DynKind, types.AnyKind:
		return size(0, assumedText)
	}
	return nil
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if function == "visits" {
		return &cost.CallEstimate{CostEstimate: cost.Estimate{Min: 1, Max: 1}}
	}
	return nil
}

// shapeAt follows a path of the cost estimator: a variable, then fields, "@items" or "@values".
func (s *site) shapeAt(path []string) *shape {
	if len(path) == 0 {
		return nil
	}
	at, rest := (*shape)(nil), path[1:]
	switch path[0] {
	case "input":
		at = s.env.input
	case "output":
		at = s.output
	case "item":
		at = s.item
	case "event":
		at = s.event
	case "steps":
		if i, ok := s.env.index[at2(path, 1)]; ok && at2(path, 2) == "output" {
			at, rest = s.env.steps[i].output, path[3:]
		}
	case "original", "self":
		args, out := s.originalArgs, s.originalOut
		if path[0] == "self" {
			args, out = s.selfArgs, nil
		}
		at = map[string]*shape{"arguments": args, "output": out}[at2(path, 1)]
		rest = path[min(2, len(path)):]
	}
	for _, part := range rest {
		switch {
		case at == nil:
			return nil
		case part == "@items" || part == "@values":
			at = at.elem
		case part == "@keys":
			return nil
		default:
			at = at.member(part)
		}
	}
	return at
}

func at2(path []string, i int) string {
	if i < len(path) {
		return path[i]
	}
	return ""
}
