package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// comment is what stands above one value of an enum.
type comment struct{ meaning, mend, example string }

var valueLine = regexp.MustCompile(`^([A-Z][A-Z0-9_]*) = \d+`)

// readEnum returns the comments of an enum's values by their names. Descriptors in Go hold no comments, so it reads the file, which
// `buf format` keeps in one shape: a value to a line, its comment directly above.
func readEnum(file, enum string) (map[string]comment, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, body, found := strings.Cut(string(content), "\nenum "+enum+" {\n")
	if !found {
		return nil, fmt.Errorf("%s has no enum %s", file, enum)
	}
	comments := map[string]comment{}
	var above []string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "}" && len(above) == 0 {
			break
		}
		if text, ok := strings.CutPrefix(line, "//"); ok {
			above = append(above, strings.TrimSpace(text))
			continue
		}
		if value := valueLine.FindStringSubmatch(line); value != nil {
			comments[value[1]] = parse(above)
		}
		above = nil
	}
	return comments, nil
}

// parse sorts the lines of a comment; a line without a mark goes on with the part before it.
func parse(lines []string) comment {
	var c comment
	part := &c.meaning
	for _, line := range lines {
		if text, ok := strings.CutPrefix(line, "Mend: "); ok {
			part, line = &c.mend, text
		} else if text, ok := strings.CutPrefix(line, "Example: "); ok {
			part, line = &c.example, text
		}
		*part = strings.TrimSpace(*part + " " + line)
	}
	return c
}
