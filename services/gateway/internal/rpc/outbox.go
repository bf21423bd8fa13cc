// Package rpc translates the gateway's contracts to core and back.
package rpc

import (
	"sync"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

const (
	// batchResults and batchBytes bound one response; a single larger result goes alone.
	batchResults = 256
	batchBytes   = 1 << 20
)

// outbox collects what is to be sent on one stream. Whoever puts something in never waits for the stream.
type outbox struct {
	filled chan struct{} // holds a value while there may be something to send

	mu      sync.Mutex
	closed  bool
	owed    int // results that this stream waits for
	results []core.Result
	servers []core.ServerStatus
}

var (
	_ core.Receiver      = (*outbox)(nil)
	_ core.StatusWatcher = (*outbox)(nil)
)

func newOutbox() *outbox { return &outbox{filled: make(chan struct{}, 1)} }

// owe counts results that will be delivered.
func (o *outbox) owe(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owed += n
}

// Deliver implements core.Receiver. A result for a stream that is gone is dropped: its receipt stays with the dispatcher.
func (o *outbox) Deliver(result core.Result) {
	o.mu.Lock()
	o.owed--
	if !o.closed {
		o.results = append(o.results, result)
	}
	o.mu.Unlock()
	o.wake()
}

// ServerChanged implements core.StatusWatcher.
func (o *outbox) ServerChanged(status core.ServerStatus) {
	o.mu.Lock()
	o.servers = append(o.servers, status)
	o.mu.Unlock()
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// take returns what is to be sent next; nil means nothing now. idle says that nothing is owed either.
func (o *outbox) take() (response *gatewayv1.DispatchResponse, idle bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.results) == 0 && len(o.servers) == 0 {
		return nil, o.owed == 0
	}
	response = &gatewayv1.DispatchResponse{}
	for _, status := range o.servers {
		response.Servers = append(response.Servers, serverToProto(status))
	}
	o.servers = nil
	n := batchLength(o.results)
	if n > 0 {
		response.Results = make([]*gatewayv1.AttemptResult, n)
	}
	for i := range n {
		response.Results[i] = resultToProto(&o.results[i])
		o.results[i] = core.Result{}
	}
	if o.results = o.results[n:]; len(o.results) == 0 {
		o.results = nil
	}
	return response, false
}

// batchLength is how many of the results go into one response.
func batchLength(results []core.Result) int {
	bytes := 0
	for i := range results {
		bytes += len(results[i].Output) + len(results[i].Message)
		if i > 0 && bytes > batchBytes {
			return i
		}
		if i+1 == batchResults {
			return batchResults
		}
	}
	return len(results)
}

// close drops what is left and what comes later.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.results, o.servers = true, nil, nil
}
