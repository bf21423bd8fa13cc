package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// previewBytes is how much of a payload a line shows.
const previewBytes = 160

// Preview returns raw JSON on one line, cut after limit bytes; 0: not cut.
func Preview(raw []byte, limit int) string {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		compact.Reset()
		compact.Write(raw)
	}
	text := Clean(strings.ToValidUTF8(compact.String(), string(utf8.RuneError)))
	if limit <= 0 || len(text) <= limit {
		return text
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Payload returns a payload on one line, cut to what fits; "" when there is none.
func Payload(p *workflowv1.Payload) string {
	switch value := p.GetValue().(type) {
	case *workflowv1.Payload_Inline:
		return Preview(value.Inline, previewBytes)
	case *workflowv1.Payload_Artifact:
		return Artifact(value.Artifact)
	default:
		return ""
	}
}

// Artifact names a large value that is kept elsewhere.
func Artifact(ref *workflowv1.ArtifactRef) string {
	return fmt.Sprintf("artifact %s (%s)", ref.GetDigest(), Size(ref.GetSizeBytes()))
}

// Size returns a number of bytes for people.
func Size(n uint64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatUint(n, 10) + " B"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

// Indent returns raw JSON over several lines, each after the first beginning with margin; other text is returned cleaned.
func Indent(raw []byte, margin string) string {
	var wide bytes.Buffer
	if json.Indent(&wide, raw, margin, "  ") != nil {
		return Preview(raw, 0)
	}
	lines := strings.Split(wide.String(), "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}
