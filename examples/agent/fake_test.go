package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is a fake of AgentService over real gRPC, before a real shop. Its limits: one task at a time, no leases, and its ledger knows
// keys only.
type gateway struct {
	gatewayv1.UnimplementedAgentServiceServer
	shop *shop.Shop

	mu        sync.Mutex
	offers    chan *schedulerv1.ClaimedTask
	token     string
	claims    int
	ledger    map[string]*schedulerv1.CallToolResponse
	live      []string                      // calls that reached the shop, as "key tool"
	interfere func(rpc string, n int) error // asked before the n-th request of an RPC; an error is answered
	after     func(rpc string, n int) error // asked after it was carried out: the answer is lost
	seen      map[string]int
	used      []agent.Usage // as heartbeats told it
	done      chan json.RawMessage
	failed    chan string
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shop.Open(shop.Config{Path: filepath.Join(t.TempDir(), "shop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	return &gateway{
		shop: s, offers: make(chan *schedulerv1.ClaimedTask, 4), ledger: map[string]*schedulerv1.CallToolResponse{}, seen: map[string]int{},
		done: make(chan json.RawMessage, 4), failed: make(chan string, 4),
	}
}

// serve listens and returns a connection.
func (g *gateway) serve(t *testing.T) grpc.ClientConnInterface {
	t.Helper()
	server, err := rpcserver.New(rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	gatewayv1.RegisterAgentServiceServer(server, g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	conn, err := rpcclient.Dial(l.Addr().String(), rpcclient.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Stop(context.Background())
		<-served
	})
	return conn
}

func (g *gateway) offer(id string, arguments any, tools ...string) {
	args, err := json.Marshal(arguments)
	if err != nil {
		panic(err) // a literal of the test
	}
	g.offers <- &schedulerv1.ClaimedTask{TaskId: id, RunId: "run-1", Arguments: args, AllowedTools: tools}
}

func (g *gateway) ask(rpc string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[rpc]++
	if g.interfere == nil {
		return nil
	}
	return g.interfere(rpc, g.seen[rpc])
}

func (g *gateway) lose(rpc string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.after == nil {
		return nil
	}
	return g.after(rpc, g.seen[rpc])
}

func (g *gateway) ClaimTask(ctx context.Context, _ *gatewayv1.ClaimTaskRequest) (*gatewayv1.ClaimTaskResponse, error) {
	if err := g.ask("claim"); err != nil {
		return nil, err
	}
	select {
	case task := <-g.offers:
		g.mu.Lock()
		defer g.mu.Unlock()
		g.claims++
		g.token = fmt.Sprint("token-", g.claims)
		task.ClaimToken, task.Claim, task.Lease = g.token, uint32(g.claims), durationpb.New(0)
		return &gatewayv1.ClaimTaskResponse{Task: task}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *gateway) check(token string) error {
	if token != g.token {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, "this claim is over")
	}
	return nil
}

func (g *gateway) CallTaskTool(ctx context.Context, req *gatewayv1.CallTaskToolRequest) (*gatewayv1.CallTaskToolResponse, error) {
	if err := g.ask("call"); err != nil {
		return nil, err
	}
	r := req.GetRequest()
	g.mu.Lock()
	stale, answer := g.check(r.GetClaimToken()), g.ledger[r.GetKey()]
	g.mu.Unlock()
	if stale != nil {
		return nil, stale
	}
	if answer != nil {
		return &gatewayv1.CallTaskToolResponse{Response: &schedulerv1.CallToolResponse{Output: answer.GetOutput(), IsError: answer.GetIsError(), Replayed: true}}, nil
	}
	_, tool, _ := strings.Cut(r.GetTool(), "/")
	result, err := g.shop.Call(ctx, tool, r.GetArguments(), shop.Caller{Key: r.GetKey()})
	answer = &schedulerv1.CallToolResponse{Output: []byte(result.Text)}
	if no, ok := shop.AsRefusal(err); ok {
		answer.Output, _ = json.Marshal(no.Error())
		answer.IsError = true
	} else if err != nil {
		return nil, errs.Internal(err)
	}
	if !json.Valid(answer.GetOutput()) {
		answer.Output, _ = json.Marshal(result.Text)
	}
	g.mu.Lock()
	g.ledger[r.GetKey()] = answer
	g.live = append(g.live, r.GetKey()+" "+tool)
	g.mu.Unlock()
	if err := g.lose("call"); err != nil {
		return nil, err
	}
	return &gatewayv1.CallTaskToolResponse{Response: answer}, nil
}

func (g *gateway) CompleteTask(_ context.Context, req *gatewayv1.AgentServiceCompleteTaskRequest) (*gatewayv1.AgentServiceCompleteTaskResponse, error) {
	if err := g.ask("complete"); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.check(req.GetRequest().GetClaimToken()); err != nil {
		return nil, err
	}
	g.token = ""
	g.done <- req.GetRequest().GetOutput()
	return &gatewayv1.AgentServiceCompleteTaskResponse{}, nil
}

func (g *gateway) FailTask(_ context.Context, req *gatewayv1.AgentServiceFailTaskRequest) (*gatewayv1.AgentServiceFailTaskResponse, error) {
	g.failed <- req.GetRequest().GetMessage()
	return &gatewayv1.AgentServiceFailTaskResponse{}, nil
}

func (g *gateway) HeartbeatTask(_ context.Context, req *gatewayv1.AgentServiceHeartbeatTaskRequest) (*gatewayv1.AgentServiceHeartbeatTaskResponse, error) {
	if err := g.ask("heartbeat"); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := req.GetRequest()
	g.used = append(g.used, agent.Usage{Turns: r.GetTurns(), Tokens: r.GetTokens(), CostUSD: r.GetCostUsd()})
	return &gatewayv1.AgentServiceHeartbeatTaskResponse{Response: &schedulerv1.HeartbeatTaskResponse{}}, nil
}
