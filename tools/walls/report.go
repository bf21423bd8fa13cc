package main

import (
	"fmt"
	"io"
	"strings"
)

// Report writes the result for people: for each breach the wall, the place, the chain, the reason and the mend.
func (r *Result) Report(w io.Writer) error {
	var text strings.Builder
	for _, b := range r.Breaches {
		r.writeBreach(&text, b)
	}
	for _, name := range r.Idle {
		fmt.Fprintf(&text, "note: wall %s guards no package yet\n", name)
	}
	if len(r.Breaches) == 0 {
		fmt.Fprintf(&text, "%d walls hold over %d packages\n", r.Walls, len(r.House.Rooms))
	} else {
		fmt.Fprintf(&text, "%d breaches\n", len(r.Breaches))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *Result) writeBreach(text *strings.Builder, b Breach) {
	fmt.Fprintf(text, "wall %s: %s %s %s\n", b.Wall.Name, r.House.Short(b.Room), b.Verb, r.House.Short(b.Target))
	fmt.Fprintf(text, "  at     %s\n", b.At)
	for i, path := range b.Chain {
		label := "       "
		if i == 0 {
			label = "  chain"
		}
		fmt.Fprintf(text, "%s  %s%s\n", label, strings.Repeat("  ", i), r.House.Short(path))
	}
	fmt.Fprintf(text, "  why    %s\n", oneLine(b.Wall.Reason))
	fmt.Fprintf(text, "  mend   %s\n\n", oneLine(b.Wall.Mend))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
