package core

import (
	"context"
	"fmt"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// gatePlace is where a human gate stands in its definition.
type gatePlace struct {
	step  string                // id of the gate's step
	gate  *workflowv1.HumanGate // nil when the definition has no such gate
	state *workflowv1.State     // nil when the definition has no such state
	later []*workflowv1.Step    // steps of the state, branch or item that follow the gate
	owner string                // id of the parallel or map step around the gate; empty: there is none
}

// placeOf finds a gate by its step path: state/step; state/step/branch/step in a parallel step, state/step[3]/step in a map, however deep;
// and with a further step at the end for the step of a fallback.
func placeOf(definition *workflowv1.WorkflowDefinition, stepPath string) gatePlace {
	parts := strings.Split(stepPath, "/")
	place := gatePlace{step: parts[len(parts)-1], state: definition.GetStates()[parts[0]]}
	place.find(place.state.GetSteps(), parts[1:])
	return place
}

func (p *gatePlace) find(steps []*workflowv1.Step, path []string) {
	if len(path) == 0 {
		return
	}
	id, _, _ := strings.Cut(path[0], "[")
	n := slices.IndexFunc(steps, func(step *workflowv1.Step) bool { return step.GetId() == id })
	if n < 0 {
		return
	}
	step, rest := steps[n], path[1:]
	switch {
	case len(rest) == 0:
		p.gate, p.later = step.GetHuman(), steps[n+1:]
	case step.GetMap() != nil:
		p.owner = id
		p.find(step.GetMap().GetSteps(), rest)
	case step.GetParallel() != nil:
		p.owner = id
		p.find(step.GetParallel().GetBranches()[rest[0]].GetSteps(), rest[1:])
	}
	if fallback := fallbackOf(step, p.step); p.gate == nil && len(rest) > 0 && fallback != nil {
		p.gate, p.later = fallback.GetHuman(), steps[n+1:]
	}
}

// fallbackOf finds the step that an error handler of a step runs in its place.
func fallbackOf(step *workflowv1.Step, id string) *workflowv1.Step {
	for _, handler := range step.GetOnError().GetHandlers() {
		if fallback := handler.GetFallback().GetStep(); fallback != nil && fallback.GetId() == id {
			return fallback
		}
	}
	return nil
}

// checkGate holds an answer against what the definition asks of a gate beyond roles: that people can be told apart and each answers once,
// and that whoever asked for the run does not decide about it.
func (i *Inbox) checkGate(ctx context.Context, record *Record, by string) error {
	if record.Opened.GetKind() != workflowv1.EscalationKind_ESCALATION_KIND_GATE {
		return nil
	}
	if record.quorum() > 1 && by == Anonymous {
		return notPermitted("escalation %q needs the same answer of %d people; say in decided_by who you are", record.ID, record.quorum())
	}
	run, err := i.ports.Runs.Run(ctx, record.run())
	if err != nil {
		return err
	}
	for _, vote := range votesIn(run, record.ID) {
		if vote.GetDecidedBy() == by {
			return &Refusal{Why: ErrDuplicate, Words: fmt.Sprintf(
				"%q has answered %q to escalation %q already; that counts, and somebody else has to give the next answer", by, vote.GetDecision(), record.ID)}
		}
	}
	definition, err := i.ports.Definitions.Definition(ctx, record.Namespace, run.GetDefinitionDigest())
	if err != nil {
		return err
	}
	if !placeOf(definition, record.Opened.GetStepPath()).gate.GetExcludeRequester() {
		return nil
	}
	if by == Anonymous {
		return notPermitted("escalation %q may not be answered by who started run %q; say in decided_by who you are", record.ID, record.RunID)
	}
	asked, err := i.askedFor(ctx, record, run)
	if err != nil {
		return err
	}
	if slices.Contains(asked, by) {
		return &Refusal{Why: ErrNotAllowed, Words: fmt.Sprintf(
			"%q asked for run %q, and escalation %q is for somebody else to decide; let another person answer", by, record.RunID, record.ID)}
	}
	return nil
}

// askedFor tells who asked for a run: who started it, and of a fork also who forked it.
func (i *Inbox) askedFor(ctx context.Context, record *Record, run *workflowv1.Run) ([]string, error) {
	started, err := i.started(ctx, record)
	if err != nil {
		return nil, err
	}
	asked := []string{started.GetStartedBy()}
	if run.GetForkedFrom() == nil {
		return asked, nil
	}
	events, err := i.ports.Runs.Events(ctx, record.run(), []uint64{run.GetForkedFrom().GetSequence() + 1})
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		if forked := event.GetRunForked(); forked != nil {
			asked = append(asked, forked.GetForkedBy())
		}
	}
	return asked, nil
}

// started reads how the run of an escalation began.
func (i *Inbox) started(ctx context.Context, record *Record) (*workflowv1.RunStarted, error) {
	events, err := i.ports.Runs.Events(ctx, record.run(), []uint64{1})
	if err != nil {
		return nil, err
	}
	if len(events) != 1 || events[0].GetRunStarted() == nil {
		return nil, fmt.Errorf("the history of run %q in namespace %q does not begin with its start", record.RunID, record.Namespace)
	}
	return events[0].GetRunStarted(), nil
}

// gateConsequence tells where the run goes after a gate's decision, by the definition that the run is pinned to. A guard that the
// decision alone settles is settled here; of the others, what remains open is shown.
func gateConsequence(definition *workflowv1.WorkflowDefinition, stepPath, decision string) string {
	place := placeOf(definition, stepPath)
	if place.state == nil {
		return strings.TrimSuffix("the run goes on after "+stepPath, " after ")
	}
	known := newSupposition(definition, place.step, decision)
	var text strings.Builder
	if steps := laterSteps(known, place.later); len(steps) > 0 {
		fmt.Fprintf(&text, "the run does %s, then ", andList(steps))
	} else {
		text.WriteString("the run ")
	}
	if place.owner != "" {
		fmt.Fprintf(&text, "goes on with step %s, of which the gate is a part", place.owner)
		return text.String()
	}
	text.WriteString(destinations(known, definition, place.state.GetTransitions()))
	return text.String()
}

// laterSteps names the steps that follow in the same state, save those that the decision rules out.
func laterSteps(known *supposition, steps []*workflowv1.Step) []string {
	var words []string
	for _, step := range steps {
		verdict, rest := known.ask(step.GetCondition())
		switch verdict {
		case holds:
			words = append(words, named(step))
		case undecided:
			words = append(words, fmt.Sprintf("%s if %s", named(step), rest))
		case fails:
		}
	}
	return words
}

// destinations tells which states the transitions may lead to, in their order.
func destinations(known *supposition, definition *workflowv1.WorkflowDefinition, transitions []*workflowv1.Transition) string {
	var words []string
	for _, transition := range transitions {
		verdict, rest := known.ask(transition.GetWhen())
		if verdict == fails {
			continue
		}
		target := destination(definition, transition.GetTo())
		if verdict == holds {
			if len(words) > 0 {
				target = "otherwise " + target
			}
			words = append(words, target)
			break
		}
		words = append(words, fmt.Sprintf("%s when %s", target, rest))
	}
	if len(words) == 0 {
		return "goes on"
	}
	return strings.Join(words, "; ")
}

// destination describes a state as a person needs it: whether the run ends there, and which tools it calls at once.
func destination(definition *workflowv1.WorkflowDefinition, name string) string {
	state := definition.GetStates()[name]
	if outcome := state.GetTerminal(); outcome != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		return fmt.Sprintf("ends %s in state %s", outcomeName(outcome), name)
	}
	var does []string
	for _, step := range state.GetSteps() {
		if what := reaches(step); what != "" {
			does = append(does, what)
		}
	}
	if len(does) == 0 {
		return "goes to state " + name
	}
	return fmt.Sprintf("goes to state %s (%s)", name, strings.Join(does, ", "))
}

// named is a step by its id, with what it reaches.
func named(step *workflowv1.Step) string {
	if what := reaches(step); what != "" {
		return fmt.Sprintf("%s (%s)", step.GetId(), what)
	}
	return step.GetId()
}

// reaches tells what a step reaches outside of the run; empty when it is nothing.
func reaches(step *workflowv1.Step) string {
	switch {
	case step.GetTool() != nil:
		return fmt.Sprintf("calls %s/%s", step.GetTool().GetServer(), step.GetTool().GetTool())
	case step.GetAgent() != nil:
		return "gives a task to " + step.GetAgent().GetAgent()
	case step.GetHuman() != nil:
		return "asks " + orList(step.GetHuman().GetRoles())
	}
	return ""
}

func outcomeName(outcome workflowv1.Outcome) string {
	return strings.TrimPrefix(outcome.String(), "OUTCOME_")
}
