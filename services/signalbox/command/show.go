package command

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
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

// listed is a part of a list, as calls answer with it.
type listed interface {
	proto.Message
	GetNextPageToken() string
}

// listing is how the entries of a list are shown: each is a row under the columns, and none is what is said when there are no entries.
type listing[P listed, E any] struct {
	none    string
	columns []string
	entries func(P) []E
	row     func(E) []string
}

// list reads a page of a list and prints it.
func list[Q any, P listed, E any](
	ctx context.Context, s *suite, read func(context.Context, Q, ...grpc.CallOption) (P, error), request Q, as listing[P, E],
) error {
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := read(ctx, request)
	if err != nil {
		return err
	}
	defer s.app.pageNote(response.GetNextPageToken())
	return s.app.table(response, as.none, as.columns, func() [][]string {
		var rows [][]string
		for _, entry := range as.entries(response) {
			rows = append(rows, as.row(entry))
		}
		return rows
	})
}
