package workflow

import "testing"

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
