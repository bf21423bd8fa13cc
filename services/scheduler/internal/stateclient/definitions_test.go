package stateclient

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// shelf is a state with the versions of one workflow. It answers when let, and knows no other calls.
type shelf struct {
	statev1.DefinitionServiceClient
	t *testing.T

	mu    sync.Mutex
	kept  []*statev1.DefinitionVersion
	reads int
	full  int
	// asked is told of every question before it is answered, when hold is set: each then waits for one value of it.
	asked, hold chan struct{}
}

func (s *shelf) register(version string) {
	s.t.Helper()
	source := fmt.Sprintf("api_version: signalbox/v1\nmetadata: {name: w, version: %s}\nsteps: [{id: x, wait: {duration: 1s}}]\n", version)
	def, findings := workflow.Check("w.yaml", []byte(source), nil, nil)
	if def == nil {
		s.t.Fatal(findings)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, &statev1.DefinitionVersion{Namespace: "default", Name: "w", Version: version, Digest: def.Digest, Definition: def.Proto})
}

func (s *shelf) GetDefinition(_ context.Context, req *statev1.GetDefinitionRequest, _ ...grpc.CallOption) (*statev1.GetDefinitionResponse, error) {
	s.mu.Lock()
	s.reads++
	d := s.kept[len(s.kept)-1]
	for _, v := range s.kept {
		if v.GetVersion() == req.GetVersion() {
			d = v
		}
	}
	if d.GetDigest() == req.GetKnownDigest() {
		d = &statev1.DefinitionVersion{Namespace: d.GetNamespace(), Name: d.GetName(), Version: d.GetVersion(), Digest: d.GetDigest()}
	} else {
		s.full++
	}
	s.mu.Unlock()
	if s.hold != nil {
		s.asked <- struct{}{}
		<-s.hold
	}
	return &statev1.GetDefinitionResponse{Definition: d}, nil
}

func wantVersion(t *testing.T, c *Client, asked, want string) {
	t.Helper()
	def, err := c.Latest(t.Context(), "default", "w", asked)
	if err != nil || def.Proto.GetMetadata().GetVersion() != want {
		t.Errorf("asked for %q: got %v, %v; want %s", asked, def.Proto.GetMetadata(), err, want)
	}
}

// Whoever registers a version and then starts without naming one gets it, and what has not changed is given once.
func TestTheHighestVersionIsThatOfTheMoment(t *testing.T) {
	s := &shelf{t: t}
	c := &Client{definitions: s}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		s.register(version)
		for range 3 {
			wantVersion(t, c, "", version)
		}
	}
	wantVersion(t, c, "1.0.0", "1.0.0")
	wantVersion(t, c, "1.0.0", "1.0.0")
	if s.full != 3 || s.reads != 7 {
		t.Errorf("state was asked %d times, and gave %d definitions", s.reads, s.full)
	}
}

// Those who ask while a read is under way share the next: what that reads was there when they asked.
func TestLookupsThatComeTogetherShareARead(t *testing.T) {
	const callers = 100
	s := &shelf{t: t, asked: make(chan struct{}), hold: make(chan struct{})}
	c := &Client{definitions: s}
	s.register("1.0.0")
	var first, rest sync.WaitGroup
	first.Go(func() { wantVersion(t, c, "", "1.0.0") })
	<-s.asked
	s.register("1.1.0")
	joined := make(chan struct{}, callers)
	for range callers {
		rest.Go(func() {
			it := c.lookups.join(t.Context(), "default/w@", func(context.Context) (*workflow.Definition, error) {
				return c.read(t.Context(), &statev1.GetDefinitionRequest{Namespace: "default", Name: "w"}, nil)
			})
			joined <- struct{}{}
			if <-it.done; it.err != nil || it.got.Proto.GetMetadata().GetVersion() != "1.1.0" {
				t.Errorf("got %v, %v", it.got.Proto.GetMetadata(), it.err)
			}
		})
	}
	for range callers {
		<-joined
	}
	s.hold <- struct{}{}
	first.Wait()
	<-s.asked
	s.hold <- struct{}{}
	rest.Wait()
	if s.reads != 2 {
		t.Errorf("state was asked %d times, want 2", s.reads)
	}
}

// A caller who leaves takes nothing from those who stay.
func TestACallerOfASharedReadMayLeave(t *testing.T) {
	s := &shelf{t: t, asked: make(chan struct{}), hold: make(chan struct{})}
	c := &Client{definitions: s}
	s.register("1.0.0")
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := c.Latest(ctx, "default", "w", ""); err == nil {
			t.Error("whoever left was answered")
		}
	})
	<-s.asked
	leave()
	all.Wait()
	all.Go(func() { wantVersion(t, c, "", "1.0.0") })
	s.hold <- struct{}{}
	<-s.asked
	s.hold <- struct{}{}
	all.Wait()
}
