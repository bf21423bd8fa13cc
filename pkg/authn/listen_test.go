package authn_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/authn"
)

func TestCheckListenRefusesOthersMachinesWithoutAKey(t *testing.T) {
	for addr, loopback := range map[string]bool{
		"127.0.0.1:7411": true, "127.9.9.9:1": true, "[::1]:7411": true, "localhost:0": true, "[::ffff:127.0.0.1]:1": true,
		"unix:/tmp/signalbox.sock": true,
		":7411":                    false, "0.0.0.0:7411": false, "[::]:7411": false, "10.0.0.1:7411": false, "signalbox.example:7411": false,
		"localhost.evil.example:1": false,
	} {
		err := authn.CheckListen("listen.grpc", addr, false)
		if (err == nil) != loopback {
			t.Errorf("CheckListen(%q, no key) = %v", addr, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "listen.grpc") || !strings.Contains(err.Error(), "auth.api_key")) {
			t.Errorf("%v names neither the field nor the mend", err)
		}
		if err := authn.CheckListen("listen.grpc", addr, true); err != nil {
			t.Errorf("CheckListen(%q, with key) = %v", addr, err)
		}
	}
}

func TestCheckListenRefusesWhatIsNoAddress(t *testing.T) {
	for _, addr := range []string{"", "7411", "127.0.0.1"} {
		if err := authn.CheckListen("listen.grpc", addr, true); err == nil {
			t.Errorf("CheckListen(%q) accepts it", addr)
		}
	}
}
