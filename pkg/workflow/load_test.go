package workflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// small is a definition around some steps, of which the first line is line 3.
func small(steps string) string {
	return "api_version: signalbox/v1\nmetadata: {name: example, version: 1.0.0}\n" + steps
}

func TestLoadTakesBothSpellingsAndBothFormats(t *testing.T) {
	yaml := small(`
steps:
  - id: say
    if: "true"
    human: {roles: [a], decisions: [x, y], due: 1h30m, exclude_requester: true}
    attempt_timeout: 0.5s
    on_error:
      handlers:
        - {types: ["*"], retry: {max_attempts: 3, backoff_coefficient: 1.5, jitter: full, honor_retry_after: false}, skip: true}
`)
	// Tabs, escapes and camel case: what YAML alone would refuse or read otherwise.
	jsonText := "{\n\t\"apiVersion\": \"signalbox\\/v1\",\n\t\"metadata\": {\"name\": \"example\", \"version\": \"1.0.0\"},\n" + `
	"steps": [{"id": "say", "condition": "true", "attemptTimeout": "500ms",
	"human": {"roles": ["a"], "decisions": ["x", "y"], "due": "90m", "excludeRequester": true},
	"onError": {"handlers": [{"types": ["*"], "skip": true, "retry": {"maxAttempts": 3.0, "backoffCoefficient": 1.5, "jitter": "JITTER_FULL", "honorRetryAfter": false}}]}}]}`
	a, fs := Load("a.yaml", []byte(yaml))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	b, fs := Load("b.json", []byte(jsonText))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	if diff := cmp.Diff(a.Definition, b.Definition, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	step := a.Definition.GetSteps()[0]
	if got := step.GetAttemptTimeout().AsDuration(); got != 500*time.Millisecond {
		t.Errorf("attempt_timeout is %v", got)
	}
	if h := step.GetOnError().GetHandlers()[0]; h.GetRetry().GetHonorRetryAfter() || h.GetRetry().HonorRetryAfter == nil {
		t.Errorf("a given false is not an unset field: %v", h)
	}
}

func TestLoadTakesEveryEnumSpelling(t *testing.T) {
	for _, spelling := range []string{"idempotent_write", "IDEMPOTENT_WRITE", "EFFECT_IDEMPOTENT_WRITE"} {
		doc, fs := Load("x", []byte(small("steps: [{id: a, tool: {server: s, tool: t, effect: "+spelling+"}}]")))
		if len(fs) > 0 || doc.Definition.GetSteps()[0].GetTool().GetEffect() != workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			t.Errorf("%s: %v", spelling, fs)
		}
	}
}

// TestLoadFindings checks places and messages: each line of want is "line:column rule part of the message or mend".
func TestLoadFindings(t *testing.T) {
	for name, tt := range map[string]struct {
		src  string
		want []string
	}{
		"empty":            {"", []string{"1:1 syntax the text holds no definition"}},
		"only a list":      {"- a", []string{"1:1 syntax the text holds no definition"}},
		"bad YAML":         {"a: b\n c: [", []string{"2: syntax not YAML"}},
		"two documents":    {small("steps: [{id: a, wait: {duration: 1s}}]\n---\na: 1"), []string{"4:1 syntax second document"}},
		"not UTF-8":        {"api_version: \xff", []string{"1:14 syntax byte 0xff is not UTF-8"}},
		"broken JSON":      {`{"api_version": "signalbox/v1",`, []string{"1: syntax not YAML"}},
		"unknown fields":   {small("stepz: []\nsteps: [{id: a, wait: {duration: 1s, untl: x}}]"), []string{`3:1 schema did you mean "steps"`, `4:38 schema did you mean "until"`}},
		"twice":            {small("steps: [{id: a, id: b, wait: {duration: 1s}}]\nmetadata: {}"), []string{`3:17 schema "id" is given twice`, `4:1 schema "metadata" is given twice`}},
		"both spellings":   {small("steps: [{id: a, if: x, condition: y, wait: {duration: 1s}}]"), []string{`3:24 schema "condition" is given twice`}},
		"merge key":        {small("steps: [{id: a, <<: {x: y}, wait: {duration: 1s}}]"), []string{"3:17 schema merge keys"}},
		"exclusive":        {small("steps: [{id: a, wait: {duration: 1s}, set: {values: {x: y}}}]"), []string{"3:39 schema wait and set exclude each other"}},
		"nothing done":     {small("steps: [{id: a}]"), []string{"3:9 schema needs exactly one of tool, agent, human"}},
		"enum":             {small("steps: [{id: a, tool: {server: s, tool: t, effect: writ}}]"), []string{`3:52 schema did you mean "write"`}},
		"enum number":      {small("steps: [{id: a, tool: {server: s, tool: t, effect: 1}}]"), []string{"3:52 schema write one of read"}},
		"unspecified":      {small("steps: [{id: a, tool: {server: s, tool: t, effect: unspecified}}]"), []string{"3:52 schema write one of read"}},
		"duration":         {small("steps: [{id: a, wait: {duration: 5}}]"), []string{"3:34 schema give it a unit, as in 5s"}},
		"negative":         {small("steps: [{id: a, wait: {duration: -5s}}]"), []string{"3:34 schema greater than 0s"}},
		"wrong kinds":      {small("steps: {a: 1}\nstates: []\ndeadline: [1]\ninitial: {}"), []string{"3:8 schema wanted a list", "4:9 schema wanted names with values", "5:11 schema wanted a duration", "6:10 schema wanted a text"}},
		"bool":             {small("steps: [{id: a, human: {roles: [a], decisions: [x, y], due: 1h, exclude_requester: yes}}]"), []string{"3:84 schema write true or false"}},
		"whole number":     {small("steps: [{id: a, agent: {agent: x, budget: {max_turns: -1, max_tokens: 1.5}}}]"), []string{"3:55 schema write a whole number", "3:71 schema write a whole number"}},
		"not finite":       {small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: .nan, y: 9007199254740993}}}]"), []string{"3:59 schema which JSON cannot hold", "3:68 schema readers round"}},
		"foreign tag":      {small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: !env HOME}, breaker: !x y}}]"), []string{"3:59 schema has the tag", "3:80 schema wanted a text"}},
		"null in a map":    {small("steps: [{id: a, set: {values: {x: }}}]"), []string{"3:35 schema wanted a text"}},
		"metadata":         {"api_version: signalbox/v2\nmetadata: {name: Bad, version: 1.10}\nsteps: [{id: a, wait: {duration: 1s}}]", []string{"1:14 schema must equal `signalbox/v1`", "2:18 schema lower-case letters", "2:32 schema write three numbers"}},
		"no metadata":      {"api_version: signalbox/v1\nsteps: [{id: a, wait: {duration: 1s}}]", []string{"1:1 schema metadata is missing"}},
		"both shapes":      {small("initial: a\nstates: {a: {terminal: succeeded}}\nsteps: [{id: b, wait: {duration: 1s}}]"), []string{"1:1 schema or only steps"}},
		"no initial":       {small("initial: b\nstates: {a: {terminal: succeeded}}"), []string{"1:1 schema an initial that names one"}},
		"state rules":      {small("initial: a\nstates:\n  a: {}\n  b: {transitions: [{when: x, to: a}]}\n  C: {terminal: succeeded}\n  d: {terminal: failed, deadline: 1s}"), []string{"5:3 schema not both and not neither", "6:3 schema the last transition must have no", "7:3 schema the name at states.C", "8:3 schema a terminal state has no steps"}},
		"wait rules":       {small("steps: [{id: a, wait: {}}, {id: b, wait: {duration: 1s, until: x}}]"), []string{"3:17 schema give duration or until", "3:36 schema give duration or until"}},
		"handler rules":    {small("steps: [{id: a, wait: {duration: 1s}}]\non_error: {handlers: [{retry: {max_attempts: 101}}, {types: [a], fail: false}, {types: [a], escalate: {code: c, to: d, continue: true}}]}"), []string{"4:23 schema handlers[0].types must contain at least 1", "4:46 schema write a number from 1 to 100", "4:72 schema fail is false: must equal true", "4:93 schema not both"}},
		"gate rules":       {small("steps: [{id: a, human: {roles: [], decisions: [x, x]}}]"), []string{"3:25 schema at least 1 item", "3:36 schema unique", "3:17 schema due is missing"}},
		"agent rules":      {small("steps: [{id: a, agent: {agent: '', allowed_tools: [x]}}]"), []string{"3:32 schema at least 1 character", "3:17 L10 budget is missing", "3:52 schema write server/tool"}},
		"retry in range":   {small("steps: [{id: a, wait: {duration: 1s}}]\non_error: {handlers: [{types: [a], retry: {backoff_coefficient: 0.5, initial_interval: 0s}}]}"), []string{"4:65 schema greater than or equal to 1", "4:88 schema greater than 0s"}},
		"a single breaker": {small("steps: [{id: a, wait: {duration: 1s}}]\nresources: {breakers: {b: {failure_rate: 1}}, locks: {l: {key: x}}}"), []string{"4:42 schema less than 1", "4:55 schema rank"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, fs := Load("f.yaml", []byte(tt.src))
			rest := append(Findings(nil), fs...)
			for _, want := range tt.want {
				place, part, _ := strings.Cut(want, " ")
				rule, part, _ := strings.Cut(part, " ")
				i := indexFinding(rest, place, rule, part)
				if i < 0 {
					t.Errorf("missing %q in\n%s", want, fs)
					continue
				}
				rest = append(rest[:i:i], rest[i+1:]...)
			}
			if len(rest) > 0 {
				t.Errorf("not wanted:\n%s", rest)
			}
		})
	}
}

func indexFinding(fs Findings, place, rule, part string) int {
	for i, f := range fs {
		at := fmt.Sprintf("%d:%d", f.Line, f.Column)
		if (at == place || strings.HasSuffix(place, ":") && strings.HasPrefix(at, place)) && f.Rule == rule && strings.Contains(f.Message+"; "+f.Mend, part) {
			return i
		}
	}
	return -1
}

func TestLoadRefusesWhatIsTooLarge(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	for name, src := range map[string]string{
		"bytes": small("# " + strings.Repeat("x", MaxSourceBytes)),
		"depth": small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: " + deep + "}}}]"),
		"deep JSON": `{"api_version": "signalbox/v1", "steps": [{"id": "a", "tool": {"server": "s", "tool": "t", "arguments": {"x": ` +
			strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}}]}`,
		"bomb":       small("steps: [{id: a, tool: {server: s, tool: t, arguments: {\n" + strings.ReplaceAll(bomb.String(), "\n", ",\n") + "}}}]"),
		"many nodes": small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: [" + strings.Repeat("1,", MaxNodes) + "]}}}]"),
	} {
		t.Run(name, func(t *testing.T) {
			_, fs := Load("f", []byte(src))
			if i := indexFinding(fs, fmt.Sprintf("%d:", max(1, firstLine(fs))), RuleLimit, ""); i < 0 {
				t.Errorf("no limit in %s", fs)
			}
			if len(fs) > 3 {
				t.Errorf("one cause, %d findings", len(fs))
			}
		})
	}
	t.Run("cycle", func(t *testing.T) {
		_, fs := Load("f", []byte(small("steps: [{id: a, tool: {server: s, tool: t, arguments: &a {x: *a}}}]")))
		if !fs.HasErrors() {
			t.Error("an alias of itself was accepted")
		}
	})
}

func firstLine(fs Findings) int {
	if len(fs) == 0 {
		return 0
	}
	return fs[0].Line
}

func TestFindingsAreCutWhenThereAreTooMany(t *testing.T) {
	var src strings.Builder
	src.WriteString(small("steps:\n"))
	for i := range 2 * maxFindings {
		fmt.Fprintf(&src, "  - {id: s%d, wiat: {duration: 1s}}\n", i)
	}
	_, fs := Load("f", []byte(src.String()))
	if last := fs[len(fs)-1]; len(fs) != maxFindings+1 || last.Rule != RuleLimit || last.Severity != SeverityError {
		t.Errorf("%d findings, the last is %s", len(fs), last)
	}
}

func TestFindingsRender(t *testing.T) {
	_, fs := Load("dir/f.yaml", []byte(small("steps: [{id: a, wiat: {duration: 1s}}]")))
	const want = `dir/f.yaml:3:17: error schema: Step has no field "wiat"; mend: did you mean "wait"?` + "\n"
	if fs.String() != want {
		t.Errorf("got  %swant %s", fs, want)
	}
	raw, err := json.Marshal(fs)
	if err != nil {
		t.Fatal(err)
	}
	var back Findings
	if err := json.Unmarshal(raw, &back); err != nil || cmp.Diff(fs, back) != "" {
		t.Errorf("%v: %s", err, raw)
	}
	if raw, _ := json.Marshal(Findings(nil)); string(raw) != "[]" {
		t.Errorf("no findings are %s", raw)
	}
}

func TestParentPath(t *testing.T) {
	path := ""
	var want []string
	for _, name := range []string{"states", "a", "odd name", `with "quotes" and ["brackets"]`, "x.y", "steps"} {
		want = append(want, path)
		path = fieldPath(path, name)
	}
	want = append(want, path)
	path = indexPath(path, 12)
	for i := len(want) - 1; i >= 0; i-- {
		if path = parentPath(path); path != want[i] {
			t.Fatalf("got %q, want %q", path, want[i])
		}
	}
}
