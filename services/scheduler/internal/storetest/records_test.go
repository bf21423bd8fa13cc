package storetest_test

import (
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Records(t, func(*testing.T) core.Records {
		return storetest.NewMemory(fakeclock.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)))
	})
}
