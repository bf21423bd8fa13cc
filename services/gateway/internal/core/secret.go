package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// SecretRef names a secret, and tells nothing of its value. The zero SecretRef names none.
type SecretRef struct{ Provider, Path string }

// String returns the reference as messages name it.
func (r SecretRef) String() string {
	return fmt.Sprintf("secret %q of provider %q", r.Path, r.Provider)
}

// Secret is a secret with its value, which Reveal alone gives away: everything that prints a Secret prints its name.
type Secret struct {
	Ref   SecretRef
	value string
}

// MinSecret is how long a secret is at least. A shorter one could not be kept out of what servers say without mutilating their words.
const MinSecret = 8

// NewSecret makes a secret. It fails for a value that no header could carry, and never tells it.
func NewSecret(ref SecretRef, value string) (Secret, error) {
	switch {
	case value == "":
		return Secret{}, errors.New("it is empty")
	case len(value) < MinSecret:
		return Secret{}, fmt.Errorf("it has fewer than %d characters", MinSecret)
	case strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) >= 0:
		return Secret{}, errors.New("it has characters that a bearer token cannot have; give visible ASCII without spaces, quotes and backslashes")
	}
	return Secret{Ref: ref, value: value}, nil
}

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether this is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

// String names the secret.
func (s Secret) String() string { return s.Ref.String() }

// GoString names the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue names the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON names the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

const hidden = "[secret]"

// Hide replaces the value wherever a text holds it: servers repeat in refusals what they were sent.
func (s Secret) Hide(text string) string {
	if s.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, s.value, hidden)
}

// escapes are the ways in which encoders of JSON write characters that need not be escaped.
var escapes = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`)

// hideJSON replaces the value in raw JSON, however an encoder has written it.
func (s Secret) hideJSON(raw []byte) []byte {
	if s.IsZero() {
		return raw
	}
	for _, written := range []string{s.value, escapes.Replace(s.value), strings.ReplaceAll(s.value, "/", `\/`)} {
		if bytes.Contains(raw, []byte(written)) {
			raw = bytes.ReplaceAll(raw, []byte(written), []byte(hidden))
		}
	}
	return raw
}

// SecretProblem says why a secret cannot be had, and how to mend it. It never holds a value.
type SecretProblem struct {
	Ref     SecretRef
	Problem string
	Mend    string
}

// Error implements error.
func (e *SecretProblem) Error() string { return fmt.Sprintf("%s: %s; %s", e.Ref, e.Problem, e.Mend) }

// Secrets looks secrets up.
type Secrets interface {
	// Secret returns the secret of that name as it is now. Its errors are *SecretProblem.
	Secret(ref SecretRef) (Secret, error)
}
