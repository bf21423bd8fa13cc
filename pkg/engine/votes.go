package engine

import (
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// checkPerson refuses an answer of somebody who may not give one, or has given one.
func (m *machine) checkPerson(a *workflowv1.ActiveStep, p *workflowv1.PendingDecision, opened *workflowv1.EscalationOpened, by string) error {
	if s, ok := m.stepOf(a); ok && p.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_GATE {
		if work := m.workOf(s, a); work.Human != nil && work.Human.ExcludeRequester {
			if err := m.checkRequester(by); err != nil {
				return err
			}
		}
	}
	if opened.GetQuorum() <= 1 {
		return nil
	}
	if by == "" {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "%d people must give the same answer; say who you are", opened.GetQuorum())
	}
	if i := slices.IndexFunc(p.GetVotes(), func(v *workflowv1.Vote) bool { return v.GetDecidedBy() == by }); i >= 0 {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, "%s has answered %q already; somebody else must give the next answer",
			by, p.GetVotes()[i].GetDecision())
	}
	return nil
}

func (m *machine) checkRequester(by string) error {
	started := m.event(inputSequence).GetRunStarted().GetStartedBy()
	switch {
	case m.err != nil:
		return m.err
	case by == "":
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "who asked for the run may not answer; say who you are")
	case by == started:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "%s asked for the run; somebody else must answer", by)
	}
	return nil
}

// vote records an answer where several people must give the same, and reports whether more are needed.
func (m *machine) vote(p *workflowv1.PendingDecision, opened *workflowv1.EscalationOpened, d Decide) bool {
	if uint32(len(agreeing(p, d.Decision)))+1 >= opened.GetQuorum() {
		return false
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_DecisionVoted{DecisionVoted: &workflowv1.DecisionVoted{
		EscalationId: d.EscalationID, Vote: &workflowv1.Vote{DecidedBy: d.By, Decision: d.Decision}, Comment: d.Comment, Value: inline(d.Value),
	}}})
	return true
}

// agreeing are the people who have given an answer, in the order in which they did.
func agreeing(p *workflowv1.PendingDecision, decision string) []string {
	var people []string
	for _, v := range p.GetVotes() {
		if v.GetDecision() == decision {
			people = append(people, v.GetDecidedBy())
		}
	}
	return people
}

// decidedBy are all who have given the answer that was taken, in one text, and each by name when there are several.
func decidedBy(p *workflowv1.PendingDecision, d Decide) (text string, agreed []string) {
	agreed = append(agreeing(p, d.Decision), d.By)
	if len(agreed) == 1 {
		return d.By, nil
	}
	return strings.Join(agreed, ", "), agreed
}

func (f *Fold) decisionVoted(e *workflowv1.DecisionVoted) {
	for _, p := range f.Run.GetPendingDecisions() {
		if p.GetEscalationId() == e.GetEscalationId() {
			p.Votes = append(p.Votes, clone(e.GetVote()))
		}
	}
}

// levelsOf are the roles that an escalation asks at once, and its levels when there are several; none when the definition names no such escalation:
// anyone may answer.
func levelsOf(def *workflow.Definition, code string) (roles []string, levels []*workflowv1.EscalationLevel) {
	all := def.Proto.GetEscalations()[code].GetLevels()
	if len(all) == 0 {
		return nil, nil
	}
	if len(all) > 1 {
		levels = all
	}
	return all[0].GetRoles(), levels
}

// votesWords tells what people have answered so far.
func votesWords(run *workflowv1.Run, escalation string) string {
	for _, p := range run.GetPendingDecisions() {
		if p.GetEscalationId() != escalation || len(p.GetVotes()) == 0 {
			continue
		}
		var words []string
		for _, v := range p.GetVotes() {
			words = append(words, v.GetDecidedBy()+" has answered "+v.GetDecision())
		}
		return " (" + strings.Join(words, ", ") + ")"
	}
	return ""
}
