package gatewayclient

import (
	"context"
	"maps"

	"google.golang.org/grpc"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Catalogue implements core.ToolCatalogue.
type Catalogue struct{ tools gatewayv1.ToolServiceClient }

var _ core.ToolCatalogue = (*Catalogue)(nil)

// NewCatalogue makes it; nothing is called before Tools.
func NewCatalogue(conn grpc.ClientConnInterface) *Catalogue {
	return &Catalogue{tools: gatewayv1.NewToolServiceClient(conn)}
}

// maxToolsPage is the largest page of the catalogue.
const maxToolsPage = 1000

// Tools implements core.ToolCatalogue.
func (c *Catalogue) Tools(ctx context.Context) ([]*workflowv1.ToolDeclaration, map[string]string, error) {
	var tools []*workflowv1.ToolDeclaration
	unavailable := map[string]string{}
	req := &gatewayv1.ListToolsRequest{PageSize: maxToolsPage}
	for {
		resp, err := c.tools.ListTools(ctx, req)
		if err != nil {
			return nil, nil, err
		}
		tools = append(tools, resp.GetTools()...)
		maps.Copy(unavailable, resp.GetUnavailable())
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return tools, unavailable, nil
		}
	}
}
