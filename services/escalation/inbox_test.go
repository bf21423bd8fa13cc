package escalation_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/escalation"
)

const stateOpen = statev1.EscalationState_ESCALATION_STATE_OPEN

// asked puts a question into the state service.
func (d *desk) asked(id string, state statev1.EscalationState, roles ...string) *statev1.EscalationRecord {
	record := &statev1.EscalationRecord{
		Id: id, Namespace: "default", RunId: "run-of-" + id, State: state, Opened: &workflowv1.EscalationOpened{EscalationId: id, Roles: roles},
	}
	d.state.records = append(d.state.records, record)
	return record
}

// pages lists the whole inbox and returns the ids of each page.
func (d *desk) pages(t *testing.T, request *escalationv1.ListInboxRequest) [][]string {
	t.Helper()
	var pages [][]string
	for {
		got, err := d.client.ListInbox(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, record := range got.GetEscalations() {
			ids = append(ids, record.GetId())
		}
		pages = append(pages, ids)
		if got.GetNextPageToken() == "" {
			return pages
		}
		if len(pages) > 1000 {
			t.Fatal("the list never ends")
		}
		request.PageToken = got.GetNextPageToken()
	}
}

func TestInboxListsWhatIsAskedFor(t *testing.T) {
	d := newDesk(t, escalation.Config{})
	d.asked("a", stateOpen, "lead")
	d.asked("b", statev1.EscalationState_ESCALATION_STATE_RESOLVED, "lead")
	d.asked("c", stateOpen, "l2", "lead")
	d.asked("d", stateOpen)
	d.asked("e", statev1.EscalationState_ESCALATION_STATE_CLOSED, "l2")
	d.asked("f", stateOpen, "l2").Namespace = "support"
	for name, test := range map[string]struct {
		request *escalationv1.ListInboxRequest
		want    []string
	}{
		"open ones of the default namespace":  {&escalationv1.ListInboxRequest{}, []string{"a", "c", "d"}},
		"resolved ones":                       {&escalationv1.ListInboxRequest{State: statev1.EscalationState_ESCALATION_STATE_RESOLVED}, []string{"b"}},
		"closed ones":                         {&escalationv1.ListInboxRequest{State: statev1.EscalationState_ESCALATION_STATE_CLOSED}, []string{"e"}},
		"of a role, and those for everybody":  {&escalationv1.ListInboxRequest{Role: "lead"}, []string{"a", "c", "d"}},
		"of another role":                     {&escalationv1.ListInboxRequest{Role: "l2"}, []string{"c", "d"}},
		"of a role in every namespace":        {&escalationv1.ListInboxRequest{Role: "l2", Namespace: "*"}, []string{"c", "d", "f"}},
		"of a run":                            {&escalationv1.ListInboxRequest{RunId: "run-of-c"}, []string{"c"}},
		"of a namespace where nothing is":     {&escalationv1.ListInboxRequest{Namespace: "other"}, []string{}},
		"of a role that is only in a closing": {&escalationv1.ListInboxRequest{Role: "nobody"}, []string{"d"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([][]string{test.want}, d.pages(t, test.request)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPagesOfARoleMissNothingAndRepeatNothing(t *testing.T) {
	d := newDesk(t, escalation.Config{})
	var want []string
	for n := range 200 {
		role := "l2"
		if n%7 == 3 || n > 190 {
			role = "lead"
			want = append(want, fmt.Sprint(n))
		}
		d.asked(fmt.Sprint(n), stateOpen, role)
	}
	for size := int32(1); size <= 60; size++ {
		var got []string
		for _, page := range d.pages(t, &escalationv1.ListInboxRequest{Role: "lead", PageSize: size}) {
			if len(page) > int(size) {
				t.Errorf("a page of %d has %d entries", size, len(page))
			}
			got = append(got, page...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in pages of %d:\n%s", size, diff)
		}
	}
}

func TestOneListReadsABoundedPartForARareRole(t *testing.T) {
	d := newDesk(t, escalation.Config{})
	for n := range 500 {
		d.asked(fmt.Sprint(n), stateOpen, "l2")
	}
	d.asked("last", stateOpen, "lead")
	got, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{Role: "lead", PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetNextPageToken() == "" || d.state.calls["ListEscalations"] > 20 {
		t.Errorf("%d reads for one page, token %q", d.state.calls["ListEscalations"], got.GetNextPageToken())
	}
	pages := d.pages(t, &escalationv1.ListInboxRequest{Role: "lead", PageSize: 1})
	if last := pages[len(pages)-1]; len(last) != 1 || last[0] != "last" {
		t.Errorf("the last page is %v", last)
	}
}

func TestPageTokenOfAnotherListIsRefused(t *testing.T) {
	d := newDesk(t, escalation.Config{})
	for _, id := range []string{"a", "b", "c"} {
		d.asked(id, stateOpen, "lead")
	}
	first, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{Role: "lead", PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]*escalationv1.ListInboxRequest{
		"another role":  {Role: "l2", PageToken: first.GetNextPageToken()},
		"no role":       {PageToken: first.GetNextPageToken()},
		"another state": {Role: "lead", State: statev1.EscalationState_ESCALATION_STATE_CLOSED, PageToken: first.GetNextPageToken()},
		"made up":       {PageToken: "7"},
		"half":          {Role: "lead", PageToken: first.GetNextPageToken()[:9]},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.client.ListInbox(t.Context(), request)
			wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "begin again without it")
		})
	}
}
