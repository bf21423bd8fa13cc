// Command genconfig writes signalbox.yaml: the desk as a tool server, made of what the desk says of its own tools.
package main

import (
	"fmt"
	"os"

	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
)

func main() {
	text, err := workflow.Example()
	if err == nil {
		err = os.WriteFile("signalbox.yaml", []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genconfig:", err)
		os.Exit(1)
	}
}
