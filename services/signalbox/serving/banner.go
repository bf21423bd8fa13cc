package serving

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
)

// greeting is what a process says of itself once it is up; the JSON form is for programs.
type greeting struct {
	Version  string   `json:"version"`
	Services []string `json:"services"`
	GRPC     string   `json:"grpc"`
	MCP      string   `json:"mcp,omitempty"`
	Admin    string   `json:"admin"`
	DataDir  string   `json:"data_dir,omitempty"`
	Tools    []string `json:"tool_servers,omitempty"`
	PID      int      `json:"pid"`
}

// banner is the greeting for people.
func (g greeting) banner() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\nSignalbox %s is up: %s\n\n", g.Version, strings.Join(g.Services, ", "))
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&text, "  %-6s %s\n", key, value)
		}
	}
	line("gRPC", g.GRPC)
	line("MCP", g.MCP)
	line("Admin", "http://"+g.Admin+"  (/readyz /metrics /debug/pprof/)")
	line("Data", g.DataDir)
	if slices.Contains(g.Services, "gateway") {
		tools := strings.Join(g.Tools, ", ")
		if tools == "" {
			tools = "none yet; declare tool servers in signalbox.yaml under servers"
		}
		line("Tools", tools)
	}
	if hint := g.next(); hint != "" {
		fmt.Fprintf(&text, "\nNext, in another terminal:\n%s\n", hint)
	}
	return text.String()
}

// next says what to try, where everything that it needs runs here.
func (g greeting) next() string {
	if g.MCP == "" || !slices.Contains(g.Services, "state") {
		return ""
	}
	address := ""
	if g.GRPC != config.Default().Listen.GRPC {
		address = " --address " + g.GRPC
	}
	return fmt.Sprintf("  signalbox tool list%s\n  signalbox workflow apply%s FILE\n  claude mcp add --transport http signalbox %s\n", address, address, g.MCP)
}

func greet(version string, cfg config.Config, services []string, keepsData bool, at boot.Addresses, pid int) greeting {
	g := greeting{Version: version, Services: services, GRPC: at.GRPC, Admin: at.Admin, PID: pid}
	if at.HTTP != "" {
		g.MCP = "http://" + at.HTTP + "/mcp"
	}
	if keepsData {
		g.DataDir = cfg.DataDir
	}
	g.Tools = slices.Sorted(maps.Keys(cfg.Servers))
	return g
}
