package core

import (
	"context"
	"slices"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// registered are the kept definitions as the linter asks for them. It implements workflow.Workflows and workflow.Emitters.
type registered struct {
	workflow.WorkflowsFunc
	emitters func(namespace, eventType string) []string
}

// Emitters implements workflow.Emitters.
func (r registered) Emitters(namespace, eventType string) []string {
	return r.emitters(namespace, eventType)
}

// emittersPage is how many definitions are read at a time.
const emittersPage = 100

// emitters are the workflows of a namespace whose newest version publishes events of a type.
func (d *Definitions) emitters(ctx context.Context, namespace, eventType string) ([]string, error) {
	var out []string
	page := Page{Limit: emittersPage}
	for {
		found, next, err := d.store.ListDefinitions(ctx, DefinitionQuery{Namespace: namespace, LatestOnly: true}, page)
		if err != nil {
			return nil, err
		}
		for _, kept := range found {
			if slices.Contains(workflow.EmittedTypes(kept.Proto), eventType) {
				out = append(out, kept.Name)
			}
		}
		if page.Cursor = next; next == "" {
			return out, nil
		}
	}
}
