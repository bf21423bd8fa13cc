package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxVersionsNamed is how many versions a message names.
const maxVersionsNamed = 10

// listVersions names versions in a message, the highest first.
func listVersions(versions []string) string {
	sorted := slices.Clone(versions)
	slices.SortFunc(sorted, func(a, b string) int { return CompareVersions(b, a) })
	more := ""
	if len(sorted) > maxVersionsNamed {
		more = fmt.Sprintf(" and %d more", len(sorted)-maxVersionsNamed)
		sorted = sorted[:maxVersionsNamed]
	}
	return strings.Join(sorted, ", ") + more
}

// CompareVersions orders versions as semantic versioning does: number by number. It is negative when a is lower than b. What is not a
// number counts as lower than any number, and is compared as text.
func CompareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := comparePart(part(as, i), part(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

// comparePart compares without a limit of size: a longer number without leading zeros is the greater one.
func comparePart(a, b string) int {
	an, bn := isNumber(a), isNumber(b)
	if !an || !bn {
		return cmp.Or(compareBool(an, bn), cmp.Compare(a, b))
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
