package clock

import (
	"context"
	"errors"
	"time"
)

// Pauses are the waits between tries: First, then twice as long each time, up to Longest.
type Pauses struct {
	First, Longest time.Duration
}

// ReconnectPauses suit whoever has lost another service and wants it back soon.
var ReconnectPauses = Pauses{First: 20 * time.Millisecond, Longest: time.Second}

// Retry tries until try returns nil, or ctx ends; then it returns ctx's error joined with the last one of try. A try that works for a while
// before it fails, such as a stream, calls works, and the pauses begin with the first again. Each failure is told to failed, unless that is
// nil, before the pause; one that comes with the end of ctx is not.
func (p Pauses) Retry(ctx context.Context, c Clock, try func(works func()) error, failed func(error)) error {
	pause := p.First
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		err := try(func() { pause = p.First })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if failed != nil {
			failed(err)
		}
		if ended := Sleep(ctx, c, pause); ended != nil {
			return errors.Join(ended, err)
		}
		pause = min(pause*2, p.Longest)
	}
}
