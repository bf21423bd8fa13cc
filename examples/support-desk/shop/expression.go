package shop

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// parser reads an arithmetic expression by Python's precedence and works it out as it goes.
type parser struct {
	text  string
	at    int
	depth int
}

// peek gives the operator or parenthesis at the cursor, "0" before a number, "" at the end.
func (p *parser) peek() string {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	rest := p.text[p.at:]
	switch {
	case rest == "":
		return ""
	case strings.HasPrefix(rest, "**"), strings.HasPrefix(rest, "//"):
		return rest[:2]
	case strings.ContainsRune("+-*/()", rune(rest[0])):
		return rest[:1]
	default:
		return "0"
	}
}

// take consumes the token that peek gave.
func (p *parser) take(token string) { p.at += len(token) }

// deeper guards the recursion.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return refuse("the expression is nested too deeply")
	}
	return nil
}

func (p *parser) sum() (number, error) {
	return p.chain(p.product, "+", "-")
}

func (p *parser) product() (number, error) {
	return p.chain(p.signed, "*", "/", "//")
}

// chain reads operand (op operand)*, from left to right.
func (p *parser) chain(operand func() (number, error), ops ...string) (number, error) {
	left, err := operand()
	for err == nil {
		op := p.peek()
		if !slices.Contains(ops, op) {
			return left, nil
		}
		p.take(op)
		var right number
		if right, err = operand(); err == nil {
			left, err = apply(op, left, right)
		}
	}
	return number{}, err
}

func (p *parser) signed() (number, error) {
	sign := p.peek()
	if sign != "+" && sign != "-" {
		return p.raised()
	}
	p.take(sign)
	if err := p.deeper(); err != nil {
		return number{}, err
	}
	defer func() { p.depth-- }()
	v, err := p.signed()
	if err != nil || sign == "+" {
		return v, err
	}
	if v.whole != nil {
		return number{whole: new(big.Int).Neg(v.whole)}, nil
	}
	return number{real: -v.real}, nil
}

// raised reads atom ['**' signed]: the power binds tighter than a sign on its left, looser than one
// on its right.
func (p *parser) raised() (number, error) {
	base, err := p.atom()
	if err != nil || p.peek() != "**" {
		return base, err
	}
	p.take("**")
	if err := p.deeper(); err != nil {
		return number{}, err
	}
	defer func() { p.depth-- }()
	exponent, err := p.signed()
	if err != nil {
		return number{}, err
	}
	return apply("**", base, exponent)
}

func (p *parser) atom() (number, error) {
	switch p.peek() {
	case "0":
		return p.literal()
	case "(":
		p.take("(")
		if err := p.deeper(); err != nil {
			return number{}, err
		}
		defer func() { p.depth-- }()
		v, err := p.sum()
		if err != nil {
			return number{}, err
		}
		if p.peek() != ")" {
			return number{}, errSyntax
		}
		p.take(")")
		return v, nil
	default:
		return number{}, errSyntax
	}
}

func (p *parser) literal() (number, error) {
	end := p.at
	for end < len(p.text) && (p.text[end] == '.' || '0' <= p.text[end] && p.text[end] <= '9') {
		end++
	}
	word := p.text[p.at:end]
	p.at = end
	if strings.Contains(word, ".") {
		f, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return number{}, errSyntax
		}
		return number{real: f}, nil
	}
	if strings.HasPrefix(word, "0") && strings.Trim(word, "0") != "" {
		return number{}, errSyntax // Python refuses leading zeros
	}
	i, ok := new(big.Int).SetString(word, 10)
	if !ok {
		return number{}, errSyntax
	}
	return whole(i)
}

// pythonFloat writes a float as Python's repr does: shortest digits, ".0" after a whole number,
// an exponent below 1e-4 and from 1e16.
func pythonFloat(f float64) string {
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, ok := strings.Cut(scientific, "e")
	if !ok { // Inf, NaN
		return strings.ToLower(strings.TrimPrefix(scientific, "+"))
	}
	if e, err := strconv.Atoi(exponent); err != nil || e < -4 || e >= 16 {
		return mantissa + "e" + exponent
	}
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	return plain
}
