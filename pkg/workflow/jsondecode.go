package workflow

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// errNotJSON says that recorded data is not JSON.
var errNotJSON = errors.New("not JSON")

// decodeJSON reads one JSON value as its shape says. Where the value is not what the shape says, it is read as it is: checking is the
// business of Schema.Validate.
func decodeJSON(raw []byte, s *shape) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	r := &jsonDecoder{src: raw}
	v, ok := r.value(s, 0)
	r.space()
	if !ok || r.at != len(r.src) {
		return nil, errNotJSON
	}
	return v, nil
}

// jsonDecoder reads JSON straight into the values that CEL uses. Going through encoding/json would decode numbers twice.
type jsonDecoder struct {
	src []byte
	at  int
}

// maxJSONDepth is encoding/json's own.
const maxJSONDepth = 10_000

func (r *jsonDecoder) space() {
	for r.at < len(r.src) {
		switch r.src[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// peek skips blanks and returns the next byte, 0 at the end.
func (r *jsonDecoder) peek() byte {
	r.space()
	if r.at >= len(r.src) {
		return 0
	}
	return r.src[r.at]
}

func (r *jsonDecoder) value(s *shape, depth int) (any, bool) {
	if depth > maxJSONDepth {
		return nil, false
	}
	switch c := r.peek(); c {
	case '{':
		return r.object(s, depth)
	case '[':
		return r.array(s, depth)
	case '"':
		return r.text()
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	default:
		return r.number(s)
	}
}

func (r *jsonDecoder) word(w string) bool {
	if len(r.src)-r.at < len(w) || string(r.src[r.at:r.at+len(w)]) != w {
		return false
	}
	r.at += len(w)
	return true
}

func (r *jsonDecoder) object(s *shape, depth int) (any, bool) {
	r.at++
	out := map[string]any{}
	if r.peek() == '}' {
		r.at++
		return out, true
	}
	for {
		if r.peek() != '"' {
			return nil, false
		}
		name, ok := r.text()
		if !ok || r.peek() != ':' {
			return nil, false
		}
		r.at++
		v, ok := r.value(s.member(name), depth+1)
		if !ok {
			return nil, false
		}
		out[name] = v
		switch r.peek() {
		case ',':
			r.at++
		case '}':
			r.at++
			return out, true
		default:
			return nil, false
		}
	}
}

// member is the shape of a member of an object.
func (s *shape) member(name string) *shape {
	if f := s.fields[name]; f != nil {
		return f
	}
	if s.elem != nil && s.kind != kindList {
		return s.elem
	}
	return anyShape
}

func (r *jsonDecoder) array(s *shape, depth int) (any, bool) {
	r.at++
	elem := anyShape
	if s.kind == kindList && s.elem != nil {
		elem = s.elem
	}
	out := []any{}
	if r.peek() == ']' {
		r.at++
		return out, true
	}
	for {
		v, ok := r.value(elem, depth+1)
		if !ok {
			return nil, false
		}
		out = append(out, v)
		switch r.peek() {
		case ',':
			r.at++
		case ']':
			r.at++
			return out, true
		default:
			return nil, false
		}
	}
}

// text reads a string; one with escapes or bad UTF-8 is left to encoding/json.
func (r *jsonDecoder) text() (string, bool) {
	start := r.at
	r.at++
	plain := true
	for r.at < len(r.src) {
		switch c := r.src[r.at]; {
		case c == '"':
			r.at++
			if plain {
				return string(r.src[start+1 : r.at-1]), true
			}
			var s string
			err := json.Unmarshal(r.src[start:r.at], &s)
			return s, err == nil
		case c == '\\':
			plain = false
			r.at += 2
		case c < ' ':
			return "", false
		case c < utf8.RuneSelf:
			r.at++
		default:
			char, n := utf8.DecodeRune(r.src[r.at:])
			plain = plain && (char != utf8.RuneError || n > 1)
			r.at += n
		}
	}
	return "", false
}

func (r *jsonDecoder) number(s *shape) (any, bool) {
	start := r.at
	whole, ok := r.scanNumber()
	if !ok {
		return nil, false
	}
	text := string(r.src[start:r.at])
	if whole && s.kind != kindDouble {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false
	}
	if s.kind == kindInt && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return int64(f), true
	}
	return f, true
}

// scanNumber moves over a number of JSON's grammar and tells whether it has neither fraction nor exponent.
func (r *jsonDecoder) scanNumber() (whole, ok bool) {
	if r.at < len(r.src) && r.src[r.at] == '-' {
		r.at++
	}
	first := r.at
	if n := r.digits(); n == 0 || n > 1 && r.src[first] == '0' {
		return false, false
	}
	whole = true
	if r.at < len(r.src) && r.src[r.at] == '.' {
		whole = false
		r.at++
		if r.digits() == 0 {
			return false, false
		}
	}
	if r.at < len(r.src) && (r.src[r.at] == 'e' || r.src[r.at] == 'E') {
		whole = false
		r.at++
		if r.at < len(r.src) && (r.src[r.at] == '+' || r.src[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return false, false
		}
	}
	return whole, true
}

func (r *jsonDecoder) digits() int {
	start := r.at
	for r.at < len(r.src) && r.src[r.at] >= '0' && r.src[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}
