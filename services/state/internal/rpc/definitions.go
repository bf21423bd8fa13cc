package rpc

import (
	"context"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const defaultDefinitionPage = 50

// definitionServer is signalbox.state.v1.DefinitionService.
type definitionServer struct {
	statev1.UnsafeDefinitionServiceServer
	rules *core.Definitions
	store core.DefinitionStore
}

// Register checks and keeps a definition.
func (s *definitionServer) Register(ctx context.Context, req *statev1.RegisterRequest) (*statev1.RegisterResponse, error) {
	done, err := s.rules.Register(ctx, core.Registration{
		Source: req.GetSource(), File: req.GetFile(), Tools: req.GetTools(), ValidateOnly: req.GetValidateOnly(), Namespace: req.GetNamespace(),
	})
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.RegisterResponse{Findings: findingProtos(done.Findings), Created: done.Created}
	if done.Definition != nil {
		resp.Definition = definitionProto(done.Definition)
	}
	return resp, nil
}

// GetDefinition reads one version.
func (s *definitionServer) GetDefinition(
	ctx context.Context, req *statev1.GetDefinitionRequest,
) (*statev1.GetDefinitionResponse, error) {
	found, err := s.rules.Get(ctx, core.DefinitionKey{
		Namespace: namespaceOf(req.GetNamespace()), Name: req.GetName(), Version: req.GetVersion(), Digest: req.GetDigest(),
		Known: req.GetKnownDigest(),
	})
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.GetDefinitionResponse{Definition: definitionProto(found)}, nil
}

// ListDefinitions lists versions.
func (s *definitionServer) ListDefinitions(
	ctx context.Context, req *statev1.ListDefinitionsRequest,
) (*statev1.ListDefinitionsResponse, error) {
	page, err := pageOf(req, defaultDefinitionPage)
	if err != nil {
		return nil, Failure(err)
	}
	list, next, err := s.store.ListDefinitions(ctx, core.DefinitionQuery{
		Namespace: req.GetNamespace(), Name: req.GetName(), LatestOnly: req.GetLatestOnly(),
	}, page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListDefinitionsResponse{NextPageToken: tokenOf(req, next)}
	for _, d := range list {
		resp.Definitions = append(resp.Definitions, definitionProto(d))
	}
	return resp, nil
}

func definitionProto(d *core.Definition) *statev1.DefinitionVersion {
	return &statev1.DefinitionVersion{
		Namespace: d.Namespace, Name: d.Name, Version: d.Version, Digest: d.Digest, Definition: d.Proto, Tools: d.Tools,
		Source: d.Source, CreateTime: timeProto(d.CreateTime), Findings: findingProtos(d.Findings),
	}
}

func findingProtos(findings workflow.Findings) []*statev1.Finding {
	var out []*statev1.Finding
	for _, f := range findings {
		out = append(out, findingProto(f))
	}
	return out
}
