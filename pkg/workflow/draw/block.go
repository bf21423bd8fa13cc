package draw

// block is something of a card with its size. It is drawn at a place and gets the width that it has there.
type block struct {
	size
	draw func(c *canvas, x, y, width float64)
}

// line is a line of text.
func line(f font, class, text string) block {
	text = clean(text)
	return block{size: size{w: f.width(text), h: f.size * 1.45}, draw: func(c *canvas, x, y, _ float64) {
		c.text(f, class, x, y+f.size*1.05, text)
	}}
}

// stack puts blocks below each other.
func stack(gap float64, blocks ...block) block {
	out := block{}
	for i, b := range blocks {
		if i > 0 {
			out.h += gap
		}
		out.w, out.h = max(out.w, b.w), out.h+b.h
	}
	out.draw = func(c *canvas, x, y, width float64) {
		for _, b := range blocks {
			b.draw(c, x, y, width)
			y += b.h + gap
		}
	}
	return out
}

// row puts blocks beside each other. With stretch they share the width that is left over.
func row(gap float64, stretch bool, blocks ...block) block {
	out := block{}
	for i, b := range blocks {
		if i > 0 {
			out.w += gap
		}
		out.w, out.h = out.w+b.w, max(out.h, b.h)
	}
	out.draw = func(c *canvas, x, y, width float64) {
		more := 0.0
		if stretch {
			more = max(0, (width-out.w)/float64(max(1, len(blocks))))
		}
		for _, b := range blocks {
			b.draw(c, x, y, b.w+more)
			x += b.w + more + gap
		}
	}
	return out
}

// indent puts room before a block.
func indent(by float64, b block) block {
	return block{size: size{w: b.w + by, h: b.h}, draw: func(c *canvas, x, y, width float64) { b.draw(c, x+by, y, width-by) }}
}

// frame puts a border and some room around a block; with a height, the border is at least that high.
func frame(class string, room float64, b block, height *float64) block {
	out := block{size: size{w: b.w + 2*room, h: b.h + 2*room}}
	out.draw = func(c *canvas, x, y, width float64) {
		h := out.h
		if height != nil {
			h = max(h, *height)
		}
		c.rect(class, x, y, width, h, 5)
		b.draw(c, x+room, y+room, width-2*room)
	}
	return out
}
