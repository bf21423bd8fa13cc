//go:build unix

package mcpclient

import (
	"os/exec"
	"syscall"
)

const (
	kill      = syscall.SIGKILL
	terminate = syscall.SIGTERM
)

// ownGroup gives a process a group of its own, so that it can be ended with all it starts, and so that an interrupt typed at our
// terminal reaches it through us alone.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signal reaches the whole group; a group that is gone is no error.
func (p *process) signal(what syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, what) }
