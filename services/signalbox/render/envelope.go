package render

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Envelope returns everything a person needs to decide, as a sheet to read from top to bottom: the question, the subject, why it is
// asked, what happened so far, and what each decision leads to.
func Envelope(e *escalationv1.Envelope, now time.Time) string {
	page := &sheet{}
	record := e.GetRecord()
	page.heading(record, e.GetStanding(), now)
	page.subject(record.GetOpened().GetSubject())
	page.evidence(e)
	page.section("Input of the run", Indent(e.GetInput(), "  "))
	page.steps(e.GetSteps())
	page.recent(e.GetRecent())
	page.decisions(e)
	return page.String()
}

// sheet is text in sections.
type sheet struct{ strings.Builder }

func (s *sheet) section(title, body string) {
	if body == "" {
		return
	}
	fmt.Fprintf(s, "\n%s\n", strings.ToUpper(title))
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		fmt.Fprintf(s, "  %s\n", strings.TrimPrefix(line, "  "))
	}
}

func (s *sheet) heading(record *statev1.EscalationRecord, standing *escalationv1.Standing, now time.Time) {
	opened := record.GetOpened()
	question := Clean(opened.GetQuestion())
	if question == "" {
		question = "What is to be done?"
	}
	fmt.Fprintf(s, "%s\n\n", question)
	pairs := []Pair{
		{"Escalation", record.GetId()},
		{"State", escalationState(record)},
		{"Kind", Name(opened.GetKind())},
		{"Code", Clean(opened.GetCode())},
		{"Run", fmt.Sprintf("%s of %s", record.GetRunId(), record.GetWorkflow())},
		{"Step", opened.GetStepPath()},
		{"Asked", Moment(record.GetOpenTime(), now)},
		{"Due", Moment(opened.GetDueTime(), now)},
		{"May decide", MayDecide(opened.GetRoles(), standing)},
	}
	if standing.GetNextLevelTime() != nil {
		pairs = append(pairs, Pair{"Next level", strings.Join(standing.GetNextRoles(), ", ") + " too, " + Moment(standing.GetNextLevelTime(), now)})
	}
	if opened.GetQuorum() > 1 {
		pairs = append(pairs, Pair{"Quorum", fmt.Sprintf("%d people must agree", opened.GetQuorum())}, Pair{"Votes", Votes(standing)})
	}
	pairs = append(pairs, Pair{"Digest", hex.EncodeToString(opened.GetSubjectDigest())})
	for _, pair := range pairs {
		if pair.Value != "" {
			fmt.Fprintf(s, "%-11s %s\n", pair.Key, pair.Value)
		}
	}
}

// MayDecide names the roles that may decide now: those that were asked at the opening, and those of levels that were asked since.
func MayDecide(asked []string, standing *escalationv1.Standing) string {
	if len(standing.GetRoles()) > 0 {
		asked = standing.GetRoles()
	}
	return strings.Join(asked, ", ")
}

// Votes tells the answers so far of an escalation that several people decide, and how many are missing.
func Votes(standing *escalationv1.Standing) string {
	var words []string
	for _, vote := range standing.GetVotes() {
		words = append(words, fmt.Sprintf("%s by %s", Clean(vote.GetDecision()), Clean(vote.GetDecidedBy())))
	}
	if standing.GetMissing() > 0 {
		words = append(words, fmt.Sprintf("%d more must agree", standing.GetMissing()))
	}
	return strings.Join(words, ", ")
}

func escalationState(record *statev1.EscalationRecord) string {
	state := Name(record.GetState())
	if record.GetClosed() != nil {
		state += ", " + escalationClosed(record.GetClosed())
	}
	return state
}

func (s *sheet) subject(subject *workflowv1.Payload) {
	switch value := subject.GetValue().(type) {
	case *workflowv1.Payload_Inline:
		s.section("What is decided on", Indent(value.Inline, "  "))
	case *workflowv1.Payload_Artifact:
		s.section("What is decided on", Artifact(value.Artifact))
	}
}

func (s *sheet) evidence(e *escalationv1.Envelope) {
	var body strings.Builder
	if problem := e.GetRecord().GetOpened().GetEvidence().GetProblem(); problem != nil {
		fmt.Fprintf(&body, "%s\n", Problem(problem))
		if problem.GetStepPath() != "" {
			fmt.Fprintf(&body, "in step %s\n", problem.GetStepPath())
		}
		if len(problem.GetDetail()) > 0 {
			fmt.Fprintf(&body, "detail %s\n", Indent(problem.GetDetail(), "  "))
		}
	}
	s.section("Why it is asked", body.String())
	call := e.GetFailingCall()
	if call == nil {
		return
	}
	op := call.GetOperation()
	body.Reset()
	fmt.Fprintf(&body, "%s/%s (%s) is %s after %s\n", op.GetServer(), op.GetTool(), Name(op.GetEffect()), Name(op.GetStatus()), plural(uint64(op.GetAttempts()), "attempt"))
	if op.GetIdempotencyKey() != "" {
		fmt.Fprintf(&body, "idempotency key %s\n", Clean(op.GetIdempotencyKey()))
	}
	fmt.Fprintf(&body, "operation %s\n", op.GetId())
	if op.GetProblem() != nil {
		fmt.Fprintf(&body, "last error %s\n", Problem(op.GetProblem()))
	}
	fmt.Fprintf(&body, "arguments %s\n", Indent(call.GetArguments(), "  "))
	s.section("The failing call", body.String())
}

func (s *sheet) steps(steps []*escalationv1.EnvelopeStep) {
	var body strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&body, "%s  %s %s", step.GetTime().AsTime().Format(time.TimeOnly), step.GetStepPath(), Name(step.GetStatus()))
		if output := Preview(step.GetOutput(), 0); output != "" && output != "null" {
			fmt.Fprintf(&body, ": %s", output)
		}
		if step.GetTruncated() {
			body.WriteString("… (cut)")
		}
		body.WriteByte('\n')
	}
	s.section("Steps so far", body.String())
}

func (s *sheet) recent(events []*workflowv1.HistoryEvent) {
	var body strings.Builder
	narrator := NewNarrator()
	for _, event := range events {
		line := narrator.Tell(event)
		place := line.Step
		if place == "" {
			place = line.State
		}
		fmt.Fprintf(&body, "%s  %-16s %s\n", line.Time.Format(time.TimeOnly), place, line.What)
	}
	s.section("Just before", body.String())
}

func (s *sheet) decisions(e *escalationv1.Envelope) {
	record := e.GetRecord()
	if record.GetState() != statev1.EscalationState_ESCALATION_STATE_OPEN {
		return
	}
	decisions := record.GetOpened().GetDecisions()
	width := 0
	for _, decision := range decisions {
		width = max(width, len(decision))
	}
	var body strings.Builder
	for _, decision := range decisions {
		fmt.Fprintf(&body, "%-*s  %s\n", width, decision, Clean(e.GetConsequences()[decision]))
	}
	s.section("Decisions", body.String())
	if len(decisions) == 0 {
		return
	}
	command := []string{"signalbox", "escalation", "resolve", record.GetId(), decisions[0]}
	if digest := record.GetOpened().GetSubjectDigest(); len(digest) > 0 {
		command = append(command, "--digest", hex.EncodeToString(digest))
	}
	if slices.Contains([]string{"provide_output", "happened"}, decisions[0]) {
		command = append(command, "--value", "JSON")
	}
	s.section("To decide", strings.Join(command, " "))
}

func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
