// Command genconfig writes signalbox.yaml, the desk as a tool server, and tools.json, its tools as the linter takes them; both are made of
// what the desk says of its own tools.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
)

func main() {
	text, err := workflow.Example()
	if err == nil {
		err = os.WriteFile("signalbox.yaml", []byte(text), 0o644)
	}
	if err == nil {
		err = writeTools("tools.json")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genconfig:", err)
		os.Exit(1)
	}
}

// writeTools writes the declarations with their schemas as they are, so that people can read them.
func writeTools(file string) error {
	tools, err := workflow.Declarations(workflow.Server)
	if err != nil {
		return err
	}
	var out []map[string]any
	for _, t := range tools {
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(t)
		if err != nil {
			return err
		}
		entry := map[string]any{}
		if err := json.Unmarshal(raw, &entry); err != nil {
			return err
		}
		for field, schema := range map[string][]byte{"input_schema": t.GetInputSchema(), "output_schema": t.GetOutputSchema()} {
			if len(schema) > 0 {
				entry[field] = json.RawMessage(schema)
			}
		}
		out = append(out, entry)
	}
	text, err := json.MarshalIndent(map[string]any{"tools": out}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
