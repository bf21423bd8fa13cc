package workflow

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// TestRetailTools compiles against the real tools of the τ-retail data, when it is there.
func TestRetailTools(t *testing.T) {
	dir := os.Getenv("SIGNALBOX_TAU_RETAIL")
	if dir == "" {
		dir = "../../../shared/data/tau-retail"
	}
	raw, err := os.ReadFile(filepath.Join(dir, "tools.json"))
	if err != nil {
		t.Skip("no τ-retail data: ", err)
	}
	var tools []struct {
		Name        string          `json:"name"`
		InputSchema json.RawMessage `json:"inputSchema"`
	}
	if err := json.Unmarshal(raw, &tools); err != nil {
		t.Fatal(err)
	}
	all := testTools(t)
	var steps strings.Builder
	for i, tool := range tools {
		if _, err := NewSchema(tool.InputSchema); err != nil {
			t.Errorf("%s: %v", tool.Name, err)
		}
		all = append(all, &workflowv1.ToolDeclaration{Server: "desk", Name: tool.Name, InputSchema: tool.InputSchema, Effect: workflowv1.Effect_EFFECT_READ})
		fmt.Fprintf(&steps, "  - {id: s%d, tool: {server: desk, tool: %s, arguments: {nonsense: 1}}}\n", i, tool.Name)
	}
	for _, file := range []string{"hello.yaml", "support-escalation.yaml"} {
		if def, fs := Check(file, readTestdata(t, file), NewCatalog(all), nil); def == nil {
			t.Errorf("%s: %s", file, fs)
		}
	}
	_, fs := Check("f", []byte(small("steps:\n"+steps.String())), NewCatalog(all), nil)
	if n := strings.Count(fs.String(), `has no argument "nonsense"`); n < len(tools)-1 { // one of them takes no arguments at all
		t.Errorf("%d of %d tools noticed:\n%s", n, len(tools), fs)
	}
}
