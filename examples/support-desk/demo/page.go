package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// page is what the reader sees: sections, and lines with the time since the beginning.
type page struct {
	mu    sync.Mutex
	out   io.Writer
	clock clock.Clock
	began time.Time
	color bool
}

const width = 104

func newPage(out *os.File) *page {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	c := clock.Real()
	return &page{out: out, clock: c, began: c.Now(), color: terminal}
}

func (p *page) print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, text) // a reader that left stops the program by its signal
}

// age is the time since the beginning.
func (p *page) age() time.Duration { return p.clock.Now().Sub(p.began) }

// section begins a part of the story.
func (p *page) section(title, about string) {
	rule := strings.Repeat("─", max(3, width-len("── ")-1-utf8.RuneCountInString(title)))
	p.print(fmt.Sprintf("\n%s\n", p.bold("── "+title+" "+rule)))
	if about != "" {
		p.print(p.dim(wrap(about, 0)) + "\n")
	}
}

// line tells something that was just read.
func (p *page) line(format string, args ...any) {
	stamp := fmt.Sprintf("%6.1fs  ", p.age().Seconds())
	p.print(p.dim(stamp) + strings.TrimLeft(wrap(fmt.Sprintf(format, args...), 9), " ") + "\n")
}

// more goes on below a line.
func (p *page) more(format string, args ...any) {
	p.print(wrap(fmt.Sprintf(format, args...), 9) + "\n")
}

// item is a row of a list: cut, not wrapped.
func (p *page) item(format string, args ...any) {
	p.print("         " + cut(fmt.Sprintf(format, args...), width-9) + "\n")
}

// text prints as it is, indented; lines that are too long are cut.
func (p *page) text(body string) {
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		p.print(strings.TrimRight("         "+p.dim("│ ")+cut(line, width-11), " ") + "\n")
	}
}

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func (p *page) bold(s string) string { return p.style("1", s) }

func (p *page) dim(s string) string { return p.style("2", s) }

func (p *page) style(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// wrap breaks a text at blanks into lines of at most width, each indented.
func wrap(text string, indent int) string {
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

// took writes a duration for people.
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// count writes a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
