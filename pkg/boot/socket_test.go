package boot_test

import (
	"net"
	"testing"
)

// leaveSocketBehind makes the file that a process killed with -9 leaves.
func leaveSocketBehind(t *testing.T, path string) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}
