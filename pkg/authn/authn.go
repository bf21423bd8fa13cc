// Package authn answers who is calling: over gRPC by metadata, over HTTP by headers. It knows one static API key; without one,
// everybody who can connect is admitted, which CheckListen allows on loopback only.
package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Where credentials travel: the same names in gRPC metadata and in HTTP headers.
const (
	AuthorizationHeader = "authorization"
	APIKeyHeader        = "x-api-key"
)

// RoleOperator may do everything. Until there are more roles, every admitted caller has it.
const RoleOperator = "operator"

// Identity is an admitted caller.
type Identity struct {
	// Subject names the caller: "api-key" for who sent the key, "anonymous" where no key is configured.
	Subject string
	// Roles say what the caller may do.
	Roles []string
}

// Has reports whether the caller has the role.
func (i Identity) Has(role string) bool { return slices.Contains(i.Roles, role) }

var (
	anonymous = Identity{Subject: "anonymous", Roles: []string{RoleOperator}}
	keyHolder = Identity{Subject: "api-key", Roles: []string{RoleOperator}}
)

type contextKey struct{}

// NewContext returns a context that carries the identity.
func NewContext(ctx context.Context, identity Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, identity)
}

// FromContext returns the identity that the server put into the context; it is false outside of a request.
func FromContext(ctx context.Context) (Identity, bool) {
	identity, ok := ctx.Value(contextKey{}).(Identity)
	return identity, ok
}

// Authenticator admits callers. It is safe for concurrent use.
type Authenticator struct {
	required bool
	digest   [sha256.Size]byte
}

// New returns an authenticator that asks for this API key; with "" it admits everybody as "anonymous".
func New(apiKey string) *Authenticator {
	return &Authenticator{required: apiKey != "", digest: sha256.Sum256([]byte(apiKey))}
}

// Required reports whether callers have to send a key.
func (a *Authenticator) Required() bool { return a.required }

// FromMetadata admits the caller of an RPC by its incoming metadata, or returns an UNAUTHENTICATED error that says what to send.
func (a *Authenticator) FromMetadata(md metadata.MD) (Identity, error) {
	if !a.required {
		return anonymous, nil
	}
	return a.admit(md.Get(AuthorizationHeader), md.Get(APIKeyHeader))
}

// FromHeader is FromMetadata for an HTTP request.
func (a *Authenticator) FromHeader(header http.Header) (Identity, error) {
	if !a.required {
		return anonymous, nil
	}
	return a.admit(header.Values(AuthorizationHeader), header.Values(APIKeyHeader))
}

func (a *Authenticator) admit(authorizations, keys []string) (Identity, error) {
	key, given, err := credential(authorizations, keys)
	if err != nil {
		return Identity{}, err
	}
	if !given {
		return Identity{}, unauthenticated(`no API key given; send it as "authorization: Bearer KEY" or "x-api-key: KEY"`)
	}
	// Comparing digests takes the same time for every key, whatever its length and its first wrong letter.
	digest := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(digest[:], a.digest[:]) != 1 {
		return Identity{}, unauthenticated("this server does not know the API key given; compare it with auth.api_key of the server's configuration")
	}
	return keyHolder, nil
}

func credential(authorizations, keys []string) (key string, given bool, err error) {
	if len(authorizations) > 0 {
		scheme, token, found := strings.Cut(authorizations[0], " ")
		if !found || !strings.EqualFold(scheme, "bearer") {
			return "", false, unauthenticated(`the authorization given is not of the form "Bearer KEY"`)
		}
		return strings.TrimSpace(token), true, nil
	}
	if len(keys) > 0 {
		return keys[0], true, nil
	}
	return "", false, nil
}

func unauthenticated(message string) error {
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "%s", message)
}
