// Package nearest finds what somebody probably meant by a name that does not exist.
package nearest

import (
	"fmt"
	"slices"
	"strings"
)

// Match returns the name of have that is closest to want: by the fewest letters to insert, delete, change or swap with a
// neighbour, ignoring case; among equals the alphabetically first. It is false when nothing is close enough to be worth
// suggesting: more than a third of want's letters (at least one) would have to change, or all of them.
func Match(want string, have []string) (string, bool) {
	wanted := []rune(strings.ToLower(want))
	if len(wanted) == 0 {
		return "", false
	}
	best, bestDistance := "", min(max(1, len(wanted)/3)+1, len(wanted))
	for _, candidate := range slices.Sorted(slices.Values(have)) {
		if d := distance(wanted, []rune(strings.ToLower(candidate))); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, best != ""
}

// Hint returns `; did you mean "x"?` to put at the end of a message, or "" when nothing is close.
func Hint(want string, have []string) string {
	match, ok := Match(want, have)
	if !ok {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", match)
}

// distance is the optimal string alignment distance, row by row.
func distance(a, b []rune) int {
	beforeLast, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
		beforeLast, last, row = last, row, beforeLast
	}
	return last[len(b)]
}
