package desk_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// prober asks probes of a shop.
type prober struct {
	t        *testing.T
	shop     *shop.Shop
	probes   map[string]*desk.Probe
	programs map[string]cel.Program
}

func newProber(t *testing.T, s *shop.Shop) *prober {
	t.Helper()
	env, err := cel.NewEnv(cel.Variable("output", cel.DynType), cel.Variable("self", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		t.Fatal(err)
	}
	p := &prober{t: t, shop: s, probes: map[string]*desk.Probe{}, programs: map[string]cel.Program{}}
	for _, tool := range desk.Tools() {
		probe := tool.Probe()
		if probe == nil {
			continue
		}
		ast, issues := env.Compile(probe.Happened)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", tool.Name, issues.Err())
		}
		program, err := env.Program(ast)
		if err != nil {
			t.Fatal(err)
		}
		p.probes[tool.Name], p.programs[tool.Name] = probe, program
	}
	return p
}

// ask gives whether the call happened, by its probe, and what the probe saw.
func (p *prober) ask(call cases.Call) (happened bool, seen string) {
	p.t.Helper()
	var args map[string]any
	if err := json.Unmarshal(call.Arguments, &args); err != nil {
		p.t.Fatal(err)
	}
	probe := p.probes[call.Tool]
	ask := map[string]any{}
	for name, from := range probe.Arguments {
		ask[name] = args[strings.TrimSuffix(strings.TrimPrefix(from, "${self.arguments."), "}")]
	}
	body, err := json.Marshal(ask)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := p.shop.Call(context.Background(), probe.Tool, body, shop.Caller{})
	if err != nil {
		p.t.Fatal(err)
	}
	var output any
	if err := json.Unmarshal([]byte(r.Text), &output); err != nil {
		p.t.Fatal(err)
	}
	out, _, err := p.programs[call.Tool].Eval(map[string]any{"output": output, "self": map[string]any{"arguments": args}})
	if err != nil {
		p.t.Fatalf("%s: %v", call.Tool, err)
	}
	return out.Value().(bool), r.Text
}

// Over every recorded write: the probe says no before it and after a refusal, and yes after it, with
// the very answer that the write gave.
func TestProbesTellWhetherARecordedWriteHappened(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	set, err := cases.Load(tauDir(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProber(t, r.shop)
	probed := map[string]int{}
	for _, c := range set.Cases {
		if err := r.shop.Reset(); err != nil {
			t.Fatal(err)
		}
		for n, call := range c.Calls {
			if p.probes[call.Tool] == nil {
				_, _ = r.shop.Call(t.Context(), call.Tool, call.Arguments, shop.Caller{})
				continue
			}
			probed[call.Tool]++
			if happened, seen := p.ask(call); happened {
				t.Errorf("%s call %d %s: happened before it was made: %s", c.ID, n, call.Tool, seen)
			}
			result, err := r.shop.Call(t.Context(), call.Tool, call.Arguments, shop.Caller{})
			happened, seen := p.ask(call)
			if happened != (err == nil) {
				t.Errorf("%s call %d %s: happened is %v after %v", c.ID, n, call.Tool, happened, err)
			}
			if err == nil && !check.Equal([]byte(result.Text), []byte(seen)) {
				t.Errorf("%s call %d %s: the probe saw another answer than the call gave", c.ID, n, call.Tool)
			}
		}
	}
	if len(probed) != 7 {
		t.Errorf("the cases make %v, want all seven probed retail writes", probed)
	}
}

// What the probes leave: the writes that a person must decide about, or a key.
func TestEveryWriteHasAProbeAKeyOrAPerson(t *testing.T) {
	var person []string
	for _, tool := range desk.Tools() {
		if (tool.Effect == desk.Write || tool.Effect == desk.Irreversible) && tool.Probe() == nil && tool.KeyArgument == "" {
			person = append(person, tool.Name)
		}
		if tool.Effect == desk.Read && tool.Probe() != nil {
			t.Errorf("%s only looks and has a probe", tool.Name)
		}
	}
	if strings.Join(person, " ") != "transfer_to_human_agents" {
		t.Errorf("left to a person: %v", person)
	}
}
