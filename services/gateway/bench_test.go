package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
)

// benchServer, in the environment, makes this test binary a tool server for benchmarks.
const benchServer = "SIGNALBOX_BENCH_TOOL_SERVER"

func serveBench(mode string) {
	server := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "noop", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat("x", 200)}}}, nil
		})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{JSONResponse: mode == "json"})
	_ = http.Serve(listener, handler)
}

func startBenchServer(b *testing.B, mode string) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchServer+"="+mode)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

const benchCallers = 32

// eachCaller shares b.N calls among the callers.
func eachCaller(b *testing.B, call func()) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wait sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range benchCallers {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				call()
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkCalls compares the SDK's client with the gateway's egress, against the same tool server in a process of its own.
func BenchmarkCalls(b *testing.B) {
	for _, mode := range []string{"json", "events"} {
		url := startBenchServer(b, mode)
		b.Run(mode+"/raw SDK client", func(b *testing.B) { benchRaw(b, url, 1) })
		b.Run(mode+"/raw SDK client, 4 sessions", func(b *testing.B) { benchRaw(b, url, 4) })
		b.Run(mode+"/Dispatch in process", func(b *testing.B) { benchDispatch(b, url) })
	}
}

func benchRaw(b *testing.B, url string, sessions int) {
	client := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	transport := &http.Transport{MaxIdleConnsPerHost: benchCallers}
	all := make([]*mcp.ClientSession, sessions)
	for i := range all {
		session, err := client.Connect(b.Context(), &mcp.StreamableClientTransport{
			Endpoint: url, HTTPClient: &http.Client{Transport: transport},
		}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
		if err != nil {
			b.Fatal(err)
		}
		all[i] = session
	}
	var n atomic.Int64
	eachCaller(b, func() {
		session := all[int(n.Add(1))%sessions]
		if _, err := session.CallTool(b.Context(), &mcp.CallToolParams{Name: "noop", Arguments: json.RawMessage(`{"a":1}`)}); err != nil {
			b.Error(err)
		}
	})
	for _, session := range all {
		_ = session.Close()
	}
	transport.CloseIdleConnections()
}

func benchDispatch(b *testing.B, url string) {
	service, err := New(Config{Servers: map[string]ServerConfig{"desk": {HTTP: &HTTPConfig{URL: url}}}}, Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	var channel inprocgrpc.Channel
	service.Register(&channel)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	stream, err := gatewayv1.NewEgressServiceClient(&channel).Dispatch(ctx)
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	waiting := map[string]chan struct{}{}
	go func() {
		for {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			for _, result := range response.GetResults() {
				if result.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED {
					b.Errorf("got %v", result)
				}
				mu.Lock()
				done := waiting[result.GetAttempt().GetOperationId()]
				delete(waiting, result.GetAttempt().GetOperationId())
				mu.Unlock()
				close(done)
			}
		}
	}()
	var n atomic.Int64
	var sending sync.Mutex
	eachCaller(b, func() {
		operation := fmt.Sprint(n.Add(1))
		done := make(chan struct{})
		mu.Lock()
		waiting[operation] = done
		mu.Unlock()
		request := &gatewayv1.DispatchRequest{Invocations: []*gatewayv1.Invocation{{
			Attempt: &gatewayv1.AttemptRef{Namespace: "default", RunId: "r", OperationId: operation, Attempt: 1}, Server: "desk", Tool: "noop",
			Arguments: []byte(`{"a":1}`), IdempotencyKey: operation, Deadline: timestamppb.New(time.Now().Add(time.Minute)),
			StepPath: "work/step", Incarnation: service.Incarnation(),
		}}}
		sending.Lock()
		err := stream.Send(request)
		sending.Unlock()
		if err != nil {
			b.Error(err)
			return
		}
		<-done
	})
}
