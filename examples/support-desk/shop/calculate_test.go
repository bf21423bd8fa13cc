package shop_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// The wanted values are Python's: str(round(float(eval(expression)), 2)).
func TestCalculateIsPythonsArithmetic(t *testing.T) {
	for expression, want := range map[string]string{
		"2 + 2":                   "4.0",
		"3131.1 + 4777.75":        "7908.85",
		"652.61 + 473.43 - 1e0":   "!invalid characters",
		"135.24 - 153.23":         "-17.99",
		"-2 ** 2":                 "-4.0",
		"2 ** -1":                 "0.5",
		"2 ** 3 ** 2":             "512.0",
		"-7 // 2":                 "-4.0",
		"-7 / 2":                  "-3.5",
		"1.0 // 0.1":              "9.0",
		"2 * (3 + 4) * 5":         "70.0",
		"1 - - 1":                 "2.0",
		"2.675":                   "2.67", // the float lies below
		"0.125":                   "0.12", // ties to even
		"0.375":                   "0.38",
		"10 ** 16":                "1e+16",
		"10 ** 15":                "1000000000000000.0",
		"2 ** 53 + 1 - 2 ** 53":   "1.0", // whole numbers are exact
		"0 - 0.001":               "-0.0",
		".5 + 5.":                 "5.5",
		"1 / 0":                   "!division by zero",
		"1 // 0.0":                "!division by zero",
		"0 ** -1":                 "!negative power",
		"(0 - 8) ** 0.5":          "!real number",
		"007":                     "!syntax",
		"1 2":                     "!syntax",
		"(1":                      "!syntax",
		"1)":                      "!syntax",
		"":                        "!syntax",
		"1.2.3":                   "!syntax",
		"2 (3)":                   "!syntax",
		"* 2":                     "!syntax",
		"9 ** 9 ** 9":             "!too large",
		"10 ** 400":               "!too large",
		"__import__('os')":        "!invalid characters",
		strings.Repeat("(", 500):  "!nested",
		strings.Repeat("-", 500):  "!nested",
		strings.Repeat("1", 999):  "!too large",
		strings.Repeat("1+", 900): "!longer",
	} {
		got, err := shop.Calculate(expression)
		if says, bad := strings.CutPrefix(want, "!"); bad {
			if _, ok := shop.AsRefusal(err); !ok || !strings.Contains(err.Error(), says) {
				t.Errorf("%.40q: %q %v, want a refusal that says %q", expression, got, err, says)
			}
		} else if err != nil || got != want {
			t.Errorf("%.40q: %q %v, want %q", expression, got, err, want)
		}
	}
}

func FuzzCalculateNeverPanics(f *testing.F) {
	for _, s := range []string{"1+1", "((2", "2**-3//4", "..", "0**0", "1/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		got, err := shop.Calculate(expression)
		if _, ok := shop.AsRefusal(err); err != nil && !ok {
			t.Errorf("%q: %v is no refusal", expression, err)
		}
		if err == nil && got == "" {
			t.Errorf("%q: no value", expression)
		}
	})
}
