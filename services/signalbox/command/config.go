package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) configCommand() *cobra.Command {
	return group("config", "Check and show the configuration of a process",
		`A flag wins over the environment, that over the file, and that over the default. docs/configuration.md explains every setting.`,
		a.configCheck(), a.configShow())
}

// Load reads the configuration of a command whose flags are those of config.BindFlags, and tells its warnings.
func (a *App) Load(cmd *cobra.Command) (*config.Loaded, error) {
	loaded, err := config.Load(config.Sources{Env: a.Environ, Flags: cmd.Flags()})
	if err != nil {
		return nil, err
	}
	for _, warning := range loaded.Warnings {
		a.output.Note("%s", warning)
	}
	return loaded, nil
}

func (a *App) configCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Say everything that is wrong with the configuration",
		Example: "  signalbox config check\n  signalbox config check --config deploy/signalbox.yaml",
		Args:    Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.Load(cmd)
			if err != nil {
				return err
			}
			file := loaded.File
			if file == "" {
				file = "no file"
			}
			checked := struct {
				File     string   `json:"file"`
				Servers  int      `json:"servers"`
				Warnings []string `json:"warnings"`
			}{loaded.File, len(loaded.Servers), loaded.Warnings}
			if a.output.JSON() {
				return a.output.Print(checked, nil)
			}
			_, err = fmt.Fprintf(a.Out, "the configuration is good: %s, %s\n", file, count(len(loaded.Servers), "tool server"))
			return err
		},
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

func (a *App) configShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show every setting, its value and where that comes from",
		Long:    "Shows every setting with its value and where that comes from: a flag, the environment, a line of the file, or the default. Secrets are masked.",
		Example: "  signalbox config show\n  SIGNALBOX_LOG_LEVEL=debug signalbox config show | grep log",
		Args:    Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.Load(cmd)
			if err != nil {
				return err
			}
			return a.showSettings(loaded)
		},
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

// setting is one line of `config show` as programs get it.
type setting struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func (a *App) showSettings(loaded *config.Loaded) error {
	var settings []setting
	for _, entry := range loaded.Entries() {
		settings = append(settings, setting{entry.Path, entry.Value, entry.Origin})
	}
	for _, name := range sortedKeys(loaded.Servers) {
		settings = append(settings, setting{"servers." + name, describeServer(loaded.Servers[name]), loaded.Origin("servers." + name)})
	}
	return a.output.Print(settings, func() cli.Table {
		table := cli.Table{Columns: []string{"setting", "value", "from"}}
		for _, s := range settings {
			table.Rows = append(table.Rows, []string{s.Path, s.Value, s.Origin})
		}
		return table
	})
}

// describeServer says where a tool server is, and nothing of its headers and variables, which hold secrets.
func describeServer(server config.ToolServer) string {
	text := ""
	switch {
	case server.Stdio != nil:
		text = "stdio: " + strings.Join(server.Stdio.Command, " ")
	case server.HTTP != nil:
		text = "http: " + server.HTTP.URL
	}
	if len(server.Tools) > 0 {
		text += fmt.Sprintf(", %s declared", count(len(server.Tools), "tool"))
	}
	return render.Clean(text)
}
