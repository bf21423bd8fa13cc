package workflow

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// assignments reports what L5 finds.
func (l *linter) assignments() {
	if l.out.Initial == nil {
		return
	}
	a := l.newAssignment()
	a.follow()
	told := map[[2]string]bool{}
	a.look = func(e *Expr, f facts) {
		r := &reading{env: a.env, missing: func(at ast.Expr, step int, may statuses) {
			if key := [2]string{e.Path, a.env.steps[step].id}; !told[key] {
				told[key] = true
				a.report(e, at, step, may)
			}
		}}
		r.check(e.root(), f)
		for _, lock := range a.notHeld(e) {
			if key := [2]string{e.Path, "lock " + lock}; !told[key] {
				told[key] = true
				a.fault("L5", e.Path, "take the lock at the step or its state, or guard it with has(locks."+lock+".token)", "lock %q is not held here, so that it has no token", lock)
			}
		}
	}
	a.revisit()
	var ended facts
	for _, name := range sortedKeys(a.in) {
		if st := a.out.States[name]; succeeds(st.Terminal) {
			ended = merge(ended, a.in[name])
			a.current, a.reader = st, nil
		}
	}
	for _, field := range a.out.Result {
		a.read(ended, field.Expr)
	}
}

// notHeld are the locks whose tokens an expression reads without asking whether they are held, and that neither the state nor a step around
// holds.
func (a *assignment) notHeld(e *Expr) []string {
	var out []string
	asked := map[string]bool{}
	if !e.uses["locks"] {
		return nil
	}
	ast.PreOrderVisit(e.root(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.SelectKind {
			return
		}
		of := x.AsSelect().Operand()
		if of.Kind() == ast.IdentKind && of.AsIdent() == "locks" {
			asked[x.AsSelect().FieldName()] = asked[x.AsSelect().FieldName()] || x.AsSelect().IsTestOnly()
		}
		if x.AsSelect().IsTestOnly() && of.Kind() == ast.SelectKind && of.AsSelect().Operand().Kind() == ast.IdentKind && of.AsSelect().Operand().AsIdent() == "locks" {
			asked[of.AsSelect().FieldName()] = true
		}
	}))
	for _, name := range sortedKeys(asked) {
		if !asked[name] && !a.holds(name) {
			out = append(out, name)
		}
	}
	return out
}

// holds reports whether a lock is held where expressions are looked at.
func (a *assignment) holds(lock string) bool {
	has := func(uses []*LockUse) bool {
		return slices.ContainsFunc(uses, func(u *LockUse) bool { return u.Name == lock })
	}
	if has(a.current.Locks) || a.reader != nil && a.begun && has(a.reader.Locks) {
		return true
	}
	for s := a.reader; s != nil && s.Block != nil; s = s.Block.Owner {
		if s != a.reader && has(s.Locks) {
			return true
		}
	}
	return false
}

// succeeds reports whether a run with the outcome has a result.
func succeeds(o workflowv1.Outcome) bool {
	return o == workflowv1.Outcome_OUTCOME_SUCCEEDED || o == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
}

// report tells of an output that is read where it may be missing.
func (a *assignment) report(e *Expr, at ast.Expr, index int, may statuses) {
	id := a.env.steps[index].id
	mend := fmt.Sprintf("guard it with has(steps.%s.output), or lead no way here without it", id)
	why := ""
	step := a.out.steps[id]
	switch body := a.mapAround(step); {
	case step == nil:
	case body != nil && !strings.HasPrefix(e.Path, a.at(body)+".map.steps"):
		why = fmt.Sprintf("it runs inside map %q, whose items keep their results to themselves", body.ID)
		mend = fmt.Sprintf("read steps.%s.output, the list of the outputs of the items' last steps", body.ID)
	case a.reader != nil && a.reader == step:
		why = "this is the step itself, which has none before it ends"
		mend = "read what it reads; in a compensation, read original.output"
	case may&mayPending == 0 && may&maySkipped != 0:
		why = a.skippedBy(step)
	case may&mayPending == 0 || looseJoin(step) != nil:
		if p := looseJoin(step); p != nil {
			why = fmt.Sprintf("parallel step %q succeeds without its branch too (join: %s)", p.ID, EnumName(p.Parallel.Join.Descriptor(), p.Parallel.Join.Number()))
		}
	}
	if why == "" {
		why = a.route(index, may)
	}
	a.faultIn("L5", e, at, mend, "the output of step %q may be missing here: %s", id, why)
}

// mapAround is the innermost map around a step; nil: there is none.
func (a *assignment) mapAround(s *Step) *Step {
	if s == nil || s.Block == nil {
		return nil
	}
	for o := s.Block.Owner; o != nil && o.Block != nil; o = o.Block.Owner {
		if o.Map != nil {
			return o
		}
	}
	return nil
}

// looseJoin is the innermost parallel step around a step that can succeed without the step's branch; nil: there is none.
func looseJoin(s *Step) *Step {
	for b := s.Block; b != nil && b.Owner != nil; b = b.Owner.Block {
		if p := b.Owner.Parallel; p != nil && (p.Quorum < len(p.Branches) || p.Join == workflowv1.Join_JOIN_ALL_SETTLED) {
			return b.Owner
		}
	}
	return nil
}

// skippedBy tells what skips a step.
func (a *assignment) skippedBy(s *Step) string {
	for at := s; at != nil; {
		if at.If != nil {
			return fmt.Sprintf("step %q is skipped when its `if` is false", at.ID)
		}
		if i := slices.IndexFunc(a.handlersOf(at), (*Handler).skips); i >= 0 {
			return fmt.Sprintf("an error of step %q is skipped %s", at.ID, a.placeText(a.handlersOf(at)[i]))
		}
		if at.Block == nil {
			break
		}
		at = at.Block.Owner
	}
	return ""
}

// route shows a way on which a step has no output.
func (a *assignment) route(index int, may statuses) string {
	lacks := may &^ withOutput
	if may&mayPending != 0 {
		lacks = mayPending
	}
	const most = 10
	if a.routes++; a.routes > most {
		return "not every way here runs it"
	}
	into := map[string][]way{}
	a.went = func(w way, f facts) {
		if f[index]&lacks != 0 {
			into[w.to] = append(into[w.to], w)
		}
	}
	look, current, reader := a.look, a.current, a.reader
	a.look = nil
	a.revisit()
	a.look, a.went, a.current, a.reader = look, nil, current, reader
	// The shortest way back to where the step is certainly without output: the begin of the run, or a handler of the step's own error.
	type trail struct {
		state string
		ways  []way
	}
	seen := map[string]bool{a.current.Name: true}
	for queue := []trail{{state: a.current.Name}}; len(queue) > 0; queue = queue[1:] {
		t := queue[0]
		if t.state == a.out.Initial.Name && lacks == mayPending {
			return a.routeText(t.ways)
		}
		for _, w := range into[t.state] {
			ways := append([]way{w}, t.ways...)
			if w.handler != nil && lacks != mayPending {
				return a.routeText(ways)
			}
			if !seen[w.from] {
				seen[w.from] = true
				queue = append(queue, trail{w.from, ways})
			}
		}
	}
	return "not every way here runs it"
}

// routeText shows a way from state to state.
func (a *assignment) routeText(ways []way) string {
	if len(ways) == 0 {
		return "it has not run by then"
	}
	var text strings.Builder
	text.WriteString("a run can come here by " + ways[0].from)
	for _, w := range ways {
		text.WriteString(" → " + w.to)
		if w.handler != nil {
			text.WriteString(" (" + a.placeText(w.handler))
			if w.step != nil {
				fmt.Fprintf(&text, ", when step %q fails", w.step.ID)
			}
			text.WriteString(")")
		}
	}
	text.WriteString(" without it")
	return text.String()
}
