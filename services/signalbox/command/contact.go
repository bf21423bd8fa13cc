package command

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// How a command that follows a run bears with a suite that restarts.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// forbearance is how long nobody may answer before the command gives up.
	forbearance = time.Minute
)

// contact bears with a suite that is away for a while: a process that was killed comes back, and the run with it.
type contact struct {
	app   *App
	suite *suite
	since time.Time
	pause time.Duration
}

func newContact(app *App, s *suite) *contact { return &contact{app: app, suite: s} }

// made notes that the suite answers.
func (c *contact) made() {
	if c.pause > 0 {
		c.app.output.Note("%s answers again", c.suite.address)
	}
	c.suite.met, c.pause = true, 0
}

// lost waits a little and returns nil when the call is worth making again, else the error to end with. A suite that has never
// answered is not waited for.
func (c *contact) lost(ctx context.Context, err error) error {
	if errs.CodeOf(err) != codes.Unavailable || !c.suite.met {
		return err
	}
	now := c.app.Clock.Now()
	if c.pause == 0 {
		c.since, c.pause = now, firstPause
		c.app.output.Note("%s does not answer; trying again for up to %v", c.suite.address, forbearance)
	}
	if now.Sub(c.since) > forbearance {
		return err
	}
	pause := c.pause
	c.pause = min(2*pause, lastPause)
	return clock.Sleep(ctx, c.app.Clock, pause)
}
