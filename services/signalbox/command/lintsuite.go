package command

import (
	"context"
	"slices"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// registered are the suite's definitions, as the linter looks others up.
func (a *App) registered(ctx context.Context, s *suite) workflow.Workflows {
	return &registeredWorkflows{app: a, suite: s, ctx: ctx, emitters: map[string]map[string][]string{}}
}

// registeredWorkflows asks the state service. What it cannot be asked for counts as not there, with a note.
type registeredWorkflows struct {
	app   *App
	suite *suite
	ctx   context.Context //nolint:containedctx // the linter's interface has none: it lives for one command
	// emitters are the workflows by namespace and type of event.
	emitters map[string]map[string][]string
}

func (r *registeredWorkflows) client() statev1.DefinitionServiceClient {
	return statev1.NewDefinitionServiceClient(r.suite.conn("state"))
}

// Workflow implements workflow.Workflows.
func (r *registeredWorkflows) Workflow(namespace, name, version string) (*workflow.Definition, bool) {
	ctx, cancel := context.WithTimeout(r.ctx, min(r.suite.flags.timeout, lintPatience))
	defer cancel()
	response, err := r.client().GetDefinition(ctx, &statev1.GetDefinitionRequest{Namespace: namespace, Name: name, Version: version})
	var child *workflow.Definition
	if err == nil {
		child, err = workflow.Rebuild(response.GetDefinition().GetDefinition(), response.GetDefinition().GetTools())
	}
	if err != nil {
		r.app.output.Note("workflow %s: %v", name, err)
	}
	return child, err == nil
}

// Emitters implements workflow.Emitters.
func (r *registeredWorkflows) Emitters(namespace, eventType string) []string {
	known, ok := r.emitters[namespace]
	if !ok {
		known = r.emittersOf(namespace)
		r.emitters[namespace] = known
	}
	return known[eventType]
}

// emittersOf reads the newest definition of each workflow of a namespace.
func (r *registeredWorkflows) emittersOf(namespace string) map[string][]string {
	ctx, cancel := context.WithTimeout(r.ctx, min(r.suite.flags.timeout, lintPatience))
	defer cancel()
	out := map[string][]string{}
	request := &statev1.ListDefinitionsRequest{Namespace: namespace, LatestOnly: true}
	for {
		response, err := r.client().ListDefinitions(ctx, request)
		if err != nil {
			r.app.output.Note("the suite's workflows are not known: %v", err)
			return out
		}
		for _, d := range response.GetDefinitions() {
			for _, eventType := range workflow.EmittedTypes(d.GetDefinition()) {
				if !slices.Contains(out[eventType], d.GetName()) {
					out[eventType] = append(out[eventType], d.GetName())
				}
			}
		}
		if request.PageToken = response.GetNextPageToken(); request.PageToken == "" {
			return out
		}
	}
}
