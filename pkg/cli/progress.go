package cli

import (
	"fmt"
	"sync"
)

// Progress is one line on standard error that tells what is going on. On a terminal it is rewritten in place; elsewhere each new
// text is a line of its own; with JSON output it is silent. It is safe for concurrent use.
type Progress struct {
	output *Output

	mu   sync.Mutex
	last string
}

// Progress returns a line without text. End it with Done.
func (o *Output) Progress() *Progress { return &Progress{output: o} }

// Set changes the text.
func (p *Progress) Set(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.output.json || text == p.last {
		return
	}
	p.last = text
	if p.output.errTTY {
		fmt.Fprint(p.output.err, "\r\x1b[K"+text)
		return
	}
	fmt.Fprintln(p.output.err, text)
}

// Done takes the line away on a terminal, so that results do not mix with it. Set may be called again afterwards.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.output.errTTY && p.last != "" {
		fmt.Fprint(p.output.err, "\r\x1b[K")
	}
	p.last = ""
}
