package mcpclient

import (
	"net"
	"sync"
)

// countedConn knows how many bytes were handed to it, and can be sealed: after seal has returned n, no more than n bytes have been
// or ever will be written. That is what makes "not sent" certain when a call is given up while another goroutine is writing it.
type countedConn struct {
	net.Conn
	mu     sync.Mutex
	handed int64
	sealed bool
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	c.handed += int64(len(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// count returns the bytes handed over so far.
func (c *countedConn) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handed
}

// seal closes the connection for good and returns the bytes handed over before.
func (c *countedConn) seal() int64 {
	c.mu.Lock()
	c.sealed = true
	handed := c.handed
	c.mu.Unlock()
	_ = c.Close()
	return handed
}

// countedOf finds the counted connection below TLS; nil when there is none.
func countedOf(conn net.Conn) *countedConn {
	for {
		switch c := conn.(type) {
		case *countedConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
