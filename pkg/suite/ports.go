package suite

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

const (
	firstPort = 10240
	// firstEphemeral is where the kernel begins to take ports for outgoing connections, unless it says otherwise.
	firstEphemeral = 32768
	portTries      = 1000
)

// Addresses finds loopback addresses that nobody listens on. Their ports lie below those that the kernel gives to outgoing connections,
// so that nobody takes one while the process that listens there is down.
func Addresses(n int) ([]string, error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	var addrs []string
	end := ephemeral()
	for range portTries {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(end-firstPort)))
		if l, err := net.Listen("tcp", addr); err == nil { //nolint:noctx // it is closed at once
			listeners, addrs = append(listeners, l), append(addrs, addr)
		}
	}
	return nil, fmt.Errorf("found %d free ports between %d and %d, %d are needed", len(addrs), firstPort, end, n)
}

// ephemeral is the first port that the kernel gives to outgoing connections.
func ephemeral() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	low := 0
	if err == nil {
		_, err = fmt.Sscan(string(text), &low)
	}
	if err != nil || low <= firstPort {
		return firstEphemeral
	}
	return low
}
