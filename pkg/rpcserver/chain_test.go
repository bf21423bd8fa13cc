package rpcserver

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fullChain(t *testing.T) *Chain {
	t.Helper()
	chain, err := NewChain(Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestOrderOfTheChain(t *testing.T) {
	want := []string{"metrics", "logging", "mask", "recovery", "identity", "deadline", "validation"}
	if got := fullChain(t).Names(); !slices.Equal(got, want) {
		t.Errorf("the chain is %v, want %v", got, want)
	}
	gated, err := fullChain(t).with(newGate().link(), "recovery")
	if err != nil {
		t.Fatal(err)
	}
	want = slices.Insert(want, 4, "drain")
	if got := gated.Names(); !slices.Equal(got, want) {
		t.Errorf("the chain of a socket is %v, want %v", got, want)
	}
}

func TestEveryLinkOutOfPlaceIsFoundAtStart(t *testing.T) {
	chain := fullChain(t)
	for i := range len(chain.links) - 1 {
		swapped := &Chain{links: slices.Clone(chain.links)}
		swapped.links[i], swapped.links[i+1] = swapped.links[i+1], swapped.links[i]
		if err := swapped.check(); err == nil {
			t.Errorf("%v passes the check", swapped.Names())
		}
	}
}

func TestIncompleteAndDoubleLinksAreFoundAtStart(t *testing.T) {
	chain := fullChain(t)
	spoil := func(change func(links []interceptor) []interceptor) error {
		return (&Chain{links: change(slices.Clone(chain.links))}).check()
	}
	for name, change := range map[string]func([]interceptor) []interceptor{
		"no stream": func(l []interceptor) []interceptor { l[2].stream = nil; return l },
		"no unary":  func(l []interceptor) []interceptor { l[2].unary = nil; return l },
		"no reason": func(l []interceptor) []interceptor { l[2].reason = ""; return l },
		"no name":   func(l []interceptor) []interceptor { l[2].name = ""; return l },
		"twice":     func(l []interceptor) []interceptor { return append(l, l[2]) },
	} {
		if err := spoil(change); err == nil {
			t.Errorf("%s: passes the check", name)
		}
	}
	if err := chain.check(); err != nil {
		t.Errorf("the tests changed the chain itself: %v", err)
	}
}

func TestReasonsFitOnOneLine(t *testing.T) {
	for _, link := range fullChain(t).links {
		if strings.Contains(link.reason, "\n") || len(link.reason) > 120 {
			t.Errorf("the reason of %s is too long", link.name)
		}
	}
}

func TestLinksRunFromTheOutsideIn(t *testing.T) {
	var ran []string
	mark := func(name string) interceptor {
		return interceptor{name: name, reason: "test",
			unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				ran = append(ran, name)
				return handler(ctx, req)
			},
			stream: func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				ran = append(ran, name)
				return handler(srv, stream)
			},
		}
	}
	chain := &Chain{links: []interceptor{mark("a"), mark("b"), mark("c")}}
	response, err := chain.Unary()(t.Context(), "request", &grpc.UnaryServerInfo{}, func(_ context.Context, req any) (any, error) {
		ran = append(ran, "handler")
		return req, nil
	})
	if err != nil || response != "request" {
		t.Errorf("got %v, %v", response, err)
	}
	if err := chain.Stream()(nil, nil, &grpc.StreamServerInfo{}, func(any, grpc.ServerStream) error {
		ran = append(ran, "handler")
		return nil
	}); err != nil {
		t.Error(err)
	}
	if want := []string{"a", "b", "c", "handler", "a", "b", "c", "handler"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v", ran)
	}
}

func TestOneRegistryTakesOneChain(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := NewChain(Options{Metrics: registry}); err != nil {
		t.Fatal(err)
	}
	if _, err := NewChain(Options{Metrics: registry}); err == nil {
		t.Error("a second chain in the same registry is accepted; its calls would not be counted")
	}
}
