package core

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
)

func newCatalogue(t *testing.T, tools *fakeTools, policies map[string]map[string]Policy) (*Catalogue, *fakeclock.Clock) {
	t.Helper()
	clock := fakeclock.New(start)
	catalogue := NewCatalogue(clock, tools, NewServers(map[string]int{"desk": 0, "mail": 0}, noMetrics{}), policies, Limits{})
	t.Cleanup(catalogue.Close)
	return catalogue, clock
}

func TestEffectsComeFromPolicyThenHintsThenCaution(t *testing.T) {
	const read, idempotent, write, irreversible = workflowv1.Effect_EFFECT_READ, workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE,
		workflowv1.Effect_EFFECT_WRITE, workflowv1.Effect_EFFECT_IRREVERSIBLE
	for name, c := range map[string]struct {
		tool     Tool
		policy   Policy
		want     workflowv1.Effect
		declared bool
	}{
		"nothing said":             {Tool{}, Policy{}, write, false},
		"destructive":              {Tool{Destructive: true}, Policy{}, irreversible, false},
		"declared over the hint":   {Tool{Destructive: true}, Policy{Effect: idempotent}, idempotent, true},
		"declared without a hint":  {Tool{}, Policy{Effect: read}, read, true},
		"policy without an effect": {Tool{Destructive: true}, Policy{IdempotencyArgument: "key"}, irreversible, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := declare("desk", c.tool, c.policy)
			if got.GetEffect() != c.want || got.GetEffectDeclared() != c.declared {
				t.Errorf("got %v, declared %v", got.GetEffect(), got.GetEffectDeclared())
			}
			if got.GetMaxDuration().AsDuration() != time.Minute || got.GetIdempotencyArgument() != c.policy.IdempotencyArgument {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestListIsSortedCachedAndReadAgain(t *testing.T) {
	tools := newFakeTools()
	tools.list = func(server string) ([]Tool, error) {
		return []Tool{{Name: "z"}, {Name: server + "-a"}, {Name: "z", Description: "again"}}, nil
	}
	catalogue, clock := newCatalogue(t, tools, nil)
	names := func() string {
		t.Helper()
		list, unavailable, err := catalogue.List(t.Context(), "")
		if err != nil || len(unavailable) > 0 {
			t.Fatal(err, unavailable)
		}
		var all []string
		for _, tool := range list {
			all = append(all, tool.GetServer()+"/"+tool.GetName())
		}
		return strings.Join(all, " ")
	}
	const want = "desk/desk-a desk/z mail/mail-a mail/z"
	for range 2 {
		if got := names(); got != want {
			t.Errorf("got %s", got)
		}
	}
	expect := func(lists int, why string) {
		t.Helper()
		names()
		if tools.lists != lists {
			t.Errorf("%s: %d readings, wanted %d", why, tools.lists, lists)
		}
	}
	expect(2, "once per server")
	catalogue.Changed("mail")
	catalogue.Changed("nobody")
	expect(3, "after a change")
	clock.Advance(10 * time.Minute)
	expect(5, "after its age")
}

func TestServerThatIsAwayKeepsItsLastList(t *testing.T) {
	tools := newFakeTools()
	var away error
	tools.list = func(server string) ([]Tool, error) {
		if server == "mail" {
			return nil, away
		}
		return []Tool{{Name: "lookup"}}, away
	}
	catalogue, _ := newCatalogue(t, tools, nil)
	if _, err := catalogue.Tool(t.Context(), "desk", "lookup"); err != nil {
		t.Fatal(err)
	}
	away = errors.New("connection refused")
	catalogue.Changed("desk")
	list, unavailable, err := catalogue.List(t.Context(), "")
	if err != nil || len(list) != 1 || unavailable["desk"] != "connection refused" || unavailable["mail"] != "connection refused" {
		t.Errorf("got %v, %v, %v", list, unavailable, err)
	}
	if _, err := catalogue.Tool(t.Context(), "desk", "lookup"); err != nil {
		t.Errorf("a known tool of a server that is away: %v", err)
	}
	if _, err := catalogue.Tool(t.Context(), "mail", "send"); !errors.Is(err, ErrServerUnavailable) {
		t.Errorf("an unknown tool of a server that is away: %v", err)
	}
}

func TestWhatIsNotFoundNamesWhatThereIs(t *testing.T) {
	tools := newFakeTools()
	tools.list = func(string) ([]Tool, error) { return []Tool{{Name: "cancel_order"}}, nil }
	catalogue, _ := newCatalogue(t, tools, nil)
	expect := func(err, kind error, wanted string, known ...string) {
		t.Helper()
		var f *Fault
		if !errors.Is(err, kind) || !errors.As(err, &f) || f.Wanted != wanted || !slices.Equal(f.Known, known) {
			t.Errorf("got %+v", err)
		}
	}
	_, err := catalogue.Tool(t.Context(), "desc", "x")
	expect(err, ErrServerNotFound, "desc", "desk", "mail")
	_, err = catalogue.Tool(t.Context(), "desk", "cancel_ordr")
	expect(err, ErrToolNotFound, "cancel_ordr", "cancel_order")
	_, _, err = catalogue.List(t.Context(), "desc")
	expect(err, ErrServerNotFound, "desc", "desk", "mail")
}

func TestCheckFollowsTheSchemaOfTheDay(t *testing.T) {
	schema := `{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`
	tools := newFakeTools()
	tools.list = func(string) ([]Tool, error) {
		return []Tool{{Name: "lookup", InputSchema: json.RawMessage(schema)}, {Name: "odd", InputSchema: json.RawMessage(`{"type":7}`)}, {Name: "free"}}, nil
	}
	catalogue, _ := newCatalogue(t, tools, nil)
	check := func(tool, arguments string) error {
		t.Helper()
		declared, err := catalogue.Tool(t.Context(), "desk", tool)
		if err != nil {
			t.Fatal(err)
		}
		return catalogue.Check(declared, []byte(arguments))
	}
	if err := check("lookup", `{"id":"1"}`); err != nil {
		t.Error(err)
	}
	if err := check("lookup", `{"id":1}`); !errors.Is(err, ErrArgumentsInvalid) || !strings.Contains(err.Error(), "id") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(check("odd", `{"x":1}`), check("free", `{"x":1}`)); err != nil {
		t.Error(err)
	}
	schema = `{"type":"object"}`
	catalogue.Changed("desk")
	if err := check("lookup", `{"id":1}`); err != nil {
		t.Errorf("after the schema changed: %v", err)
	}
}

func TestListGivesUpWithItsCaller(t *testing.T) {
	tools := newFakeTools()
	hold := make(chan struct{})
	tools.list = func(string) ([]Tool, error) { <-hold; return nil, nil }
	catalogue, _ := newCatalogue(t, tools, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := catalogue.List(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(hold)
	if _, _, err := catalogue.List(t.Context(), ""); err != nil {
		t.Error(err)
	}
}
