package draw_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/draw"
)

// hostile is a definition and a run in which every text is one that somebody else chose.
func hostile(name, text string) (*workflowv1.WorkflowDefinition, *workflowv1.Run) {
	def := &workflowv1.WorkflowDefinition{
		Metadata: &workflowv1.Metadata{Name: text, Version: text}, Initial: name,
		Triggers: []*workflowv1.Trigger{{Event: &workflowv1.EventFilter{Type: text}}},
		OnError: &workflowv1.ErrorPolicy{Handlers: []*workflowv1.ErrorHandler{
			{Types: []string{text}, When: text, Then: &workflowv1.ErrorHandler_Escalate{Escalate: &workflowv1.Escalate{Code: text, To: name}}},
		}},
		States: map[string]*workflowv1.State{
			name: {
				Locks: []*workflowv1.LockUse{{Lock: text}}, RollbackScope: text,
				Steps: []*workflowv1.Step{
					{Id: text, Condition: text, Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: text, Tool: text}}},
					{Id: name, Do: &workflowv1.Step_Parallel{Parallel: &workflowv1.ParallelStep{Branches: map[string]*workflowv1.Branch{
						text: {Steps: []*workflowv1.Step{{Id: text, Do: &workflowv1.Step_Human{Human: &workflowv1.HumanGate{Roles: []string{text}, Decisions: []string{text}}}}}}, "b": nil,
					}}}},
					{Do: &workflowv1.Step_Map{Map: &workflowv1.MapStep{Items: text, Steps: []*workflowv1.Step{{Id: text}, nil}}}},
					nil,
				},
				Transitions: []*workflowv1.Transition{{When: text, To: name}, {When: text, To: "end"}, {To: text}},
			},
			"end":  {Terminal: workflowv1.Outcome_OUTCOME_REJECTED},
			"none": nil,
		},
	}
	run := &workflowv1.Run{
		Id: text, State: name, Visits: map[string]uint32{name: 3}, Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_SCHEMA, Message: text},
		Steps:  map[string]*workflowv1.StepRecord{text: record(failedStep)},
		Active: []*workflowv1.ActiveStep{{Path: name + "/" + text, StepId: text, Problem: &workflowv1.Problem{Message: text}}, {Path: text}, nil},
		Frames: map[string]*workflowv1.Frame{text: nil},
	}
	return def, run
}

var (
	dotQuoted    = regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`)
	dotRest      = regexp.MustCompile(`^[A-Za-z0-9_ =,;.{}\[\]\n>-]*$`)
	mermaidQuote = regexp.MustCompile(`"[^"\n]*"`)
	mermaidRest  = regexp.MustCompile(`^  (accTitle: .*|start\(\(Q\)\) --> \w+|subgraph \w+\[Q\]|end| *\w+(\[Q\]|\(\[Q\]\))(:::\w+)?|\w+ (-->|-\.->)(\|Q\|)? \w+|classDef .*)$`)
	mermaidBad   = regexp.MustCompile("[`<>]|%%")
	breaks       = strings.NewReplacer("<br/>", "")
)

// wellFormed fails unless the pictures are what their languages allow.
func wellFormed(t *testing.T, def *workflowv1.WorkflowDefinition, run *workflowv1.Run) {
	t.Helper()
	svg := draw.SVG(def, run)
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && !strings.Contains(" svg title desc style rect path text g ", " "+e.Name.Local+" ") {
			t.Fatalf("there is an element %q", e.Name.Local)
		}
	}
	dot := string(draw.DOT(def, run))
	if rest := dotQuoted.ReplaceAllString(dot, ""); !dotRest.MatchString(rest) || strings.Count(rest, "{") != strings.Count(rest, "}") {
		t.Fatalf("not DOT: %q in\n%s", rest, dot)
	}
	mermaid := string(draw.Mermaid(def, run))
	lines := strings.Split(strings.TrimRight(mermaid, "\n"), "\n")
	if !strings.HasPrefix(lines[1], `title: "`) || lines[0] != "---" || lines[5] != "---" || lines[6] != "flowchart TB" {
		t.Fatalf("not a flowchart:\n%s", mermaid)
	}
	for _, line := range lines[7:] {
		inner := breaks.Replace(line)
		if rest := mermaidQuote.ReplaceAllString(inner, "Q"); !mermaidRest.MatchString(rest) {
			t.Fatalf("not Mermaid: %q", line)
		}
		if !strings.Contains(line, "-->") && !strings.Contains(line, "-.->") && mermaidBad.MatchString(inner) {
			t.Fatalf("Mermaid reads more than text: %q", line)
		}
	}
	if again := draw.SVG(def, run); !bytes.Equal(svg, again) {
		t.Fatal("the same definition gave another picture")
	}
}

func FuzzPicturesOfAnyText(f *testing.F) {
	for _, text := range []string{
		"plain", "", "a\nb", `"]; click x "javascript:alert(1)"`, "</text><script>alert(1)</script>", "&amp; &#0; ]]>", "\x00\x1b[2J\xff", "\u202Eabc\u200b", "%%{init: {}}%%",
		"`**bold**`", "#35;#quot;", `\\l\N\G"`, "state\\", "- item", "1. one", "東京 🚂 العربية", strings.Repeat("x", 500), "---", "end", "$$x$$", "a -- b", "'", "{{x}}",
	} {
		f.Add("state", text)
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		def, run := hostile(name, text)
		wellFormed(t, def, run)
		wellFormed(t, def, nil)
	})
}
