package draw_test

import (
	"fmt"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/draw"
)

// large is as large as the contract allows, with edges to everywhere.
func large(states, edges int) *workflowv1.WorkflowDefinition {
	def := &workflowv1.WorkflowDefinition{Metadata: &workflowv1.Metadata{Name: "large"}, Initial: "s0", States: map[string]*workflowv1.State{}}
	for i := range states {
		s := &workflowv1.State{Steps: []*workflowv1.Step{{Id: fmt.Sprintf("t%d", i), Do: &workflowv1.Step_Wait{Wait: &workflowv1.WaitStep{Until: "x"}}}}}
		for k := range edges {
			s.Transitions = append(s.Transitions, &workflowv1.Transition{When: "input.a", To: fmt.Sprintf("s%d", (i*7+k*k*31+1)%states)})
		}
		def.States[fmt.Sprintf("s%d", i)] = s
	}
	return def
}

func TestALargeDefinitionIsDrawn(t *testing.T) {
	def := large(500, 100)
	if svg := draw.SVG(def, nil); len(svg) == 0 || len(svg) > 20<<20 {
		t.Errorf("%d bytes", len(svg))
	}
	draw.Mermaid(def, nil)
	draw.DOT(def, nil)
}

func BenchmarkSVG(b *testing.B) {
	def := load(b, "testdata/support-escalation.yaml")
	for b.Loop() {
		draw.SVG(def, nil)
	}
}
