package diff

import (
	"fmt"
	"strings"
)

// marks begin the line of a change.
var marks = map[How]string{Added: "+", Removed: "-", Changed: "~", Moved: ">", Renamed: "="}

// Text is the report for people. Each line about a change begins with "  " and a mark: + added, - removed, ~ changed, > moved, = renamed.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s@%s -> %s@%s\n", r.From.Name, r.From.Version, r.To.Name, r.To.Version)
	switch {
	case r.From.Digest == r.To.Digest:
		b.WriteString("\nthey are the same\n")
	case r.Same:
		b.WriteString("\nnothing but the version differs\n")
	}
	var section Section
	for _, change := range r.Changes {
		if change.Section != section {
			section = change.Section
			fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(string(section)))
		}
		fmt.Fprintf(&b, "  %s %s%s\n", marks[change.How], change.What, values(change))
	}
	r.runsText(&b)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", note)
	}
	return b.String()
}

// values are what a change was and is, in brief.
func values(c Change) string {
	switch {
	case c.Before != "" && c.After != "":
		return ": " + cut(c.Before) + " -> " + cut(c.After)
	case c.Before != "":
		return ": " + cut(c.Before)
	case c.After != "":
		return ": " + cut(c.After)
	default:
		return ""
	}
}

func (r Report) runsText(b *strings.Builder) {
	if len(r.Runs) == 0 {
		return
	}
	fmt.Fprintf(b, "\nCAN RUNS OF %s MOVE?\n", r.From.Version)
	for _, o := range r.Blocked {
		fmt.Fprintf(b, "  none can: %s\n", o)
	}
	width := 0
	for _, v := range r.Runs {
		width = max(width, len(v.State))
	}
	for _, v := range r.Runs {
		fmt.Fprintf(b, "  in %-*s  %s\n", width, v.State, v.line())
		for _, o := range v.Obstacles {
			fmt.Fprintf(b, "     %s  - %s\n", strings.Repeat(" ", width), o)
		}
	}
	for _, rename := range r.Renames {
		fmt.Fprintf(b, "\n%q seems to be %q now: --state %s=%s says so\n", rename.From, rename.To, rename.From, rename.To)
	}
}

func (v Verdict) line() string {
	if v.CanMove == No {
		return "no"
	}
	line := "yes"
	if v.To != v.State {
		line += ", to " + v.To
	}
	if len(v.Fits) > 0 {
		line += ", if what is recorded fits the new schema: " + strings.Join(v.Fits, ", ")
	}
	if v.CanMove == Sometimes {
		line += ", but not"
	}
	return line
}
