package draw

import (
	"bytes"
	"fmt"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// DOT draws a definition, and where a run of it is, unless that is nil, in the language of Graphviz.
func DOT(def *workflowv1.WorkflowDefinition, run *workflowv1.Run) []byte {
	p := newPicture(def, run)
	ids := p.ids()
	var b bytes.Buffer
	fmt.Fprintf(&b, "digraph %s {\n", dotText([]string{p.title}, ""))
	fmt.Fprintf(&b, "  graph [rankdir=TB, labelloc=t, labeljust=l, fontname=\"Helvetica\", label=%s]\n", dotText(p.headline(), `\l`))
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fb\", color=\"#9aa7b6\", fontname=\"Helvetica\", fontsize=11]\n")
	b.WriteString("  edge [color=\"#5d6b7c\", fontname=\"Helvetica\", fontsize=10]\n")
	for n, r := range p.regions() {
		margin := "  "
		if r.phase != "" {
			fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s; style=filled; color=\"#eef2f7\"; fontsize=10\n", n, dotText([]string{r.phase}, ""))
			margin = "    "
		}
		for _, s := range r.states {
			fmt.Fprintf(&b, "%s%s [label=%s%s]\n", margin, ids[s.index], dotText(p.lines(s), `\l`), dotLook(s))
		}
		if r.phase != "" {
			b.WriteString("  }\n")
		}
	}
	for _, s := range p.states {
		if s.initial {
			fmt.Fprintf(&b, "  start [shape=point, width=0.14, label=\"\"]\n  start -> %s\n", ids[s.index])
		}
	}
	for _, e := range p.edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s]\n", ids[e.from], ids[e.to], dotText(e.shorts(), `\l`), dotEdge(e.kind))
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// dotLook is how a card looks.
func dotLook(s *state) string {
	look := ""
	if s.terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		fill := map[string]string{"good": "#e6f5ec", "fair": "#fff3d9", "poor": "#fdeceb"}[tone(s.terminal)]
		look += fmt.Sprintf(", peripheries=2, fillcolor=%q", fill)
	}
	switch s.class() {
	case "every":
		look += `, style="rounded,dashed", color="#b3261e"`
	case "bad":
		look += `, color="#b3261e", penwidth=3`
	case "now":
		look += `, color="#0b5cad", penwidth=3`
	case "been":
		look += `, color="#0b5cad"`
	}
	return look
}

func dotEdge(k kind) string {
	color := map[kind]string{onError: "#b3261e", escalation: "#8a5300", compensation: "#6d3fb0"}[k]
	if color == "" {
		return ""
	}
	return fmt.Sprintf(", style=dashed, color=%q, fontcolor=%q", color, color)
}

// dotText is a quoted string of lines, each with the ending that says how it is set. A backslash of the text is doubled, so that none begins
// an escape.
func dotText(lines []string, ending string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, line := range lines {
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(line)) + ending)
	}
	b.WriteByte('"')
	return b.String()
}
