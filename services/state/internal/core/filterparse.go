package core

import (
	"fmt"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// maxFilterDepth bounds how deep parentheses and negations may be nested, maxFilterParts how many comparisons there may be.
const (
	maxFilterDepth = 32
	maxFilterParts = 100
)

// ParseFilter reads a condition on runs in the language of AIP-160: comparisons joined by AND, OR and NOT (or "-") and parentheses. As
// AIP-160 has it, OR binds tighter than AND, and two conditions side by side are joined by AND. Fields are those of Field; text may end in
// "*" to match a prefix; times are RFC 3339. Empty text is the nil filter. It refuses with FILTER_INVALID, naming the position.
func ParseFilter(text string) (Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &filterParser{tokens: scanFilter(text)}
	f, refusal := p.expression(0)
	if refusal == nil && p.peek().kind != tokenEnd {
		refusal = p.unexpected("AND, OR or the end")
	}
	if refusal != nil {
		return nil, refusal
	}
	return f, nil
}

// filterParser goes through the tokens once, from left to right.
type filterParser struct {
	tokens []token
	next   int
	parts  int
}

func (p *filterParser) peek() token { return p.tokens[p.next] }

func (p *filterParser) keyword(word string) bool {
	if t := p.peek(); t.kind == tokenText && t.text == word {
		p.next++
		return true
	}
	return false
}

// filterError is a refusal that names a position, counted in characters from 1.
func filterError(t token, format string, args ...any) *Refusal {
	problem := fmt.Sprintf(format, args...)
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, "filter, character %d: %s", t.position, problem)
	r.Field = "filter"
	r.Metadata = map[string]string{"position": fmt.Sprint(t.position)}
	return r
}

func (p *filterParser) unexpected(wanted string) *Refusal {
	t := p.peek()
	switch {
	case t.kind == tokenBad:
		return filterError(t, "%s", t.text)
	case t.kind == tokenEnd:
		return filterError(t, "%s is missing here", wanted)
	case t.kind == tokenText && isKeyword(strings.ToUpper(t.text)):
		return filterError(t, "%q stands where %s is expected; AND, OR and NOT are written in capitals", t.text, wanted)
	}
	return filterError(t, "%q stands where %s is expected", t.text, wanted)
}

func isKeyword(word string) bool { return word == "AND" || word == "OR" || word == "NOT" }

// expression = factor { ["AND"] factor } .
func (p *filterParser) expression(depth int) (Filter, *Refusal) {
	var parts And
	for {
		part, refusal := p.factor(depth)
		if refusal != nil {
			return nil, refusal
		}
		parts = append(parts, part)
		if p.keyword("AND") {
			continue
		}
		if t := p.peek(); t.kind == tokenEnd || t.kind == tokenClose || t.kind == tokenBad {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return parts, nil
}

// factor = term { "OR" term } .
func (p *filterParser) factor(depth int) (Filter, *Refusal) {
	var parts Or
	for {
		part, refusal := p.term(depth)
		if refusal != nil {
			return nil, refusal
		}
		parts = append(parts, part)
		if !p.keyword("OR") {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return parts, nil
}

// term = [ "NOT" | "-" ] ( "(" expression ")" | comparison ) .
func (p *filterParser) term(depth int) (Filter, *Refusal) {
	if depth > maxFilterDepth {
		return nil, filterError(p.peek(), "more than %d levels of parentheses or NOT", maxFilterDepth)
	}
	if p.keyword("NOT") || p.accept(tokenMinus) {
		part, refusal := p.term(depth + 1)
		if refusal != nil {
			return nil, refusal
		}
		return Not{part}, nil
	}
	if !p.accept(tokenOpen) {
		return p.comparison()
	}
	part, refusal := p.expression(depth + 1)
	if refusal == nil && !p.accept(tokenClose) {
		refusal = p.unexpected(`")"`)
	}
	return part, refusal
}

func (p *filterParser) accept(kind tokenKind) bool {
	if p.peek().kind == kind {
		p.next++
		return true
	}
	return false
}

// comparison = field operator value .
func (p *filterParser) comparison() (Filter, *Refusal) {
	name := p.peek()
	if name.kind != tokenText || isKeyword(strings.ToUpper(name.text)) {
		return nil, p.unexpected("a field")
	}
	p.next++
	kind, known := fieldKinds[Field(name.text)]
	if !known {
		r := filterError(name, "%q is no field of a run; fields are %s", name.text, strings.Join(fieldNames, ", "))
		r.Want, r.Have = name.text, fieldNames
		return nil, r
	}
	operator := p.peek()
	if operator.kind != tokenOperator {
		return nil, p.unexpected("a comparison (=, !=, <, <=, >, >=)")
	}
	p.next++
	value := p.peek()
	if (value.kind != tokenText || isKeyword(value.text)) && value.kind != tokenQuoted {
		return nil, p.unexpected("a value")
	}
	p.next++
	if p.parts++; p.parts > maxFilterParts {
		return nil, filterError(name, "more than %d comparisons", maxFilterParts)
	}
	c := Comparison{Field: Field(name.text), Operator: Operator(operator.text)}
	refusal := kind(&c, operator, value)
	return c, refusal
}

// fieldKinds says how the value of each field is read.
var fieldKinds = map[Field]func(c *Comparison, operator, value token) *Refusal{
	FieldWorkflow: readText, FieldVersion: readText, FieldState: readText,
	FieldStatus: readStatus, FieldOutcome: readOutcome,
	FieldStartTime: readTime, FieldUpdateTime: readTime,
	FieldParent: readText, FieldRoot: readText, FieldPaused: readBool,
}

var fieldNames = []string{
	"workflow", "version", "state", "status", "outcome", "start_time", "update_time", "parent", "root", "paused",
}

func readText(c *Comparison, _, value token) *Refusal {
	c.Text = value.text
	prefix, star := strings.CutSuffix(value.text, "*")
	if star && (c.Operator == OpEqual || c.Operator == OpNotEqual) {
		c.Text, c.Prefix = prefix, true
	}
	return nil
}

func readStatus(c *Comparison, operator, value token) *Refusal {
	return readEnum(c, operator, value, "RUN_STATUS_", workflowv1.RunStatus_name, workflowv1.RunStatus_value)
}

func readOutcome(c *Comparison, operator, value token) *Refusal {
	return readEnum(c, operator, value, "OUTCOME_", workflowv1.Outcome_name, workflowv1.Outcome_value)
}

// readEnum reads the name of an enum's value, with or without the enum's prefix.
func readEnum(c *Comparison, operator, value token, prefix string, names map[int32]string, numbers map[string]int32) *Refusal {
	if c.Operator != OpEqual && c.Operator != OpNotEqual {
		return filterError(operator, "%s has no order; compare it with = or !=", c.Field)
	}
	number, known := numbers[prefix+strings.TrimPrefix(value.text, prefix)]
	if !known {
		var have []string
		for i := range int32(len(names)) {
			have = append(have, strings.TrimPrefix(names[i], prefix))
		}
		r := filterError(value, "%q is no %s of a run; there are %s", value.text, c.Field, strings.Join(have, ", "))
		r.Want, r.Have = value.text, have
		return r
	}
	c.Number = int64(number)
	return nil
}

func readTime(c *Comparison, _, value token) *Refusal {
	t, err := time.Parse(time.RFC3339Nano, value.text)
	if err != nil {
		return filterError(value, `%q is no time; write it as "2026-11-22T09:30:00Z"`, value.text)
	}
	c.Number = t.UnixNano()
	return nil
}

func readBool(c *Comparison, operator, value token) *Refusal {
	if c.Operator != OpEqual && c.Operator != OpNotEqual {
		return filterError(operator, "%s has no order; compare it with = or !=", c.Field)
	}
	switch value.text {
	case "true":
		c.Number = 1
	case "false":
	default:
		return filterError(value, "%q is neither true nor false", value.text)
	}
	return nil
}
