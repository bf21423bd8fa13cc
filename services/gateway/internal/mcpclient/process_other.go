//go:build !unix

package mcpclient

import "os/exec"

const (
	kill      = true
	terminate = false
)

func ownGroup(*exec.Cmd) {}

// signal kills the process alone: there are no groups here, and no polite way.
func (p *process) signal(hard bool) {
	if hard {
		_ = p.cmd.Process.Kill()
	}
}
