package shop

import (
	"math"
	"math/big"
	"strings"
)

// Limits of an expression: what a customer's sum needs and then some, and no way to burn a processor.
const (
	maxExpression = 1000 // characters
	maxDepth      = 100  // nested parentheses and signs
	maxBits       = 4096 // size of a whole number
)

// Calculate evaluates an arithmetic expression (+ - * / // ** and parentheses) as Python would, and
// writes the result rounded to the cent, as Python writes a float ("42.0"). Whole numbers stay exact
// until they are divided.
func Calculate(expression string) (string, error) {
	if strings.ContainsFunc(expression, notInExpression) {
		return "", refuse("invalid characters in expression")
	}
	if len(expression) > maxExpression {
		return "", refuse("the expression is longer than %d characters", maxExpression)
	}
	p := &parser{text: expression}
	v, err := p.sum()
	if err != nil {
		return "", err
	}
	if p.peek() != "" {
		return "", errSyntax
	}
	f, err := v.float()
	if err != nil {
		return "", err
	}
	return pythonFloat(round2(f)), nil
}

func notInExpression(r rune) bool { return !strings.ContainsRune("0123456789+-*/(). ", r) }

var errSyntax = refuse("invalid syntax")

// number is an exact whole number (whole set) or a float.
type number struct {
	whole *big.Int
	real  float64
}

func (n number) float() (float64, error) {
	if n.whole == nil {
		return n.real, nil
	}
	f, _ := new(big.Float).SetInt(n.whole).Float64()
	if math.IsInf(f, 0) {
		return 0, refuse("int too large to convert to float")
	}
	return f, nil
}

func (n number) isZero() bool {
	if n.whole != nil {
		return n.whole.Sign() == 0
	}
	return n.real == 0
}

func whole(i *big.Int) (number, error) {
	if i.BitLen() > maxBits {
		return number{}, refuse("the result is too large")
	}
	return number{whole: i}, nil
}

// apply works out one binary operator.
func apply(op string, a, b number) (number, error) {
	if (op == "/" || op == "//") && b.isZero() {
		return number{}, refuse("division by zero")
	}
	if op == "**" {
		return power(a, b)
	}
	if a.whole != nil && b.whole != nil && op != "/" {
		return applyWhole(op, a.whole, b.whole)
	}
	if a.whole != nil && b.whole != nil {
		f, _ := new(big.Rat).SetFrac(a.whole, b.whole).Float64()
		if math.IsInf(f, 0) {
			return number{}, refuse("integer division result too large for a float")
		}
		return number{real: f}, nil
	}
	x, err := a.float()
	if err != nil {
		return number{}, err
	}
	y, err := b.float()
	if err != nil {
		return number{}, err
	}
	switch op {
	case "+":
		return number{real: x + y}, nil
	case "-":
		return number{real: x - y}, nil
	case "*":
		return number{real: x * y}, nil
	case "/":
		return number{real: x / y}, nil
	default:
		return number{real: floorDiv(x, y)}, nil
	}
}

// floorDiv is Python's // of floats: the floor of the exact quotient, not of the rounded one.
func floorDiv(x, y float64) float64 {
	mod := math.Mod(x, y)
	div := (x - mod) / y
	if mod != 0 && (y < 0) != (mod < 0) {
		div--
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return floor
}

func applyWhole(op string, a, b *big.Int) (number, error) {
	switch op {
	case "+":
		return whole(new(big.Int).Add(a, b))
	case "-":
		return whole(new(big.Int).Sub(a, b))
	case "*":
		return whole(new(big.Int).Mul(a, b))
	default: // "//" rounds towards minus infinity
		q, r := new(big.Int).QuoRem(a, b, new(big.Int))
		if r.Sign() != 0 && r.Sign() != b.Sign() {
			q.Sub(q, big.NewInt(1))
		}
		return whole(q)
	}
}

func power(a, b number) (number, error) {
	if a.isZero() && (b.whole != nil && b.whole.Sign() < 0 || b.whole == nil && b.real < 0) {
		return number{}, refuse("0.0 cannot be raised to a negative power")
	}
	if a.whole != nil && b.whole != nil && b.whole.Sign() >= 0 {
		if a.whole.BitLen() > 1 && (!b.whole.IsInt64() || b.whole.Int64() > maxBits) {
			return number{}, refuse("the result is too large")
		}
		if a.whole.BitLen() > 1 && int64(a.whole.BitLen()-1)*b.whole.Int64() > maxBits {
			return number{}, refuse("the result is too large")
		}
		return whole(new(big.Int).Exp(a.whole, b.whole, nil))
	}
	x, err := a.float()
	if err != nil {
		return number{}, err
	}
	y, err := b.float()
	if err != nil {
		return number{}, err
	}
	r := math.Pow(x, y)
	if math.IsNaN(r) {
		return number{}, refuse("the result is not a real number")
	}
	if math.IsInf(r, 0) {
		return number{}, refuse("numerical result out of range")
	}
	return number{real: r}, nil
}
