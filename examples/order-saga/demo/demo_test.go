package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The demonstration itself, with few orders: it fails when an order is half there, or when something happened twice.
func TestOrdersAreWholeOrNotAtAll(t *testing.T) {
	bin := os.Getenv("SIGNALBOX_BIN")
	if bin == "" {
		var err error
		if bin, err = suite.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	if err := run(t.Context(), []string{"--bin", bin, "--orders", "8", "--kills", "1", "--seed", "7"}, stage.NewPage(&said)); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), "nothing happened twice") {
		t.Errorf("the demonstration says nothing of its end:\n%s", said.String())
	}
}

func TestWrongNumbers(t *testing.T) {
	var said bytes.Buffer
	if err := run(t.Context(), []string{"--orders", "0"}, stage.NewPage(&said)); err == nil || !strings.Contains(err.Error(), "from 1 to 5000") {
		t.Errorf("0 orders: %v", err)
	}
}
