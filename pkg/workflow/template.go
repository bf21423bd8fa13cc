package workflow

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// Template is a compiled JSON value whose strings may hold `${ CEL }`. It is immutable.
type Template struct {
	// parts alternate between finished JSON and expressions; a constant has one part.
	parts []templatePart
	// size is a guess of the result's size.
	size  int
	reads []string
	// broken tells that a part was refused; the definition is refused with it.
	broken bool
}

// templatePart is finished JSON, or an expression whose value stands by itself or as text inside a string.
type templatePart struct {
	json []byte
	expr *Expr
	text bool
}

// EvalJSON returns the value as deterministic JSON: sorted keys, integers as integers, doubles in their shortest form. Errors are *EvalError.
// The caller must not change the result: a constant template returns the same bytes each time.
func (t *Template) EvalJSON(s *Scope) (json.RawMessage, error) {
	if t.Constant() {
		return t.parts[0].json, nil
	}
	out := make([]byte, 0, t.size)
	var err error
	for i := range t.parts {
		switch p := &t.parts[i]; {
		case p.expr == nil:
			out = append(out, p.json...)
		case p.text:
			out, err = p.expr.appendText(out, s)
		default:
			out, err = p.expr.appendJSON(out, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Reads are the ids of the steps whose output the template may read, sorted.
func (t *Template) Reads() []string {
	if t == nil {
		return nil
	}
	return t.reads
}

// Constant reports whether the template holds no expression.
func (t *Template) Constant() bool { return !t.broken && len(t.parts) == 1 && t.parts[0].expr == nil }

// exprs are the expressions of the template.
func (t *Template) exprs() []*Expr {
	var out []*Expr
	if t != nil {
		for _, p := range t.parts {
			if p.expr != nil {
				out = append(out, p.expr)
			}
		}
	}
	return out
}

// templateBuilder compiles a value into parts.
type templateBuilder struct {
	// compile compiles one expression; nil: it has been reported.
	compile func(source, path string, offset int) *Expr
	// fault reports a text that cannot be read.
	fault func(path string, offset int, message, mend string)
	parts []templatePart
}

func (b *templateBuilder) build() *Template {
	t := &Template{parts: b.parts, size: 32}
	for _, p := range b.parts {
		t.size += len(p.json)
		if p.expr != nil {
			t.size += 64
			t.reads = append(t.reads, p.expr.reads...)
		}
	}
	t.reads = mergeReads(t.reads)
	if len(t.parts) == 1 {
		// Capped, so that a caller who appends does not write into the next result.
		t.parts[0].json = t.parts[0].json[:len(t.parts[0].json):len(t.parts[0].json)]
	}
	return t
}

// literal appends finished JSON.
func (b *templateBuilder) literal(text []byte) {
	if n := len(b.parts); n > 0 && b.parts[n-1].expr == nil {
		b.parts[n-1].json = append(b.parts[n-1].json, text...)
		return
	}
	b.parts = append(b.parts, templatePart{json: text})
}

func (b *templateBuilder) object(s *structpb.Struct, path string) {
	b.literal([]byte{'{'})
	for i, name := range sortedKeys(s.GetFields()) {
		if i > 0 {
			b.literal([]byte{','})
		}
		b.literal(append(appendText(nil, name), ':'))
		b.value(s.GetFields()[name], fieldPath(path, name))
	}
	b.literal([]byte{'}'})
}

func (b *templateBuilder) value(v *structpb.Value, path string) {
	switch x := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		b.object(x.StructValue, path)
	case *structpb.Value_ListValue:
		b.literal([]byte{'['})
		for i, item := range x.ListValue.GetValues() {
			if i > 0 {
				b.literal([]byte{','})
			}
			b.value(item, indexPath(path, i))
		}
		b.literal([]byte{']'})
	case *structpb.Value_StringValue:
		b.text(x.StringValue, path)
	case *structpb.Value_NumberValue:
		number, err := appendDouble(nil, x.NumberValue)
		if err != nil {
			b.fault(path, 0, err.Error(), "write a finite number")
			number = []byte("null")
		}
		b.literal(number)
	case *structpb.Value_BoolValue:
		if x.BoolValue {
			b.literal([]byte("true"))
		} else {
			b.literal([]byte("false"))
		}
	default:
		b.literal([]byte("null"))
	}
}

// text compiles a string: wholly one `${ … }` it keeps the type of the value, otherwise it is text.
func (b *templateBuilder) text(s, path string) {
	pieces := b.split(s, path)
	if len(pieces) == 1 && pieces[0].isExpr {
		if e := b.compile(pieces[0].text, path, pieces[0].offset); e != nil {
			b.parts = append(b.parts, templatePart{expr: e})
		}
		return
	}
	b.literal([]byte{'"'})
	for _, p := range pieces {
		if !p.isExpr {
			b.literal(appendTextPart(nil, p.text))
		} else if e := b.compile(p.text, path, p.offset); e != nil {
			b.parts = append(b.parts, templatePart{expr: e, text: true})
		}
	}
	b.literal([]byte{'"'})
}

// textPiece is literal text or the inside of a `${ … }`.
type textPiece struct {
	text   string
	isExpr bool
	// offset of the text in the string, in characters.
	offset int
}

// split takes a string apart. `$${` is a literal `${`.
func (b *templateBuilder) split(s, path string) []textPiece {
	var out []textPiece
	plain := func(text string) {
		if n := len(out); n > 0 && !out[n-1].isExpr {
			out[n-1].text += text
		} else if text != "" {
			out = append(out, textPiece{text: text})
		}
	}
	for rest := s; rest != ""; {
		at := strings.Index(rest, "${")
		if at < 0 {
			plain(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' {
			plain(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		plain(rest[:at])
		start := len(s) - len(rest) + at
		inside, ok := expressionEnd(rest[at+2:])
		if !ok {
			b.fault(path, len([]rune(s[:start])), "`${` is not closed", "close it with `}`, or write `$${` for the characters themselves")
			break
		}
		out = append(out, textPiece{text: rest[at+2 : at+2+inside], isExpr: true, offset: len([]rune(s[:start+2]))})
		rest = rest[at+2+inside+1:]
	}
	return out
}

// expressionEnd finds the brace that closes an expression, past braces and strings inside it.
func expressionEnd(s string) (int, bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i, true
			}
			depth--
		case '"', '\'':
			raw := i > 0 && (s[i-1] == 'r' || s[i-1] == 'R')
			i = literalEnd(s, i, raw)
		}
	}
	return 0, false
}

// literalEnd returns the offset of the last character of the string literal that begins at i.
func literalEnd(s string, i int, raw bool) int {
	quote := s[i : i+1]
	if strings.HasPrefix(s[i:], quote+quote+quote) {
		quote = quote + quote + quote
	}
	for i += len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote) - 1
		}
	}
	return len(s)
}
