package serving

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
)

func TestBannerSaysWhatToDoNext(t *testing.T) {
	cfg := config.Default()
	cfg.Servers = map[string]config.ToolServer{"mail": {}, "desk": {}}
	usual := boot.Addresses{GRPC: cfg.Listen.GRPC, HTTP: "127.0.0.1:7412", Admin: "127.0.0.1:7413"}
	everything := []string{"state", "gateway"}
	for _, test := range []struct {
		name          string
		greeting      greeting
		says, without []string
	}{
		{
			"everything, at the usual address", greet("1.0.0", cfg, everything, true, usual, 1),
			[]string{
				"Signalbox 1.0.0 is up: state, gateway", "Data   ./signalbox-data", "Tools  desk, mail", "signalbox workflow apply FILE\n",
				"claude mcp add --transport http signalbox http://127.0.0.1:7412/mcp",
			}, []string{"--address"},
		},
		{
			"everything, elsewhere", greet("1.0.0", config.Default(), everything, true, boot.Addresses{GRPC: "127.0.0.1:9", HTTP: "127.0.0.1:8", Admin: "127.0.0.1:7"}, 1),
			[]string{"signalbox workflow apply --address 127.0.0.1:9 FILE", "none yet; declare tool servers in signalbox.yaml"}, nil,
		},
		{
			"one service", greet("1.0.0", cfg, []string{"recovery"}, false, boot.Addresses{GRPC: "127.0.0.1:9", Admin: "127.0.0.1:7"}, 1),
			[]string{"is up: recovery"}, []string{"MCP", "Data", "Tools", "Next"},
		},
	} {
		text := test.greeting.banner()
		for _, want := range test.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: it does not say %q:\n%s", test.name, want, text)
			}
		}
		for _, not := range test.without {
			if strings.Contains(text, not) {
				t.Errorf("%s: it speaks of %q:\n%s", test.name, not, text)
			}
		}
	}
}

func TestServingDrawsInWhatIsNeeded(t *testing.T) {
	modules := []boot.Module{{Name: "etcd"}, {Name: "state", Service: true}, {Name: "lock", Service: true, DependsOn: []string{"etcd"}}}
	for names, want := range map[string]string{"": "etcd state lock", "lock": "lock etcd", "state": "state", "state lock": "state lock etcd"} {
		if got := strings.Join(drawnIn(modules, strings.Fields(names)), " "); got != want {
			t.Errorf("%q draws in %q, want %q", names, got, want)
		}
	}
}
