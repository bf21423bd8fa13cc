package command

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// table prints an answer of the suite: the message for programs, rows for people.
func (a *App) table(message proto.Message, empty string, columns []string, rows func() [][]string) error {
	return a.output.Print(render.Document(message), func() cli.Table {
		return cli.Table{Columns: columns, Rows: rows(), Empty: empty}
	})
}

// say prints an answer of the suite: the message for programs, text for people.
func (a *App) say(message proto.Message, text func() string) error {
	if a.output.JSON() {
		return a.output.Print(render.Document(message), nil)
	}
	_, err := fmt.Fprintln(a.Out, strings.TrimRight(text(), "\n"))
	return err
}

// sheet returns pairs as aligned lines.
func sheet(pairs []render.Pair) string {
	width := 0
	for _, pair := range pairs {
		width = max(width, len(pair.Key))
	}
	var text strings.Builder
	for _, pair := range pairs {
		fmt.Fprintf(&text, "%-*s  %s\n", width, pair.Key, pair.Value)
	}
	return text.String()
}

// pageNote tells people that there is more than was printed.
func (a *App) pageNote(token string) {
	if token != "" {
		a.output.Note("there is more: --page-token %s", token)
	}
}

// pageFlags select a page of a list.
type pageFlags struct {
	size  int32
	token string
}
