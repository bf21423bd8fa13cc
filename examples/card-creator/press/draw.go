package press

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html"
	"strings"
)

// Line and lines are how much text fits a card.
const (
	lineLength = 30
	mostLines  = 4
)

// Overflows tells that the text does not fit the card.
func (c Card) Overflows() bool { return len(wrapped(c.Text)) > mostLines }

// Strength is how much the card gives beyond what it costs; 0 is fair.
func (c Card) Strength() int { return c.Power + c.Toughness - 2*c.Cost }

func wrapped(text string) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(word) <= lineLength {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// hues of the styles.
var hues = map[string]int{"brass": 38, "ink": 222, "moss": 118}

// SVG draws the card. The same card gives the same bytes.
func (c Card) SVG() []byte {
	hue, known := hues[c.Style]
	if !known {
		hue = 0
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="240" height="336" viewBox="0 0 240 336" font-family="Georgia, serif">`+"\n")
	fmt.Fprintf(&b, `<rect width="240" height="336" rx="12" fill="hsl(%d 35%% 22%%)"/><rect x="8" y="8" width="224" height="320" rx="8" fill="hsl(%d 45%% 92%%)"/>`+"\n", hue, hue)
	c.artwork(&b, hue)
	fmt.Fprintf(&b, `<text x="18" y="32" font-size="15" font-weight="bold">%s</text><circle cx="214" cy="27" r="12" fill="hsl(%d 60%% 45%%)"/>`, html.EscapeString(c.Title), hue)
	fmt.Fprintf(&b, `<text x="214" y="32" font-size="14" text-anchor="middle" fill="#fff">%d</text>`+"\n", c.Cost)
	for i, line := range wrapped(c.Text) {
		fmt.Fprintf(&b, `<text x="18" y="%d" font-size="13">%s</text>`+"\n", 230+18*i, html.EscapeString(line))
	}
	fmt.Fprintf(&b, `<text x="222" y="318" font-size="16" font-weight="bold" text-anchor="end">%d / %d</text>`+"\n</svg>\n", c.Power, c.Toughness)
	return b.Bytes()
}

// artwork is a pattern that the title decides.
func (c Card) artwork(b *bytes.Buffer, hue int) {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(c.Title)) // a hash takes everything
	at := seed.Sum64()
	next := func(n uint64) int {
		at = at*6364136223846793005 + 1442695040888963407
		return int((at >> 33) % n)
	}
	fmt.Fprintf(b, `<rect x="18" y="44" width="204" height="164" fill="hsl(%d 40%% 30%%)"/>`+"\n", hue)
	for range 9 {
		fmt.Fprintf(b, `<circle cx="%d" cy="%d" r="%d" fill="hsl(%d 70%% %d%%)" fill-opacity="0.55"/>`+"\n",
			48+next(144), 74+next(104), 6+next(24), hue+next(60)-30, 40+next(40))
	}
}

// sheet is a page with all cards of a deck.
func sheet(title string, cards []Card) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>%s</title>\n<body style=\"background:#222;color:#eee;font-family:Georgia,serif\">\n<h1>%s</h1>\n",
		html.EscapeString(title), html.EscapeString(title))
	for _, c := range cards {
		b.Write(c.SVG())
	}
	return b.Bytes()
}
