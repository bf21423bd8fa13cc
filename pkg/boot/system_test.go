package boot_test

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/boot"
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

// The process's own signals are heeded when a test gives no others.
func TestSIGTERMOfTheProcessDrains(t *testing.T) {
	happened := &events{}
	up := make(chan boot.Addresses, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- boot.Run(context.Background(), boot.Options{
			Config: testConfig(), Modules: []boot.Module{recorded(happened, "a")}, LogTo: io.Discard, Up: func(a boot.Addresses) { up <- a },
		})
	}()
	<-up
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !slices.Contains(happened.all(), "stop a") {
		t.Errorf("ended with %v after %v", err, happened.all())
	}
}
