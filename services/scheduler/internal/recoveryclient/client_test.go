package recoveryclient

import (
	"log/slog"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// While recovery is away, failures do not fill the memory; the newest are kept.
func TestOutcomesThatWaitAreBounded(t *testing.T) {
	c := New(nil, fakeclock.New(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), slog.New(slog.DiscardHandler))
	for range 5 * maxWaiting {
		c.Report(core.Outcome{Tool: "old", Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT})
	}
	c.Report(core.Outcome{Tool: "newest", Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT})
	n, last := 0, ""
	for batch := c.next(); len(batch) > 0; batch = c.next() {
		n, last = n+len(batch), batch[len(batch)-1].GetTool()
	}
	if n > maxWaiting || n < maxWaiting/2 || last != "newest" {
		t.Errorf("%d outcomes wait, the last of %s", n, last)
	}
}
