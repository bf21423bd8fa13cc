package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

const root = "../../../.."

func TestThePageIsFreshAndWhole(t *testing.T) {
	want, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the contract says; run go generate ./pkg/errs\n%s", page, diff)
	}
	for number := range errorsv1.ErrorReason_name {
		if name := errs.ReasonName(errorsv1.ErrorReason(number)); number != 0 && strings.Count(string(got), "\n### "+name+"\n") != 1 {
			t.Errorf("%s is not there once", name)
		}
	}
}

func TestAnIncompleteCommentIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"error_reason.proto", "error_type.proto"} {
		content, err := os.ReadFile(filepath.Join(root, contract, file))
		if err != nil {
			t.Fatal(err)
		}
		spoilt := strings.Replace(string(content), "  // Mend: check the id and the namespace;", "  // Check the id and the namespace;", 1)
		if err := os.MkdirAll(filepath.Join(dir, contract), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, contract, file), []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := render(dir); err == nil || !strings.Contains(err.Error(), "RUN_NOT_FOUND") {
		t.Errorf("got %v", err)
	}
}
