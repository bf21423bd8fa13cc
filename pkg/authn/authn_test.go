package authn_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

const key = "s3cret-key"

func TestFromMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		md       metadata.MD
		admitted bool
	}{
		"bearer":                 {metadata.Pairs("authorization", "Bearer "+key), true},
		"bearer in lower case":   {metadata.Pairs("authorization", "bearer "+key), true},
		"x-api-key":              {metadata.Pairs("x-api-key", key), true},
		"nothing":                {metadata.MD{}, false},
		"no metadata":            {nil, false},
		"wrong key":              {metadata.Pairs("x-api-key", "s3cret-kex"), false},
		"prefix of the key":      {metadata.Pairs("x-api-key", key[:5]), false},
		"longer than the key":    {metadata.Pairs("x-api-key", key+"x"), false},
		"empty key":              {metadata.Pairs("x-api-key", ""), false},
		"empty bearer":           {metadata.Pairs("authorization", "Bearer "), false},
		"basic":                  {metadata.Pairs("authorization", "Basic "+key), false},
		"bare key":               {metadata.Pairs("authorization", key), false},
		"wrong bearer, good key": {metadata.Pairs("authorization", "Bearer no", "x-api-key", key), false},
	} {
		t.Run(name, func(t *testing.T) {
			identity, err := authn.New(key).FromMetadata(test.md)
			if !test.admitted {
				if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED) {
					t.Errorf("got %v, %v", identity, err)
				}
				return
			}
			if err != nil || identity.Subject != "api-key" || !identity.Has(authn.RoleOperator) || identity.Has("other") {
				t.Errorf("got %v, %v", identity, err)
			}
		})
	}
}

func TestWithoutKeyEverybodyIsAnonymous(t *testing.T) {
	open := authn.New("")
	identity, err := open.FromMetadata(metadata.Pairs("authorization", "nonsense"))
	if err != nil || identity.Subject != "anonymous" || open.Required() {
		t.Errorf("got %v, %v, required %v", identity, err, open.Required())
	}
}

func TestIdentityTravelsInTheContext(t *testing.T) {
	if _, ok := authn.FromContext(t.Context()); ok {
		t.Error("an identity out of nowhere")
	}
	want := authn.Identity{Subject: "ann", Roles: []string{"reader"}}
	got, ok := authn.FromContext(authn.NewContext(t.Context(), want))
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(ok, diff)
	}
}
