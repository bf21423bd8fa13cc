package core

import "strings"

// tokenKind says what a token of a filter is.
type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenText
	tokenQuoted
	tokenOperator
	tokenOpen
	tokenClose
	tokenMinus
	// tokenBad is text that is no token; its text is the problem.
	tokenBad
)

// token is a piece of a filter; position counts its first character from 1.
type token struct {
	kind     tokenKind
	text     string
	position int
}

// scanFilter cuts a filter into tokens. The last is tokenEnd or tokenBad.
func scanFilter(text string) []token {
	var tokens []token
	s := []rune(text)
	for i := 0; i < len(s); {
		t, n := scanToken(s[i:])
		if n == 0 { // a blank
			i++
			continue
		}
		t.position = i + 1
		tokens = append(tokens, t)
		if t.kind == tokenBad {
			return tokens
		}
		i += n
	}
	return append(tokens, token{kind: tokenEnd, position: len(s) + 1})
}

// scanToken reads the token that s begins with, and how many characters it has: 0 for a blank.
func scanToken(s []rune) (token, int) {
	switch r := s[0]; {
	case strings.ContainsRune(" \t\r\n", r):
		return token{}, 0
	case r == '(':
		return token{kind: tokenOpen, text: "("}, 1
	case r == ')':
		return token{kind: tokenClose, text: ")"}, 1
	case r == '-':
		return token{kind: tokenMinus, text: "-"}, 1
	case r == '"' || r == '\'':
		return scanQuoted(s)
	case strings.ContainsRune("=!<>", r):
		return scanOperator(s)
	case r == ':':
		return token{kind: tokenBad, text: `":" is not offered; compare with =, and end text in * to match a prefix`}, 1
	}
	n := 1
	for n < len(s) && !strings.ContainsRune(" \t\r\n()\"'=!<>", s[n]) {
		n++
	}
	return token{kind: tokenText, text: string(s[:n])}, n
}

func scanQuoted(s []rune) (token, int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return token{kind: tokenQuoted, text: b.String()}, i + 1
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteRune(s[i])
		default:
			b.WriteRune(s[i])
		}
	}
	return token{kind: tokenBad, text: "the quotation that begins here does not end"}, len(s)
}

func scanOperator(s []rune) (token, int) {
	n := 1
	if len(s) > 1 && s[1] == '=' {
		n = 2
	}
	text := string(s[:n])
	switch Operator(text) {
	case OpEqual, OpNotEqual, OpLess, OpLessOrEqual, OpGreater, OpGreaterOrEqual:
		return token{kind: tokenOperator, text: text}, n
	}
	return token{kind: tokenBad, text: `"` + text + `" is no comparison; there are =, !=, <, <=, > and >=`}, n
}
