// Gendocs writes docs/language.md, the reference of the definition language, from the comments and rules of its contract, and docs/lint.md, the
// rules of the linter, from their descriptions and the examples that are their tests. Run it with `go generate ./pkg/workflow`.
package main

import (
	"log"
	"os"
	"path/filepath"
)

// Where things are, seen from the root of the module.
const (
	contract = "proto/signalbox/workflow/v1/definition.proto"
	examples = "pkg/workflow/testdata"
)

func main() {
	root := "../.." // go generate runs in pkg/workflow
	for page, render := range map[string]func(root string) ([]byte, error){"docs/language.md": renderLanguage, "docs/lint.md": renderLint} {
		content, err := render(root)
		if err != nil {
			log.Fatalf("%s: %v", page, err)
		}
		if err := os.WriteFile(filepath.Join(root, page), content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
