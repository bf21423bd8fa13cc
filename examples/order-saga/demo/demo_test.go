package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			_ = os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// built is the folder of the binary; empty: no test needed one.
var built string

var update = flag.Bool("update", false, "write workflow/tools.json anew")

// What `make lint-examples` checks the workflows against is what the servers tell.
func TestToolsAreThoseOfTheServers(t *testing.T) {
	servers, err := shops.Serve(shops.NewBooks(nil), &shops.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	bin := binary(t)
	s, err := suite.Start(t.Context(), suite.Options{Binary: bin, Dir: t.TempDir(), Config: servers.Config()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	got, err := exec.CommandContext(t.Context(), bin, "tool", "list", "-o", "json", "--address", s.Address("gateway")).Output()
	if err != nil {
		t.Fatal(err)
	}
	const file = "../workflow/tools.json"
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the servers' tools are others than %s says; write it anew: go test ./examples/order-saga/demo -run Tools -update\n%s", file, got)
	}
}

// binary is signalbox, built once for all tests.
var binary = func() func(t *testing.T) string {
	var once sync.Once
	var path string
	return func(t *testing.T) string {
		t.Helper()
		once.Do(func() {
			dir, err := os.MkdirTemp("", "signalbox-saga-test-")
			if err != nil {
				t.Fatal(err)
			}
			built = dir
			if path, err = suite.Build(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
		})
		return path
	}
}()

// The demonstration itself, with few orders: it fails when an order is half there, or when something happened twice.
func TestOrdersAreWholeOrNotAtAll(t *testing.T) {
	bin := binary(t)
	var said bytes.Buffer
	if err := run(t.Context(), []string{"--bin", bin, "--orders", "6", "--kills", "1", "--seed", "7"}, stage.NewPage(&said)); err != nil {
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
