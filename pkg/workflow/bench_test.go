package workflow

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkCheckEscalation(b *testing.B) {
	src, cat := readTestdata(b, "support-escalation.yaml"), testCatalog(b)
	b.ReportAllocs()
	for b.Loop() {
		if def, fs := Check("f", src, cat, nil); def == nil {
			b.Fatal(fs)
		}
	}
}

func BenchmarkRebuildEscalation(b *testing.B) {
	def := compiled(b, "support-escalation.yaml")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Rebuild(def.Proto, def.Tools); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTemplate evaluates two arguments of which one comes from a step's output: with a Scope of its own each time, and with one
// that has decoded it all before.
func BenchmarkTemplate(b *testing.B) {
	def := compiled(b, "support-escalation.yaml")
	refund, _ := def.Step("refund")
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := refund.Tool.Arguments.EvalJSON(escalationScope()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decoded", func(b *testing.B) {
		s := escalationScope()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := refund.Tool.Arguments.EvalJSON(s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	def := compiled(b, "support-escalation.yaml")
	guard := def.States["resolve"].Transitions[1].When
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if ok, err := guard.EvalBool(escalationScope()); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("decoded", func(b *testing.B) {
		s := escalationScope()
		b.ReportAllocs()
		for b.Loop() {
			if ok, err := guard.EvalBool(s); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	def := compiled(b, "support-escalation.yaml")
	raw := escalationScope().Input
	b.ReportAllocs()
	for b.Loop() {
		if err := def.Input.Validate(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckChain checks the longest chain of types that follow from each other, written in the order that is worst to infer.
func BenchmarkCheckChain(b *testing.B) {
	var text strings.Builder
	for i := MaxSteps - 1; i > 0; i-- {
		fmt.Fprintf(&text, "  - {id: s%d, set: {values: {x: steps.s%d.output.x + 1}}}\n", i, i-1)
	}
	src := []byte(small("steps:\n" + text.String() + "  - {id: s0, set: {values: {x: '1'}}}\n"))
	b.ReportAllocs()
	for b.Loop() {
		doc, fs := Load("f", src)
		c := newCompiler(doc.Definition, nil)
		if c.doc = doc; fs.HasErrors() {
			b.Fatal(fs)
		}
		if c.run(); c.findings.HasErrors() || c.outputs["states.main.steps[0]"] == nil {
			b.Fatal(c.findings)
		}
	}
}

// BenchmarkCheckMaps checks as many maps as there can be, with items of a type of their own.
func BenchmarkCheckMaps(b *testing.B) {
	var text strings.Builder
	for i := range MaxSteps / 2 {
		fmt.Fprintf(&text, "  - {id: m%d, map: {items: \"[{'a': %d}]\", max_items: 5, steps: [{id: s%d, set: {values: {x: item.a + index}}}]}}\n", i, i, i)
	}
	src := []byte(small("steps:\n" + text.String()))
	b.ReportAllocs()
	for b.Loop() {
		doc, _ := Load("f", src)
		c := newCompiler(doc.Definition, nil)
		c.doc = doc
		if c.run(); c.findings.HasErrors() {
			b.Fatal(c.findings)
		}
	}
}
