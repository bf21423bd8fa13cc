package core

import "sync"

// maxIdleWorkers bounds the goroutines that are kept for the next actor.
const maxIdleWorkers = 256

// pool runs actors on goroutines that it keeps: deciding and marshalling go deep, and growing a fresh stack for each input costs more
// than the decision (15 % of the processor in the eight-step benchmark).
type pool struct {
	mu     sync.Mutex
	idle   []chan *actor
	closed bool
}

// run runs an actor; it does not block.
func (p *pool) run(a *actor) {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		go p.work(a)
		return
	}
	next := p.idle[n-1]
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	next <- a
}

func (p *pool) work(a *actor) {
	next := make(chan *actor, 1)
	for a != nil {
		a.work()
		p.mu.Lock()
		if p.closed || len(p.idle) >= maxIdleWorkers {
			p.mu.Unlock()
			return
		}
		p.idle = append(p.idle, next)
		p.mu.Unlock()
		a = <-next
	}
}

// close lets idle goroutines end; busy ones end after their actor.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, next := range p.idle {
		next <- nil
	}
	p.idle = nil
}
