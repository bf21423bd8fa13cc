package authn

import (
	"net"
	"net/netip"
	"strings"

	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// CheckListen refuses an address that other machines can reach when callers need no key. field is the configuration field
// that holds the address, for the message, for example "listen.grpc".
func CheckListen(field, addr string, authenticated bool) error {
	if IsUnix(addr) {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return errs.Invalid(field, "%q is not an address; give HOST:PORT, for example 127.0.0.1:7411", addr)
	}
	if authenticated || isLoopback(host) {
		return nil
	}
	return errs.Invalid(field, "%q can be reached from other machines, and no API key is set; set auth.api_key or auth.api_key_file, or listen on 127.0.0.1", addr)
}

// IsUnix reports whether addr names a unix socket: "unix:" and a path.
func IsUnix(addr string) bool { return strings.HasPrefix(addr, "unix:") }

// isLoopback is false for names other than localhost: what they resolve to can change.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
