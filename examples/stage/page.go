// Package stage is what the demonstrations of the examples share: a page for a reader, programs that are started and killed, and Signalbox as
// anybody sees it over gRPC.
package stage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Page is what the reader sees: sections, and lines with the time since the beginning.
type Page struct {
	mu    sync.Mutex
	out   io.Writer
	clock clock.Clock
	began time.Time
	color bool
}

const width = 104

// NewPage writes to out, in bold and dim where that is a terminal.
func NewPage(out io.Writer) *Page {
	terminal := false
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		terminal = err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	c := clock.Real()
	return &Page{out: out, clock: c, began: c.Now(), color: terminal}
}

// Print writes as it is.
func (p *Page) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, text) // a reader that left stops the program by its signal
}

// Age is the time since the beginning.
func (p *Page) Age() time.Duration { return p.clock.Now().Sub(p.began) }

// Section begins a part of the story.
func (p *Page) Section(title, about string) {
	rule := strings.Repeat("─", max(3, width-len("── ")-1-utf8.RuneCountInString(title)))
	p.Print(fmt.Sprintf("\n%s\n", p.Bold("── "+title+" "+rule)))
	if about != "" {
		p.Print(p.Dim(Wrap(about, 0)) + "\n")
	}
}

// Line tells something that was just read.
func (p *Page) Line(format string, args ...any) {
	stamp := fmt.Sprintf("%6.1fs  ", p.Age().Seconds())
	p.Print(p.Dim(stamp) + strings.TrimLeft(Wrap(fmt.Sprintf(format, args...), 9), " ") + "\n")
}

// More goes on below a line.
func (p *Page) More(format string, args ...any) {
	p.Print(Wrap(fmt.Sprintf(format, args...), 9) + "\n")
}

// Item is a row of a list: cut, not wrapped.
func (p *Page) Item(format string, args ...any) {
	p.Print("         " + cut(fmt.Sprintf(format, args...), width-9) + "\n")
}

// Text prints as it is, indented; lines that are too long are cut.
func (p *Page) Text(body string) {
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		p.Print(strings.TrimRight("         "+p.Dim("│ ")+cut(line, width-11), " ") + "\n")
	}
}

// Sum is a row of what it all came to.
func (p *Page) Sum(name, words string) {
	p.Print(fmt.Sprintf("  %-18s %s\n", name, strings.TrimLeft(Wrap(words, 21), " ")))
}

// errUnclean is the error of a demonstration whose promises do not hold.
var errUnclean = errors.New("what was promised does not hold")

// Verdict ends the page: with good words, or with what does not add up, which is an error.
func (p *Page) Verdict(good string, problems []string) error {
	p.Print("\n")
	if len(problems) == 0 {
		p.Print(p.Bold(fmt.Sprintf("%s (%s in all).", good, Took(p.Age()))) + "\n")
		return nil
	}
	for _, problem := range problems {
		p.More("! %s", problem)
	}
	return errUnclean
}

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// Bold makes a text bold.
func (p *Page) Bold(s string) string { return p.style("1", s) }

// Dim makes a text step back.
func (p *Page) Dim(s string) string { return p.style("2", s) }

func (p *Page) style(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Wrap breaks a text at blanks into lines of at most width, each indented.
func Wrap(text string, indent int) string {
	pad := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		wrapLine(&b, pad, paragraph)
	}
	return b.String()
}

func wrapLine(b *strings.Builder, pad, text string) {
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	at := utf8.RuneCountInString(pad + lead)
	b.WriteString(pad + lead)
	room := width - at
	for i, word := range splitWords(text[len(lead):]) {
		n := utf8.RuneCountInString(strings.TrimRight(word, " "))
		if i > 0 && n > room {
			b.WriteString("\n" + pad + lead)
			room = width - at
		}
		b.WriteString(word)
		room -= utf8.RuneCountInString(word)
	}
}

// splitWords cuts after blanks, and keeps them, so that columns stay where they are.
func splitWords(text string) []string {
	var out []string
	for text != "" {
		end := strings.IndexByte(text, ' ')
		if end < 0 {
			return append(out, text)
		}
		next := end + len(text[end:]) - len(strings.TrimLeft(text[end:], " "))
		out, text = append(out, text[:next]), text[next:]
	}
	return out
}

// Took writes a duration for people.
func Took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Count writes a number of things.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
