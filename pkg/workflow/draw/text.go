package draw

import (
	"cmp"
	"strings"
	"unicode"
)

// font is one of the faces of a picture's text.
type font struct {
	class string
	size  float64
	bold  bool
	mono  bool
}

var (
	fontTitle  = font{class: "t", size: 18, bold: true}
	fontAbout  = font{class: "a", size: 12}
	fontAlarm  = font{class: "al", size: 12, bold: true}
	fontName   = font{class: "n", size: 15, bold: true}
	fontStep   = font{class: "s", size: 12.5, bold: true}
	fontWords  = font{class: "w", size: 12}
	fontDetail = font{class: "d", size: 11}
	fontStand  = font{class: "o", size: 11, bold: true}
	fontLabel  = font{class: "l", size: 11}
	fontPhase  = font{class: "p", size: 11, bold: true}
)

// width is about how wide a text is. Viewers have different fonts, so that it is rather too much than too little.
func (f font) width(text string) float64 {
	units := 0.0
	for _, r := range text {
		units += f.em(r)
	}
	return units * f.size
}

// em is the width of a character in parts of the font's size.
func (f font) em(r rune) float64 {
	w := 0.58
	switch {
	case r >= 0x1100 && (unicode.Is(unicode.Han, r) || unicode.Is(unicode.Hangul, r) || unicode.Is(unicode.Hiragana, r) || unicode.Is(unicode.Katakana, r) || r >= 0x1f000 || r >= 0xff00 && r <= 0xff60):
		return 1.05
	case f.mono:
		return 0.62
	case strings.ContainsRune("iljtfrI.,:;'|!()[]{}` ", r):
		w = 0.36
	case strings.ContainsRune("mwMW@%", r):
		w = 0.9
	case unicode.IsUpper(r) || r == '&' || r == '_':
		w = 0.69
	case strings.ContainsRune("<>=+~…", r):
		w = 0.8
	}
	if f.bold {
		w *= 1.14
	}
	return w
}

// fit cuts a text to a width.
func (f font) fit(text string, width float64) string {
	if f.width(text) <= width {
		return text
	}
	width -= f.width("…")
	for i, r := range text {
		if width -= f.em(r) * f.size; width < 0 {
			return strings.TrimRight(text[:i], " ") + "…"
		}
	}
	return text
}

// wrap breaks a text into lines of a width, at most so many; the last is cut if need be.
func (f font) wrap(text string, width float64, most int) []string {
	var lines []string
	rest := strings.TrimSpace(text)
	for rest != "" {
		if len(lines) == most-1 {
			return append(lines, f.fit(rest, width))
		}
		head := f.head(rest, width)
		lines = append(lines, strings.TrimSpace(rest[:head]))
		rest = strings.TrimSpace(rest[head:])
	}
	return lines
}

// head is how many bytes of a text stand on its first line. A line ends at a blank, and inside of a word only where that is too long.
func (f font) head(text string, width float64) int {
	used, blank, sign := 0.0, 0, 0
	for i, r := range text {
		if used += f.em(r) * f.size; used > width && i > 0 {
			return cmp.Or(blank, sign, i)
		}
		switch {
		case r == ' ':
			blank = i + 1
		case strings.ContainsRune(",/.|-_", r):
			sign = i + 1
		}
	}
	return len(text)
}

// clean makes text fit for a picture: one line, valid UTF-8, without characters that steer, turn or hide text.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0xfffe || r == 0xffff || r == 0x2028 || r == 0x2029:
			return unicode.ReplacementChar
		default:
			return r
		}
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

// xml is text for an XML document, in content and in attributes.
func xml(text string) string { return xmlEscapes.Replace(clean(text)) }
