package cases

import (
	"os"
	"path/filepath"
)

// TauRetail gives the folder of the τ-bench retail data: $SIGNALBOX_TAU_RETAIL, else
// ../shared/data/tau-retail beside the module's root. ok is false when it is not on this machine.
func TauRetail() (dir string, ok bool) {
	if dir = os.Getenv("SIGNALBOX_TAU_RETAIL"); dir == "" {
		root, err := os.Getwd()
		if err != nil {
			return "", false
		}
		for !isFile(filepath.Join(root, "go.mod")) {
			up := filepath.Dir(root)
			if up == root {
				return "", false
			}
			root = up
		}
		dir = filepath.Join(root, "..", "shared", "data", "tau-retail")
	}
	return dir, isFile(filepath.Join(dir, "tasks.jsonl"))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
