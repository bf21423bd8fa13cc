package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// group makes a command that only holds others. Called with none of them it shows its help; with an unknown one it names the near
// match.
func group(use, short, long string, members ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, member := range cmd.Commands() {
				if member.IsAvailableCommand() {
					names = append(names, member.Name())
				}
			}
			return misuse(cmd, "there is no command %q%s; there are %s", cmd.CommandPath()+" "+args[0],
				nearest.Hint(args[0], names), strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(members...)
	return cmd
}

// Exactly wants one argument for each name.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return misuse(cmd, "it takes no argument, and %q was given", args[0])
		case len(args) < len(names):
			return misuse(cmd, "%s is missing", strings.Join(names[len(args):], " and "))
		default:
			return misuse(cmd, "it takes %s, and %q was given too", strings.Join(names, " and "), args[len(names)])
		}
	}
}

// between wants at least some of the named arguments and at most all.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return misuse(cmd, "%s is missing", strings.Join(names[len(args):least], " and "))
		}
		if len(args) > len(names) {
			return misuse(cmd, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// some wants one or more arguments of a name.
func some(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return misuse(cmd, "%s is missing", name)
		}
		return nil
	}
}

// misuse is the error of a command that cannot begin with what it was given.
func misuse(cmd *cobra.Command, format string, args ...any) error {
	return cli.WithExit(cli.ExitUsage, fmt.Errorf("%s\nsee %s --help", fmt.Sprintf(format, args...), cmd.CommandPath()))
}
