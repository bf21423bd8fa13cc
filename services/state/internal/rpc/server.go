// Package rpc turns the contract signalbox.state.v1 into calls of core, and back. It decides nothing.
package rpc

import (
	"sync"

	"google.golang.org/grpc"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Deps is what the servers need.
type Deps struct {
	Definitions     *core.Definitions
	DefinitionStore core.DefinitionStore
	Runs            core.RunStore
	Operations      core.OperationStore
	Shards          core.ShardStore
	Artifacts       core.ArtifactStore
	Escalations     core.EscalationStore
	EventRules      *core.Events
	Events          core.EventStore
	Records         core.RecordStore
	Archive         *core.Archive
	// MaxArtifactBytes is the greatest size of an artifact.
	MaxArtifactBytes int
}

// Servers are the services of the contract.
type Servers struct {
	deps     Deps
	draining chan struct{}
	drain    func()
}

// New makes the servers.
func New(deps Deps) *Servers {
	s := &Servers{deps: deps, draining: make(chan struct{})}
	s.drain = sync.OnceFunc(func() { close(s.draining) })
	return s
}

// Register registers all services.
func (s *Servers) Register(r grpc.ServiceRegistrar) {
	statev1.RegisterDefinitionServiceServer(r, &definitionServer{rules: s.deps.Definitions, store: s.deps.DefinitionStore})
	statev1.RegisterRunServiceServer(r, &runServer{
		runs: s.deps.Runs, operations: s.deps.Operations, artifacts: s.deps.Artifacts, draining: s.draining,
	})
	statev1.RegisterShardServiceServer(r, &shardServer{store: s.deps.Shards})
	statev1.RegisterArtifactServiceServer(r, &artifactServer{store: s.deps.Artifacts, maxBytes: s.deps.MaxArtifactBytes})
	statev1.RegisterEscalationRecordServiceServer(r, &escalationServer{store: s.deps.Escalations})
	statev1.RegisterEventServiceServer(r, &eventServer{
		rules: s.deps.EventRules, store: s.deps.Events, draining: s.draining,
	})
	statev1.RegisterArchiveServiceServer(r, &archiveServer{archive: s.deps.Archive})
	statev1.RegisterRecordServiceServer(r, &recordServer{store: s.deps.Records})
}

// Drain ends the streams that would otherwise stay open: what they have accepted is answered first. It may be called again.
func (s *Servers) Drain() { s.drain() }
