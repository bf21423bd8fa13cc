package cli

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Table is a result for people. Rows may be shorter than Columns.
type Table struct {
	Columns []string
	Rows    [][]string
	// Empty is said instead of a table without rows, for example "no runs". "" prints the header alone.
	Empty string
}

// Style marks a text on a terminal.
type Style string

// The styles. They say what a text means, and not which colour it has.
const (
	Good   Style = "32"
	Bad    Style = "31"
	Warn   Style = "33"
	Dim    Style = "2"
	Strong Style = "1"
)

// Styled returns the text in a style where the output is a terminal, and as it is elsewhere.
func (o *Output) Styled(style Style, text string) string {
	if !o.color || o.json {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// columnGap is what stands between two columns.
const columnGap = "  "

func (o *Output) table(t Table) error {
	if len(t.Rows) == 0 && t.Empty != "" {
		_, err := fmt.Fprintln(o.out, t.Empty)
		return err
	}
	rows := make([][]string, 0, len(t.Rows))
	widths := make([]int, len(t.Columns))
	for _, row := range append([][]string{upper(t.Columns)}, t.Rows...) {
		cells := make([]string, len(t.Columns))
		for i := range cells {
			if i < len(row) {
				cells[i] = o.cell(row[i])
			}
			widths[i] = max(widths[i], width(cells[i]))
		}
		rows = append(rows, cells)
	}
	var text bytes.Buffer
	for i, cells := range rows {
		line := joinCells(cells, widths)
		if i == 0 {
			line = o.Styled(Strong, line)
		}
		text.WriteString(line + "\n")
	}
	_, err := o.out.Write(text.Bytes())
	return err
}

func joinCells(cells []string, widths []int) string {
	var line strings.Builder
	for i, cell := range cells {
		line.WriteString(cell)
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", widths[i]-width(cell)) + columnGap)
		}
	}
	return strings.TrimRight(line.String(), " ")
}

// cell keeps a value on its line; only a cell that Styled made as a whole may hold escapes.
func (o *Output) cell(text string) string {
	if inner, style, ok := unstyle(text); ok && o.color {
		return o.Styled(style, printable(inner))
	}
	return printable(text)
}

// unstyle takes a text apart that Styled has made.
func unstyle(text string) (inner string, style Style, ok bool) {
	rest, found := strings.CutPrefix(text, "\x1b[")
	code, rest, cut := strings.Cut(rest, "m")
	inner, ended := strings.CutSuffix(rest, "\x1b[0m")
	switch Style(code) {
	case Good, Bad, Warn, Dim, Strong:
		return inner, Style(code), found && cut && ended
	default:
		return "", "", false
	}
}

func width(text string) int {
	if inner, _, ok := unstyle(text); ok {
		text = inner
	}
	return utf8.RuneCountInString(text)
}

// printable replaces control characters: text from agents and tools must not move the cursor of who reads it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError:
			return '·'
		default:
			return r
		}
	}, text)
}

func upper(columns []string) []string {
	upper := make([]string, len(columns))
	for i, column := range columns {
		upper[i] = strings.ToUpper(column)
	}
	return upper
}

// Age returns a duration as people say it, in its one or two largest units: "850ms", "12s", "3m20s", "2h5m", "4d3h".
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Age(-d)
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return units(d, time.Hour, "h", time.Minute, "m")
	default:
		return units(d, day, "d", time.Hour, "h")
	}
}

func units(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}
