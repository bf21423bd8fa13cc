package core

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Token orders acquisitions, and with them the grants of one lock: a later holder's token is greater.
type Token struct {
	// Generation is that of the cluster's data; it grows when data is lost and begun anew, because revisions start again then.
	Generation uint64
	// Revision is that of the cluster when the acquisition was made.
	Revision uint64
}

// Compare is negative when t is the older one, positive when it is the newer one.
func (t Token) Compare(other Token) int {
	return cmp.Or(cmp.Compare(t.Generation, other.Generation), cmp.Compare(t.Revision, other.Revision))
}

// IsZero reports whether this is no token.
func (t Token) IsZero() bool { return t == Token{} }

// String returns the token so that the alphabetical order of texts is the order of tokens. Every uint64 fits into 20 digits.
func (t Token) String() string { return fmt.Sprintf("%020d.%020d", t.Generation, t.Revision) }

var tokenPattern = regexp.MustCompile(`^(\d{20})\.(\d{20})$`)

// ParseToken is the inverse of String; it is false for every other text.
func ParseToken(text string) (Token, bool) {
	parts := tokenPattern.FindStringSubmatch(text)
	if parts == nil {
		return Token{}, false
	}
	generation, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Token{}, false
	}
	revision, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return Token{}, false
	}
	return Token{Generation: generation, Revision: revision}, true
}
