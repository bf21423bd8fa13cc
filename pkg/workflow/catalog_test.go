package workflow

import (
	"encoding/json"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// testTools reads the declarations of testdata/tools.yaml.
func testTools(tb testing.TB) []*workflowv1.ToolDeclaration {
	tb.Helper()
	src, err := os.ReadFile("testdata/tools.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	var entries []map[string]any
	if err := yaml.Unmarshal(src, &entries); err != nil {
		tb.Fatal(err)
	}
	var out []*workflowv1.ToolDeclaration
	for _, entry := range entries {
		input, output := entry["input"], entry["output"]
		delete(entry, "input")
		delete(entry, "output")
		d := &workflowv1.ToolDeclaration{EffectDeclared: true}
		raw, err := json.Marshal(entry)
		if err != nil {
			tb.Fatal(err)
		}
		if err := (protojson.UnmarshalOptions{}).Unmarshal(raw, d); err != nil {
			tb.Fatal(err)
		}
		d.EffectDeclared = true
		d.InputSchema = marshalSchema(tb, input)
		d.OutputSchema = marshalSchema(tb, output)
		out = append(out, d)
	}
	return out
}

func marshalSchema(tb testing.TB, schema any) []byte {
	tb.Helper()
	if schema == nil {
		return nil
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func testCatalog(tb testing.TB) Catalog {
	tb.Helper()
	return NewCatalog(testTools(tb))
}

func readTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	src, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return src
}
