package escalation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/escalation"
)

// approval is ann's answer, which the gate takes as it is.
func approval() *escalationv1.ResolveRequest {
	return &escalationv1.ResolveRequest{
		EscalationId: gateID, Decision: "approve", DecidedBy: "ann", Roles: []string{"support-lead"}, Comment: "fine",
		Value: []byte(`{"note": 1}`), SubjectDigest: digestOf(subject),
	}
}

func TestAnswerReachesTheRunOnceAndIsAcknowledgedAgain(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	first, err := d.client.Resolve(t.Context(), approval())
	if err != nil {
		t.Fatal(err)
	}
	if first.GetRecord().GetState() != statev1.EscalationState_ESCALATION_STATE_RESOLVED || first.GetRecord().GetClosed().GetDecidedBy() != "ann" {
		t.Errorf("the record after the answer is %v", first.GetRecord())
	}
	repeated := approval()
	repeated.Value = []byte(` {"note":1} `)
	repeated.SubjectDigest = nil
	second, err := d.client.Resolve(t.Context(), repeated)
	if err != nil {
		t.Fatalf("the same answer again: %v", err)
	}
	if second.GetRecord().GetClosed().GetDecision() != "approve" {
		t.Errorf("the repetition answered %v", second.GetRecord())
	}
	decisions := d.scheduler.taken()
	if len(decisions) != 1 {
		t.Fatalf("the scheduler got %d decisions, want 1", len(decisions))
	}
	got := decisions[0]
	if got.GetNamespace() != "default" || got.GetRunId() != "case-17" || got.GetEscalationId() != gateID || got.GetDecision() != "approve" ||
		got.GetDecidedBy() != "ann" || got.GetComment() != "fine" || string(got.GetValue()) != `{"note": 1}` ||
		string(got.GetSubjectDigest()) != string(digestOf(subject)) || got.GetRequestId() == "" {
		t.Errorf("the scheduler got %v", got)
	}
}

// A reply can be lost after the commit; the client then sends the same again, and the scheduler must be able to tell that it is the same.
func TestSameAnswerHasTheSameRequestID(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.record().Opened.Quorum = 2 // so that the fake leaves it open
	again := approval()
	again.Value, again.Comment = []byte(`{"note":1}`), "as I said"
	other := approval()
	other.DecidedBy = "cid"
	given := approval()
	given.RequestId = "r-1"
	for _, request := range []*escalationv1.ResolveRequest{approval(), again, other, given} {
		if _, err := d.client.Resolve(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	decisions := d.scheduler.taken()
	if decisions[0].GetRequestId() != decisions[1].GetRequestId() {
		t.Error("the same answer got two identities")
	}
	if decisions[0].GetRequestId() == decisions[2].GetRequestId() {
		t.Error("answers of two people got one identity")
	}
	if decisions[3].GetRequestId() != "r-1" {
		t.Errorf("the client's request_id became %q", decisions[3].GetRequestId())
	}
}

func TestEveryRefusal(t *testing.T) {
	closedBecause := func(because string) func(*desk, *escalationv1.ResolveRequest) {
		return func(d *desk, _ *escalationv1.ResolveRequest) {
			d.record().State = statev1.EscalationState_ESCALATION_STATE_CLOSED
			d.record().CloseTime = timestamppb.New(t0.Add(-time.Minute))
			d.record().Closed = &workflowv1.EscalationClosed{ClosedBecause: because}
		}
	}
	answer := func(change func(*escalationv1.ResolveRequest)) func(*desk, *escalationv1.ResolveRequest) {
		return func(_ *desk, request *escalationv1.ResolveRequest) { change(request) }
	}
	afterDecision := func(change func(*escalationv1.ResolveRequest)) func(*desk, *escalationv1.ResolveRequest) {
		return func(d *desk, request *escalationv1.ResolveRequest) {
			d.decided()
			change(request)
		}
	}
	for name, test := range map[string]struct {
		given  func(*desk, *escalationv1.ResolveRequest)
		reason errorsv1.ErrorReason
		words  []string
	}{
		"no such escalation": {
			answer(func(r *escalationv1.ResolveRequest) { r.EscalationId = "case-18/x/1" }),
			errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, []string{"case-18/x/1"},
		},
		"other namespace": {
			answer(func(r *escalationv1.ResolveRequest) { r.Namespace = "support" }),
			errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, []string{`"support"`},
		},
		"no escalation named": {
			answer(func(r *escalationv1.ResolveRequest) { r.EscalationId = "" }),
			errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, []string{"escalation_id"},
		},
		"no decision": {
			answer(func(r *escalationv1.ResolveRequest) { r.Decision = "" }),
			errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, []string{"decision: is empty"},
		},
		"foreign role": {
			answer(func(r *escalationv1.ResolveRequest) { r.Roles = []string{"support-l1", "intern"} }),
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, []string{"asks support-lead", `"ann" has only support-l1 and intern`},
		},
		"no role": {
			answer(func(r *escalationv1.ResolveRequest) { r.Roles = nil }),
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, []string{"asks support-lead", "say in roles"},
		},
		"misspelt decision": {
			answer(func(r *escalationv1.ResolveRequest) { r.Decision = "aprove" }),
			errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED,
			[]string{`"aprove" is not allowed here; allowed are approve, request_change, reject; did you mean "approve"?`},
		},
		"decision of another kind": {
			answer(func(r *escalationv1.ResolveRequest) { r.Decision = "roll_back" }),
			errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, []string{"allowed are approve, request_change, reject"},
		},
		"other subject": {
			answer(func(r *escalationv1.ResolveRequest) { r.SubjectDigest = digestOf("something else") }),
			errorsv1.ErrorReason_ERROR_REASON_SUBJECT_CHANGED, []string{"read it again"},
		},
		"digest that is none": {
			answer(func(r *escalationv1.ResolveRequest) { r.SubjectDigest = []byte("abc") }),
			errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, []string{"subject_digest: has 3 bytes"},
		},
		"value that is not JSON": {
			answer(func(r *escalationv1.ResolveRequest) { r.Value = []byte("yes please") }),
			errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, []string{"value: is not JSON"},
		},
		"timed out":  {closedBecause("overdue"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, []string{"timed out at 2026-11-02T09:59:00Z"}},
		"cancelled":  {closedBecause("cancelled"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, []string{"the run was cancelled"}},
		"settled":    {closedBecause("settled"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, []string{"settled without a person"}},
		"closed":     {closedBecause("something new"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, []string{"was closed at"}},
		"otherwise":  {afterDecision(func(r *escalationv1.ResolveRequest) { r.Decision = "reject" }), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, []string{`was decided "approve" by "ann"`, `"reject" comes too late`}},
		"by another": {afterDecision(func(r *escalationv1.ResolveRequest) { r.DecidedBy = "cid" }), errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, []string{`was decided "approve" by "ann" at 2026-11-02T09:59:00Z`}},
		"with another value": {
			afterDecision(func(r *escalationv1.ResolveRequest) { r.Value = []byte(`{"note": 2}`) }),
			errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, []string{"decided"},
		},
		"decided, and a foreign role": {
			afterDecision(func(r *escalationv1.ResolveRequest) { r.Roles = []string{"intern"} }),
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, nil,
		},
		"provide_output without a value": {
			func(d *desk, r *escalationv1.ResolveRequest) {
				d.record().Opened.Kind = workflowv1.EscalationKind_ESCALATION_KIND_ERROR
				d.record().Opened.Decisions = []string{"retry", "provide_output"}
				r.Decision, r.Value = "provide_output", nil
			},
			errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, []string{"value: is empty", "approve/approval"},
		},
		"nobody in a quorum": {
			func(d *desk, r *escalationv1.ResolveRequest) { d.record().Opened.Quorum, r.DecidedBy = 2, "" },
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, []string{"2 people", "decided_by"},
		},
		"who started the run": {
			func(d *desk, r *escalationv1.ResolveRequest) { d.excludeRequester(); r.DecidedBy = "bob" },
			errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, []string{`"bob" asked for run "case-17"`, "let another person answer"},
		},
		"who forked the run": {
			func(d *desk, r *escalationv1.ResolveRequest) {
				d.excludeRequester()
				d.happened(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunForked{RunForked: &workflowv1.RunForked{ForkedBy: "cid"}}})
				d.state.run.ForkedFrom = &workflowv1.ForkOrigin{RunId: "case-16", Sequence: 1}
				r.DecidedBy = "cid"
			},
			errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, []string{`"cid" asked for run "case-17"`},
		},
		"a second vote": {
			func(d *desk, _ *escalationv1.ResolveRequest) { d.voted("ann", "reject") },
			errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, []string{`"ann" has answered "reject"`, "somebody else"},
		},
		"the same vote again": {
			func(d *desk, _ *escalationv1.ResolveRequest) { d.voted("ann", "approve") },
			errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, []string{`"ann" has answered "approve"`, "that counts"},
		},
		"a level that is not asked yet": {
			func(d *desk, r *escalationv1.ResolveRequest) {
				d.levels()
				r.Roles = []string{"director"}
			},
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
			[]string{"asks support-lead or manager now, and director too from 2026-11-02T11:00:00Z on", `"ann" has only director`},
		},
		"nobody, where who started the run may not": {
			func(d *desk, r *escalationv1.ResolveRequest) { d.excludeRequester(); r.DecidedBy = "" },
			errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, []string{"decided_by"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, escalation.Config{}).withGate()
			request := approval()
			test.given(d, request)
			_, err := d.client.Resolve(t.Context(), request)
			wantRefusal(t, err, test.reason, test.words...)
			if decisions := d.scheduler.taken(); len(decisions) > 0 {
				t.Errorf("the scheduler got %v", decisions)
			}
		})
	}
}

func wantRefusal(t *testing.T, err error, reason errorsv1.ErrorReason, words ...string) {
	t.Helper()
	if !errs.Is(err, reason) {
		t.Fatalf("got %v, want %s", err, reason)
	}
	for _, part := range words {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err.Error(), part)
		}
	}
}

func (d *desk) excludeRequester() {
	d.state.definitions["sha256:def"].GetStates()["approve"].GetSteps()[0].GetHuman().ExcludeRequester = true
}

func TestSomebodyElseMayAnswerWhereTheRequesterMayNot(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.excludeRequester()
	if _, err := d.client.Resolve(t.Context(), approval()); err != nil {
		t.Error(err)
	}
}

func TestDecisionNotAllowedListsWhatIsForPrograms(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	request := approval()
	request.Decision = "aprove"
	_, err := d.client.Resolve(t.Context(), request)
	found, ok := errs.From(err)
	if !ok || found.Metadata()["allowed"] != "approve,request_change,reject" || status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v with %v", err, found.Metadata())
	}
}

func TestWhoMayAnswerByAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		caller    func(*testing.T) context.Context
		decidedBy string
		roles     []string
		asked     []string
		refused   string // words of the refusal; empty: it is taken
		recorded  string // who is recorded
	}{
		"in a role that they have":          {caller: person("ann", "support-lead"), recorded: "ann"},
		"naming themselves and their role":  {caller: person("ann", "intern", "support-lead"), decidedBy: "ann", roles: []string{"support-lead"}, recorded: "ann"},
		"in a role that they lack":          {caller: person("ann", "intern"), refused: "asks support-lead"},
		"without any role":                  {caller: person("ann"), refused: "asks support-lead"},
		"claiming a role":                   {caller: person("ann", "intern"), roles: []string{"support-lead"}, refused: `"ann" does not have the role "support-lead"`},
		"setting their role aside":          {caller: person("ann", "intern", "support-lead"), roles: []string{"intern"}, refused: "asks support-lead"},
		"in the name of another":            {caller: person("ann", "support-lead"), decidedBy: "cid", refused: `"ann" may not answer as "cid"`},
		"an operator":                       {caller: person("api-key", "operator"), recorded: "api-key"},
		"an operator for a person":          {caller: person("api-key", "operator"), decidedBy: "ann", roles: []string{"support-lead"}, recorded: "ann"},
		"an operator for a person without":  {caller: person("api-key", "operator"), decidedBy: "ann", roles: []string{"intern"}, refused: `"ann" has only intern`},
		"on a server without keys":          {caller: person("anonymous", "operator"), recorded: "anonymous"},
		"nobody, where nobody is asked for": {caller: (*testing.T).Context, asked: []string{}, recorded: "anonymous"},
		"nobody, with a believed role":      {caller: (*testing.T).Context, roles: []string{"support-lead"}, recorded: "anonymous"},
		"nobody, by name":                   {caller: (*testing.T).Context, decidedBy: "ann", roles: []string{"support-lead"}, recorded: "ann"},
		"one of several roles asked":        {caller: person("ann", "pager"), asked: []string{"support-lead", "pager"}, recorded: "ann"},
		"none of several roles asked":       {caller: person("ann", "intern"), asked: []string{"l2", "l3", "lead"}, refused: "asks l2, l3 or lead"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, escalation.Config{}).withGate()
			if test.asked != nil {
				d.record().Opened.Roles = test.asked
			}
			request := approval()
			request.DecidedBy, request.Roles = test.decidedBy, test.roles
			answered, err := d.client.Resolve(test.caller(t), request)
			if test.refused != "" {
				wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, test.refused)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if by := answered.GetRecord().GetClosed().GetDecidedBy(); by != test.recorded {
				t.Errorf("recorded as decided by %q, want %q", by, test.recorded)
			}
		})
	}
}

func person(subject string, roles ...string) func(*testing.T) context.Context {
	return func(t *testing.T) context.Context { return as(t, subject, roles...) }
}

// The record read here may be old when the answer arrives at the run: what the run's own commit says is what counts.
func TestRefusalOfTheRunsOwnCommitPassesThrough(t *testing.T) {
	for _, reason := range []errorsv1.ErrorReason{
		errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE,
		errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED,
	} {
		d := newDesk(t, escalation.Config{}).withGate()
		d.scheduler.fail = errs.New(reason, "the run says no").RetryAfter(time.Second)
		_, err := d.client.Resolve(t.Context(), approval())
		wantRefusal(t, err, reason, "the run says no")
		if found, _ := errs.From(err); found.Delay() != time.Second {
			t.Errorf("%s: the retry delay became %v", reason, found.Delay())
		}
	}
}

func TestDurableAnswerIsAcknowledgedThoughTheRecordCannotBeReadAgain(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	// The definition is read after the record, so from then on the state service is away for records.
	d.state.onDefinition = func() {
		d.state.fail["GetEscalation"] = errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away")
	}
	answered, err := d.client.Resolve(t.Context(), approval())
	if err != nil {
		t.Fatalf("a durable answer was not acknowledged: %v", err)
	}
	record := answered.GetRecord()
	if record.GetState() != statev1.EscalationState_ESCALATION_STATE_RESOLVED || record.GetClosed().GetDecision() != "approve" ||
		record.GetClosed().GetDecidedBy() != "ann" || string(record.GetClosed().GetValue().GetInline()) != `{"note": 1}` || record.GetCloseTime() != nil {
		t.Errorf("told %v", record)
	}
}

func TestAnswerOfAQuorumLeavesTheQuestionOpen(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.record().Opened.Quorum = 2
	answered, err := d.client.Resolve(t.Context(), approval())
	if err != nil {
		t.Fatal(err)
	}
	if answered.GetRecord().GetState() != statev1.EscalationState_ESCALATION_STATE_OPEN || len(d.scheduler.taken()) != 1 {
		t.Errorf("got %v", answered.GetRecord())
	}
}

func TestInternalErrorsDoNotLeak(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.state.fail["GetEscalation"] = errors.New("SQLITE_BUSY: secret path /var/lib/x")
	_, err := d.client.Resolve(t.Context(), approval())
	wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_INTERNAL)
	if strings.Contains(err.Error(), "SQLITE") {
		t.Errorf("leaked: %v", err)
	}
}

func TestRecordWithoutAQuestionIsAnInternalErrorAndNotOpenToAll(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.record().Opened = nil
	_, err := d.client.Resolve(t.Context(), approval())
	wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_INTERNAL)
}

// The names of those who agreed stand in one text, and a name may look like a part of it.
func TestARepeatedAnswerIsThatOfWhoGaveIt(t *testing.T) {
	for by, repeated := range map[string]bool{"ann, bob": true, "bob": false, "cid, ann, bob": false, "cid": false} {
		d := newDesk(t, escalation.Config{}).withGate()
		d.decided()
		d.record().Opened.Quorum = 2
		d.record().Closed.DecidedBy, d.record().Closed.Agreed = "cid, ann, bob", []string{"cid", "ann, bob"}
		request := approval()
		request.DecidedBy, request.Value = by, []byte(`{"note": 1}`)
		_, err := d.client.Resolve(t.Context(), request)
		if (err == nil) != repeated {
			t.Errorf("%q: %v", by, err)
		}
	}
}
