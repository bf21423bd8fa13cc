package dryrun

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// formats are texts of the formats that JSON Schema names.
var formats = map[string]string{
	"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "duration": "PT1H", "email": "sample@example.com",
	"idn-email": "sample@example.com", "hostname": "example.com", "idn-hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
	"uri": "https://example.com/", "uri-reference": "https://example.com/", "iri": "https://example.com/", "iri-reference": "https://example.com/",
	"uri-template": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000", "json-pointer": "/sample", "regex": ".*",
}

// text is a text of the format or pattern, or the word "sample", in the length that is asked for.
func (m *sampler) text(s map[string]any) (any, bool) {
	least, most := count(s["minLength"], 0), count(s["maxLength"], maxSampleText)
	if m.cost += least / 100; least > most || least > maxSampleText {
		return nil, false
	}
	if format, ok := s["format"].(string); ok && formats[format] != "" {
		return formats[format], true
	}
	if pattern, ok := s["pattern"].(string); ok {
		return matching(pattern, least, most, m.nth)
	}
	out, end := "sample", ""
	if m.nth > 0 {
		end = strconv.Itoa(m.nth)
	}
	out += strings.Repeat("x", max(least-len(out)-len(end), 0)) + end
	return out[max(len(out)-most, 0):], true
}

// matching is a text that a pattern matches, of a length between two bounds.
func matching(pattern string, least, most, nth int) (any, bool) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	check, err := regexp.Compile(pattern)
	if err != nil {
		return nil, false
	}
	for _, stretch := range []int{0, 1, least, least + nth} {
		g := &patternText{stretch: stretch, nth: nth}
		g.add(tree)
		out := g.String()
		if !anchored(pattern) {
			out += strings.Repeat("a", max(least-utf8.RuneCountInString(out), 0))
		}
		if n := utf8.RuneCountInString(out); n >= least && n <= most && check.MatchString(out) {
			return out, true
		}
	}
	return nil, false
}

func anchored(pattern string) bool { return strings.HasSuffix(pattern, "$") }

// patternText writes a text that a pattern matches.
type patternText struct {
	strings.Builder
	// stretch is how often what may be repeated is repeated.
	stretch int
	nth     int
}

func (g *patternText) add(re *syntax.Regexp) {
	if g.Len() > maxSampleText {
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		g.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		g.WriteRune(g.oneOf(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		g.WriteByte('a')
	case syntax.OpCapture:
		g.add(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			g.add(sub)
		}
	case syntax.OpAlternate:
		g.add(re.Sub[g.nth%len(re.Sub)])
	case syntax.OpStar:
		g.repeat(re.Sub[0], g.stretch)
	case syntax.OpPlus:
		g.repeat(re.Sub[0], max(g.stretch, 1))
	case syntax.OpQuest:
		g.repeat(re.Sub[0], min(g.stretch, 1))
	case syntax.OpRepeat:
		n := max(re.Min, g.stretch)
		if re.Max >= 0 {
			n = min(n, re.Max)
		}
		g.repeat(re.Sub[0], n)
	}
}

func (g *patternText) repeat(re *syntax.Regexp, n int) {
	for range n {
		g.add(re)
	}
}

// oneOf is a plain character of a class, given as pairs of first and last.
func (g *patternText) oneOf(ranges []rune) rune {
	for _, wanted := range "a0A_- " {
		for i := 0; i+1 < len(ranges); i += 2 {
			if r := wanted + rune(g.nth%10); r >= ranges[i] && r <= ranges[i+1] && r < unicode.MaxASCII {
				return r
			}
		}
	}
	if len(ranges) == 0 {
		return 'a' // nothing matches; whoever checks the text will see
	}
	return ranges[0]
}
