package core

import (
	"context"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// registered are the kept definitions as the linter asks for them. It implements workflow.Workflows and workflow.Emitters.
type registered struct {
	workflow.WorkflowsFunc
	// emitters are the workflows of a namespace by the types of the events that they publish.
	emitters func(namespace string) map[string][]string
}

// Emitters implements workflow.Emitters.
func (r registered) Emitters(namespace, eventType string) []string {
	return r.emitters(namespace)[eventType]
}

// emittersPage is how many definitions are read at a time.
const emittersPage = 100

// emitters reads the newest version of each workflow of a namespace.
func (d *Definitions) emitters(ctx context.Context, namespace string) (map[string][]string, error) {
	out := map[string][]string{}
	page := Page{Limit: emittersPage}
	for {
		found, next, err := d.store.ListDefinitions(ctx, DefinitionQuery{Namespace: namespace, LatestOnly: true}, page)
		if err != nil {
			return nil, err
		}
		for _, kept := range found {
			for _, eventType := range workflow.EmittedTypes(kept.Proto) {
				out[eventType] = append(out[eventType], kept.Name)
			}
		}
		if page.Cursor = next; next == "" {
			return out, nil
		}
	}
}
