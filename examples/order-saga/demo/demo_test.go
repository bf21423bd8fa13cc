package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/stage/stagetest"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

var update = flag.Bool("update", false, "write workflow/tools.json anew")

// What `make lint-examples` checks the workflows against is what the servers tell.
func TestToolsAreThoseOfTheServers(t *testing.T) {
	servers, err := shops.Serve(shops.NewBooks(nil), &shops.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	bin, err := suite.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
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

// The demonstration itself, with few orders: it fails when an order is half there, or when something happened twice.
func TestOrdersAreWholeOrNotAtAll(t *testing.T) {
	stagetest.Play(t, run, []string{"--orders", "6", "--kills", "1", "--seed", "7"}, "kill -9", "nothing happened twice")
}

func TestWrongNumbersAreRefused(t *testing.T) {
	if _, err := parse([]string{"--orders", "0"}); err == nil || !strings.Contains(err.Error(), "from 1 to 5000") {
		t.Errorf("0 orders: %v", err)
	}
	if o, err := parse(nil); err != nil || o.orders != 40 || o.kills != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
