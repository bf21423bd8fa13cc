// Command noop is the smallest MCP tool server: one tool that does nothing and counts. The benchmark calls
// it directly and through Signalbox. GOGC and GOMEMLIMIT act as for every Go program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/serve"
)

func main() {
	address := flag.String("http", "", "serve MCP over streamable HTTP on this loopback `host:port`, path /mcp")
	overStdio := flag.Bool("stdio", false, "serve MCP over standard input and output")
	stateless := flag.Bool("stateless", false, "serve each HTTP request by itself (and protocol 2026-07-28), without sessions")
	sse := flag.Bool("sse", false, "answer HTTP requests with text/event-stream instead of application/json")
	control := flag.String("control", "", "serve GET /stats on this loopback `host:port`")
	flag.Parse()
	if (*address == "") == !*overStdio || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "noop: give either --http host:port or --stdio; see noop --help")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &server{}
	servers := serve.Servers{HTTP: *address, Control: *control, Grace: 2 * time.Second}
	err := servers.Serve(ctx, s.http(*stateless, *sse), s.control(), func(ctx context.Context) error {
		return s.mcp().Run(ctx, &mcp.StdioTransport{})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}
