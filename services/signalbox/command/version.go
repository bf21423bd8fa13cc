package command

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *App) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  signalbox version\n  signalbox version -o json | jq -r .version",
		Args:    Exactly(),
		RunE: func(*cobra.Command, []string) error {
			if a.output.JSON() {
				return a.output.Print(map[string]string{"version": a.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}, nil)
			}
			_, err := fmt.Fprintf(a.Out, "signalbox %s (%s, %s/%s)\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
