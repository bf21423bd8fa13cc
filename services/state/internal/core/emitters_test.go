package core

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
)

// countingStore keeps no definition and counts how often all of them are read.
type countingStore struct {
	DefinitionStore
	lists int
}

func (s *countingStore) ListDefinitions(context.Context, DefinitionQuery, Page) ([]*Definition, string, error) {
	s.lists++
	return nil, "", nil
}

func (s *countingStore) AddDefinition(_ context.Context, d *Definition) (*Definition, bool, error) {
	return d, true, nil
}

// TestRegisterReadsAllDefinitionsOnce: however many types of events a definition waits for.
func TestRegisterReadsAllDefinitionsOnce(t *testing.T) {
	var source strings.Builder
	source.WriteString("api_version: signalbox/v1\nmetadata: {name: asking, version: 1.0.0}\nsteps:\n")
	for n := range 5 {
		fmt.Fprintf(&source, "  - {id: wait%d, timeout: 1h, wait_event: {any_of: [{type: com.example.answered%d.v1}]}}\n", n, n)
	}
	store := &countingStore{}
	done, err := NewDefinitions(store, fakeclock.New(time.Unix(0, 0))).Register(t.Context(), Registration{Source: []byte(source.String())})
	if err != nil || len(done.Findings) != 5 || done.Findings[0].Rule != "L14" {
		t.Fatalf("%v, %v", done.Findings, err)
	}
	if store.lists != 1 {
		t.Errorf("all definitions were read %d times", store.lists)
	}
}
