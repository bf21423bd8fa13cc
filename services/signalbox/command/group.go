package command

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
			return misuse(cmd, "%s", missing(names[len(args):]))
		default:
			return misuse(cmd, "it takes %s, and %q was given too", strings.Join(names, " and "), args[len(names)])
		}
	}
}

func missing(names []string) string {
	if len(names) == 1 {
		return names[0] + " is missing"
	}
	return strings.Join(names, " and ") + " are missing"
}

// between wants at least some of the named arguments and at most all.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return misuse(cmd, "%s", missing(names[len(args):least]))
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

// flagMisuse is the error of flags that cannot be read. What the parser of a value says is for programmers, so that it is said anew.
func flagMisuse(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		if wanted := wantedOf(invalid.GetFlag().Value.Type()); wanted != "" {
			return misuse(cmd, "--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), wanted)
		}
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
		return misuse(cmd, "%v%s", err, nearest.Hint("--"+unknown.GetSpecifiedName(), names))
	}
	return misuse(cmd, "%v", err)
}

// wantedOf says in plain words what a flag of a type takes; empty: whatever its own error says.
func wantedOf(kind string) string {
	switch kind {
	case "duration":
		return "a duration, such as 10s or 5m"
	case "bool":
		return "true or false"
	case "uint64":
		return "a whole number from 0 on"
	case "uint32":
		return fmt.Sprintf("a whole number from 0 to %d", uint32(math.MaxUint32))
	case "int32":
		return fmt.Sprintf("a whole number from %d to %d", math.MinInt32, math.MaxInt32)
	case "int":
		return "a whole number"
	}
	return ""
}
