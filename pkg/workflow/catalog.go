package workflow

import (
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Catalog is what is known of the tools of the tool servers. It must not change while Compile runs.
type Catalog interface {
	// Tool returns the declaration of a tool; false when the server or the tool is unknown. The caller does not change it.
	Tool(server, tool string) (*workflowv1.ToolDeclaration, bool)
	// Servers returns the names of the tool servers, sorted.
	Servers() []string
	// Tools returns the names of a server's tools, sorted; none when the server is unknown.
	Tools(server string) []string
}

// NewCatalog makes a catalogue of declarations. Of two with the same server and name, the later counts.
func NewCatalog(tools []*workflowv1.ToolDeclaration) Catalog {
	c := &catalog{servers: map[string]map[string]*workflowv1.ToolDeclaration{}}
	for _, t := range tools {
		if c.servers[t.GetServer()] == nil {
			c.servers[t.GetServer()] = map[string]*workflowv1.ToolDeclaration{}
		}
		c.servers[t.GetServer()][t.GetName()] = t
	}
	return c
}

type catalog struct {
	servers map[string]map[string]*workflowv1.ToolDeclaration
}

func (c *catalog) Tool(server, tool string) (*workflowv1.ToolDeclaration, bool) {
	t, ok := c.servers[server][tool]
	return t, ok
}

func (c *catalog) Servers() []string { return sortedKeys(c.servers) }

func (c *catalog) Tools(server string) []string { return sortedKeys(c.servers[server]) }

// sortedKeys returns the keys of a map in order, so that nothing depends on the order of maps.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
