package workflow

import workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"

// Compile expands shorthand, writes defaults out, resolves tools against the catalogue, compiles every expression and runs the lint rules. It returns
// all findings at once; with an error among them the definition is nil. Without a catalogue (nil), tools are unknown: each is a warning and untyped.
func Compile(doc *Document, cat Catalog) (*Definition, Findings) { return nil, nil }

// Rebuild compiles a stored, normalised definition and its pinned tools again. It is deterministic: the digest is the one that Compile gave.
func Rebuild(def *workflowv1.WorkflowDefinition, tools []*workflowv1.ToolDeclaration) (*Definition, error) {
	return nil, errPending
}

const mainState = "main"
