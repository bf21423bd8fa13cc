package draw

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// canvas writes the elements of an SVG document.
type canvas struct{ bytes.Buffer }

// num is a coordinate: as short as it can be, the same everywhere.
func num(v float64) string {
	v = math.Round(v*10) / 10
	if v == 0 {
		v = 0 // no minus
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func (c *canvas) text(f font, class string, x, y float64, text string) {
	class = strings.TrimSpace(f.class + " " + class)
	fmt.Fprintf(c, `<text class="%s" x="%s" y="%s">%s</text>`+"\n", class, num(x), num(y), xml(text))
}

func (c *canvas) rect(class string, x, y, w, h, radius float64) {
	fmt.Fprintf(c, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`+"\n", strings.TrimSpace(class), num(x), num(y), num(w), num(h), num(radius))
}

func (c *canvas) path(class, d string) {
	fmt.Fprintf(c, `<path class="%s" d="%s"/>`+"\n", strings.TrimSpace(class), d)
}

// chip is a small word in a border.
func (c *canvas) chip(x, y float64, text string) {
	w := fontDetail.width(clean(text)) + 10
	c.rect("chip", x, y, w, 16, 8)
	c.text(fontDetail, "dim", x+5, y+12, text)
}

// badge is a small word on a strong ground; x is its right end.
func (c *canvas) badge(class string, x, y float64, text string) {
	w := fontStand.width(text) + 12
	c.rect("badge "+class, x-w, y, w, 17, 8.5)
	c.text(fontStand, "onbadge", x-w+6, y+12.5, text)
}

// signs are small drawings of 12 by 12.
var signs = map[sign]string{
	signTool:     "M2 1L11 6L2 11Z",
	signAgent:    "M6 0.5L11.5 6L6 11.5L0.5 6Z",
	signHuman:    "M6 0.8A2.6 2.6 0 1 1 5.99 0.8ZM1 11.5A5 5 0 0 1 11 11.5Z",
	signWait:     "M6 0.8A5.2 5.2 0 1 1 5.99 0.8ZM6 3V6.2L8.3 7.8",
	signTime:     "M6 0.8A5.2 5.2 0 1 1 5.99 0.8ZM6 3V6.2L8.3 7.8",
	signEvent:    "M6 0.8A5.2 5.2 0 1 1 5.99 0.8ZM6 3.8A2.2 2.2 0 1 1 5.99 3.8Z",
	signEmit:     "M0.8 6H10.5M6.5 2L10.8 6L6.5 10",
	signSub:      "M0.8 0.8H11.2V11.2H0.8ZM3.6 3.6H8.4V8.4H3.6Z",
	signParallel: "M3.5 0.8V11.2M8.5 0.8V11.2",
	signMap:      "M1 2.2H11M1 6H11M1 9.8H11",
	signSet:      "M1.5 4H10.5M1.5 8H10.5",
	signUndo:     "M3 1.5V5H6.5M3.2 4.8A4.6 4.6 0 1 1 2 8",
	signLoop:     "M9 1.5V5H5.5M8.8 4.8A4.6 4.6 0 1 0 10 8",
	signLock:     "M1.8 5.5H10.2V11.2H1.8ZM3.6 5.2V3.4A2.4 2.4 0 0 1 8.4 3.4V5.2",
	signIf:       "M6 0.8L11.2 6L6 11.2L0.8 6ZM6 3.4V6.4M6 8.2V8.8",
	signError:    "M6 1L11.5 11H0.5ZM6 4.4V7.4M6 8.8V9.6",
	signCache:    "M1.5 1H10.5V11L6 8L1.5 11Z",
}

// sign draws one.
func (c *canvas) sign(s sign, class string, x, y float64) {
	fill := ""
	switch s {
	case signTool, signAgent, signHuman:
		fill = " full"
	}
	fmt.Fprintf(c, `<path class="%s" transform="translate(%s %s) scale(.92)" d="%s"/>`+"\n", "i"+fill+classes(class), num(x), num(y), signs[s])
}

func classes(class string) string {
	if class == "" {
		return ""
	}
	return " " + class
}

// marks are small drawings of 12 by 12 for how a step stands.
var markSigns = map[mark]string{
	open:    "M6 1.5A4.5 4.5 0 1 1 5.99 1.5ZM6 4.2A1.8 1.8 0 1 1 5.99 4.2Z",
	asking:  "M3 3.6A3 2.8 0 1 1 7.2 6.2Q6 7 6 8.2M6 10.2V11",
	done:    "M1.5 6.5L4.8 9.8L10.8 2.2",
	skipped: "M2 6H10",
	failed:  "M2 2L10 10M10 2L2 10",
	undone:  "M3 1.5V5H6.5M3.2 4.8A4.6 4.6 0 1 1 2 8",
}

// mark draws one, and nothing for what no run has come to.
func (c *canvas) mark(m mark, x, y float64) {
	if d, ok := markSigns[m]; ok {
		fmt.Fprintf(c, `<path class="m %s" transform="translate(%s %s)" d="%s"/>`+"\n", m.class(), num(x), num(y), d)
	}
}
