package core_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

func TestTokenTextKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) core.Token {
			return core.Token{Generation: rapid.Uint64().Draw(t, name), Revision: rapid.Uint64().Draw(t, name)}
		}
		a, b := draw("a"), draw("b")
		if got, want := cmp.Compare(a.String(), b.String()), a.Compare(b); got != want {
			t.Fatalf("%s against %s: text says %d, numbers say %d", a, b, got, want)
		}
		if back, ok := core.ParseToken(a.String()); !ok || back != a {
			t.Fatalf("%s came back as %s, %v", a, back, ok)
		}
	})
	for _, bad := range []string{"", "1.2", "00000000000000000001.0000000000000000000x", "99999999999999999999.00000000000000000001"} {
		if _, ok := core.ParseToken(bad); ok {
			t.Errorf("%q was taken for a token", bad)
		}
	}
}

func TestNormalisedNamesTheField(t *testing.T) {
	good := core.ID{Owner: core.Owner{Namespace: "n", RunID: "r"}, Name: "s/1"}
	claim := core.Claim{Key: "k", Mode: core.Exclusive}
	many := make([]core.Claim, core.MaxClaims+1)
	for name, test := range map[string]struct {
		request core.Request
		field   string
	}{
		"no namespace":   {core.Request{ID: core.ID{Owner: core.Owner{RunID: "r"}, Name: "a"}}, "owner.namespace"},
		"no run":         {core.Request{ID: core.ID{Owner: core.Owner{Namespace: "n"}, Name: "a"}}, "owner.run_id"},
		"no name":        {core.Request{ID: core.ID{Owner: good.Owner}}, "acquisition_id"},
		"long name":      {core.Request{ID: core.ID{Owner: good.Owner, Name: strings.Repeat("x", 513)}}, "acquisition_id"},
		"no locks":       {core.Request{ID: good}, "locks"},
		"too many":       {core.Request{ID: good, Claims: many}, "locks"},
		"empty key":      {core.Request{ID: good, Claims: []core.Claim{claim, {Mode: core.Shared}}}, "locks[1].key"},
		"not UTF-8":      {core.Request{ID: good, Claims: []core.Claim{{Key: "\xff", Mode: core.Shared}}}, "locks[0].key"},
		"no mode":        {core.Request{ID: good, Claims: []core.Claim{{Key: "k"}}}, "locks[0].mode"},
		"many permits":   {core.Request{ID: good, Claims: []core.Claim{{Key: "k", Mode: core.Exclusive, Permits: 10_001}}}, "locks[0].permits"},
		"the same twice": {core.Request{ID: good, Claims: []core.Claim{claim, {Key: "k", Mode: core.Shared}}}, "locks"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.request.Normalised()
			var field *core.FieldError
			if !errors.As(err, &field) || field.Field != test.field {
				t.Errorf("got %v, want a complaint about %s", err, test.field)
			}
		})
	}
	request := core.Request{ID: good, Claims: []core.Claim{{Key: "b", Mode: core.Shared, Permits: 3}, {Key: "a", Mode: core.Exclusive}}}
	got, err := request.Normalised()
	want := []core.Claim{{Key: "a", Mode: core.Exclusive, Permits: 1}, {Key: "b", Mode: core.Shared, Permits: 1}}
	if err != nil || !slices.Equal(got.Claims, want) || request.Claims[0].Key != "b" {
		t.Errorf("got %v, %v; the request itself must stay as it was: %v", got, err, request)
	}
}
