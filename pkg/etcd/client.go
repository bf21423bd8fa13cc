package etcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ClientConfig says how to reach a remote etcd cluster. Only Endpoints has no default.
type ClientConfig struct {
	// Endpoints are the URLs of the members, for example "https://etcd-0:2379". Required.
	Endpoints []string
	// TLS is used for https endpoints. Default: the system's roots.
	TLS *tls.Config
	// Username and Password authenticate to a cluster with authentication on; give both or neither.
	Username, Password string
	// KeepAlive is how often an idle connection is probed, so that a dead member is noticed. Default 10s.
	KeepAlive time.Duration
	// Logger gets the client's warnings and errors. Default: nothing is logged.
	Logger *slog.Logger
}

// Validate reports the first field that cannot work, and how to mend it.
func (c ClientConfig) Validate() error {
	if len(c.Endpoints) == 0 {
		return errors.New("etcd: endpoints is empty; give the URL of at least one member")
	}
	if (c.Username == "") != (c.Password == "") {
		return errors.New("etcd: username and password must be given together; leave out both for none")
	}
	if c.KeepAlive < 0 {
		return fmt.Errorf("etcd: keep_alive %v is negative; leave it out for 10s", c.KeepAlive)
	}
	return nil
}

// Dial makes a client of a remote cluster; the caller closes it. It does not wait for a connection: a cluster that is away
// shows in the calls, so that services may start in any order.
func Dial(cfg ClientConfig) (*clientv3.Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	keepAlive := cfg.KeepAlive
	if keepAlive == 0 {
		keepAlive = 10 * time.Second
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Endpoints,
		TLS:                  cfg.TLS,
		Username:             cfg.Username,
		Password:             cfg.Password,
		DialKeepAliveTime:    keepAlive,
		DialKeepAliveTimeout: keepAlive,
		PermitWithoutStream:  true,
		Logger:               newZap(cfg.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd: connect to %v: %w", cfg.Endpoints, err)
	}
	return client, nil
}
