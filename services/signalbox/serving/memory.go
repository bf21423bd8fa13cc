package serving

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap of a server grow to five times what lives before it is collected. What lives is small (heads of runs that
// move, calls under way) and most of what is allocated dies with its call, so that collecting less often costs some memory and saves a
// good part of the processor.
const gcPercent = 400

// tuneMemory sets the garbage collector for servers. Who sets GOGC wins, and GOMEMLIMIT holds either way.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
