package command

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// toolFiles reads catalogues. Of a tool that two files hold, the later counts.
func (a *App) toolFiles(files []string) (workflow.Catalog, error) {
	var tools []*workflowv1.ToolDeclaration
	for _, file := range files {
		text, err := readFile(file, a.In)
		if err != nil {
			return nil, errs.Invalid("tools", "%v", err)
		}
		more, err := readTools(text)
		if err != nil {
			return nil, errs.Invalid("tools", "%s: %v; write it with `signalbox tool list -o json`", file, err)
		}
		tools = append(tools, more...)
	}
	return workflow.NewCatalog(tools), nil
}

// readTools reads declarations: a list, or an object with the list under `tools`. Written by hand, schemas may stand as they are, not only as the
// bytes of the contract, and an effect as authors spell it.
func readTools(text []byte) ([]*workflowv1.ToolDeclaration, error) {
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	if whole, ok := value.(map[string]any); ok {
		value = whole["tools"]
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("it holds no list of tools")
	}
	var out []*workflowv1.ToolDeclaration
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("tool %d is no object", i)
		}
		tool, err := readTool(entry)
		if err != nil {
			return nil, fmt.Errorf("tool %d (%v/%v): %w", i, entry["server"], entry["name"], err)
		}
		out = append(out, tool)
	}
	return out, nil
}

func readTool(entry map[string]any) (*workflowv1.ToolDeclaration, error) {
	for _, field := range []string{"input_schema", "output_schema"} {
		if schema, ok := entry[field].(map[string]any); ok {
			raw, err := json.Marshal(schema)
			if err != nil {
				return nil, err
			}
			entry[field] = base64.StdEncoding.EncodeToString(raw)
		}
	}
	if effect, ok := entry["effect"].(string); ok && effect == strings.ToLower(effect) {
		entry["effect"] = "EFFECT_" + strings.ToUpper(effect)
	}
	raw, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	tool := &workflowv1.ToolDeclaration{}
	if err := protojson.Unmarshal(raw, tool); err != nil {
		return nil, err
	}
	if tool.GetServer() == "" || tool.GetName() == "" {
		return nil, fmt.Errorf("server and name are needed")
	}
	return tool, nil
}
