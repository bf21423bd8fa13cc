package workflow

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: the package starts no goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
