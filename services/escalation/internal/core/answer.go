package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Answer is what somebody says to an escalation.
type Answer struct {
	// Namespace of the escalation.
	Namespace string
	// EscalationID names it. Required.
	EscalationID string
	// Decision given. Required.
	Decision string
	// DecidedBy names who decides. Empty: the caller.
	DecidedBy string
	// Roles of who decides. Empty: the caller's.
	Roles []string
	// Comment is what they say. May be empty.
	Comment string
	// Value given with the decision, raw JSON. Empty: none.
	Value []byte
	// SubjectDigest is the SHA-256 of the subject that was shown. Empty: not checked.
	SubjectDigest []byte
	// RequestID is the client's identity of this answer. Empty: made of what is answered, so that the same answer has the same one.
	RequestID string
}

// Resolution is an answer that counts.
type Resolution struct {
	// Record after it. With a quorum it may still be open.
	Record *Record
	// DecidedBy is in whose name it was given.
	DecidedBy string
	// Repeated tells that the record had this very answer before.
	Repeated bool
	// Standing is how the escalation stands after it.
	Standing Standing
	// Waited is the time from the opening to this answer; 0 with Repeated.
	Waited time.Duration
}

// Resolve gives an answer and returns once it is durable in the run that asked. Errors: *InvalidError, a *Refusal (ErrNotPermitted,
// ErrStale, ErrDuplicate, ErrNotAllowed, ErrSubjectChanged), and those of the ports. The scheduler checks the same again inside the
// run's commit, so an answer that loses a race to another, or to its due time, is refused by it.
func (i *Inbox) Resolve(ctx context.Context, caller Caller, answer Answer) (Resolution, error) {
	if err := answer.check(); err != nil {
		return Resolution{}, err
	}
	record, err := i.record(ctx, answer.Namespace, answer.EscalationID)
	if err != nil {
		return Resolution{}, err
	}
	spoken, err := voiceOf(caller, answer)
	if err != nil {
		return Resolution{}, err
	}
	if err := spoken.mayDecide(record, i.ports.Clock.Now()); err != nil {
		return Resolution{}, err
	}
	if record.State != StateOpen {
		if err := answer.against(record, spoken.by); err != nil {
			return Resolution{}, err
		}
		return Resolution{Record: record, DecidedBy: spoken.by, Repeated: true}, nil
	}
	if err := answer.fits(record); err != nil {
		return Resolution{}, err
	}
	if err := i.checkGate(ctx, record, spoken.by); err != nil {
		return Resolution{}, err
	}
	if err := i.ports.Scheduler.Decide(ctx, answer.decision(record, spoken.by)); err != nil {
		return Resolution{}, err
	}
	waited := i.ports.Clock.Now().Sub(record.OpenTime)
	after := i.after(ctx, record, answer, spoken.by)
	return Resolution{Record: after, DecidedBy: spoken.by, Standing: i.standingAfter(ctx, after), Waited: waited}, nil
}

// standingAfter tells how an escalation stands after an answer that is durable. It is told without votes when they cannot be read: that must
// not turn the acknowledgement into an error.
func (i *Inbox) standingAfter(ctx context.Context, record *Record) Standing {
	standing, err := i.standing(ctx, record)
	if err != nil {
		return record.levelsAt(i.ports.Clock.Now())
	}
	return standing
}

// record reads an escalation that can be shown and answered.
func (i *Inbox) record(ctx context.Context, namespace, id string) (*Record, error) {
	record, err := i.ports.Records.Escalation(ctx, namespace, id)
	if err != nil {
		return nil, err
	}
	if record.Opened == nil {
		return nil, fmt.Errorf("the record of escalation %q in namespace %q does not hold what was asked", id, namespace)
	}
	return record, nil
}

// check finds what is wrong with the answer whatever the escalation is.
func (a Answer) check() error {
	switch {
	case a.EscalationID == "":
		return &InvalidError{Field: "escalation_id", Problem: "is empty; name the escalation that is answered"}
	case a.Decision == "":
		return &InvalidError{Field: "decision", Problem: "is empty; give one of those that the escalation allows"}
	case len(a.Value) > 0 && !json.Valid(a.Value):
		return &InvalidError{Field: "value", Problem: `is not JSON; a text is written in quotes, as "…"`}
	case len(a.SubjectDigest) > 0 && len(a.SubjectDigest) != sha256.Size:
		return &InvalidError{Field: "subject_digest", Problem: fmt.Sprintf(
			"has %d bytes, a SHA-256 has %d; send record.opened.subject_digest of the envelope, or leave it out", len(a.SubjectDigest), sha256.Size)}
	}
	return nil
}

// fits refuses an answer that an open escalation cannot take.
func (a Answer) fits(record *Record) error {
	opened := record.Opened
	if len(a.SubjectDigest) > 0 && !bytes.Equal(a.SubjectDigest, opened.GetSubjectDigest()) {
		return &Refusal{Why: ErrSubjectChanged, Words: fmt.Sprintf(
			"the subject of escalation %q is not the one that was shown; read it again, look at what changed and answer with its new digest", record.ID)}
	}
	if !slices.Contains(opened.GetDecisions(), a.Decision) {
		return &Refusal{
			Why: ErrNotAllowed, Given: a.Decision, Allowed: opened.GetDecisions(),
			Words: fmt.Sprintf("%q is not allowed here; allowed are %s", a.Decision, strings.Join(opened.GetDecisions(), ", ")),
		}
	}
	if opened.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_ERROR && a.Decision == decisionProvideOutput && len(a.Value) == 0 {
		return &InvalidError{Field: "value", Problem: fmt.Sprintf("is empty; %q needs the output of step %s, as JSON", a.Decision, opened.GetStepPath())}
	}
	return nil
}

// against compares the answer with an escalation that has ended: nil when it is the very answer that ended it.
func (a Answer) against(record *Record, by string) error {
	closed := record.Closed
	when := "already"
	if !record.CloseTime.IsZero() {
		when = "at " + record.CloseTime.UTC().Format(time.RFC3339)
	}
	switch {
	case record.State == StateClosed:
		return &Refusal{Why: ErrStale, Words: fmt.Sprintf("escalation %q %s %s; the answer comes too late", record.ID, endings(closed.GetClosedBecause()), when)}
	case closed.GetDecision() != a.Decision:
		return &Refusal{Why: ErrStale, Words: fmt.Sprintf("escalation %q was decided %q by %q %s; %q comes too late",
			record.ID, closed.GetDecision(), closed.GetDecidedBy(), when, a.Decision)}
	case !record.closedBy(by) || !sameValue(a.Value, closed.GetValue()):
		return &Refusal{Why: ErrDuplicate, Words: fmt.Sprintf("escalation %q was decided %q by %q %s; there is nothing left to do",
			record.ID, closed.GetDecision(), closed.GetDecidedBy(), when)}
	}
	return nil
}

// closedBy reports whether somebody gave the answer that ended the escalation. Where several people agreed, all of them are recorded, in the
// order of their answers, and the value is the last one's.
func (r *Record) closedBy(name string) bool {
	if agreed := r.Closed.GetAgreed(); len(agreed) > 0 {
		return agreed[len(agreed)-1] == name
	}
	return r.Closed.GetDecidedBy() == name
}

// endings says how an escalation ended without a decision.
func endings(because string) string {
	switch because {
	case "overdue":
		return "timed out"
	case "cancelled":
		return "was withdrawn because the run was cancelled"
	case "settled":
		return "was settled without a person"
	}
	return "was closed"
}

// sameValue compares a given value with a recorded one; white space between JSON tokens does not count.
func sameValue(given []byte, recorded *workflowv1.Payload) bool {
	if artifact := recorded.GetArtifact(); artifact != nil {
		sum := sha256.Sum256(given)
		return artifact.GetDigest() == "sha256:"+hex.EncodeToString(sum[:])
	}
	return bytes.Equal(compact(given), compact(recorded.GetInline()))
}

func compact(raw []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return raw
	}
	return out.Bytes()
}

// decision is the answer on its way to the run.
func (a Answer) decision(record *Record, by string) Decision {
	requestID := a.RequestID
	if requestID == "" {
		requestID = a.identity(record, by)
	}
	return Decision{
		Run: record.run(), EscalationID: record.ID, Decision: a.Decision, DecidedBy: by, Comment: a.Comment, Value: a.Value,
		SubjectDigest: a.SubjectDigest, RequestID: requestID,
	}
}

// identity is the same for the same answer of the same person, so that sending it again after a lost reply is harmless. The comment is
// no part of it: a person who words it anew has not decided anew.
func (a Answer) identity(record *Record, by string) string {
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(record.Namespace), []byte(record.ID), []byte(a.Decision), []byte(by), compact(a.Value)} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		hash.Write(size[:])
		hash.Write(part)
	}
	return "answer-" + hex.EncodeToString(hash.Sum(nil)[:16])
}

// after returns the record as it is after a decision that is durable. A failure to read it must not turn the acknowledgement into an
// error, so the record is then told from what is known; its close time stays unset.
func (i *Inbox) after(ctx context.Context, record *Record, answer Answer, by string) *Record {
	latest, err := i.ports.Records.Escalation(ctx, record.Namespace, record.ID)
	if err == nil && (latest.State != StateOpen || record.quorum() > 1) {
		return latest
	}
	told := *record
	if record.quorum() > 1 {
		return &told
	}
	told.State = StateResolved
	told.Closed = &workflowv1.EscalationClosed{EscalationId: record.ID, Decision: answer.Decision, DecidedBy: by, Comment: answer.Comment}
	if len(answer.Value) > 0 {
		told.Closed.Value = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: answer.Value}}
	}
	return &told
}
