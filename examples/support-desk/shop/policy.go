package shop

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// Passage is a piece of the policy found by a search.
type Passage struct {
	Title string  `json:"title"` // headings above the passage, outermost first
	Text  string  `json:"text"`
	Score float64 `json:"score"` // higher fits better; comparable within one search
}

// BM25's usual constants: how soon repeated words stop counting, how much long passages are held back.
const (
	saturation   = 1.2
	lengthEffect = 0.75
)

// policyIndex ranks the passages of the policy by BM25. It is immutable.
type policyIndex struct {
	passages []Passage
	counts   []map[string]int // passage → word → how often
	lengths  []int
	mean     float64
	holding  map[string]int // word → in how many passages
}

// newPolicyIndex cuts Markdown into its paragraphs and list items, each under its headings.
func newPolicyIndex(markdown string) *policyIndex {
	x := &policyIndex{holding: map[string]int{}}
	var headings []string
	var paragraph []string
	flush := func() {
		if text := strings.Join(paragraph, " "); text != "" {
			x.add(strings.Join(headings, " > "), text)
		}
		paragraph = nil
	}
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		level := len(line) - len(strings.TrimLeft(line, "#"))
		switch {
		case level > 0:
			flush()
			headings = append(headings[:min(level-1, len(headings))], strings.TrimSpace(line[level:]))
		case line == "":
			flush()
		case strings.HasPrefix(line, "- "):
			flush()
			paragraph = append(paragraph, strings.TrimPrefix(line, "- "))
		default:
			paragraph = append(paragraph, line)
		}
	}
	flush()
	total := 0
	for _, n := range x.lengths {
		total += n
	}
	x.mean = float64(total) / float64(max(len(x.lengths), 1))
	return x
}

func (x *policyIndex) add(title, text string) {
	count := map[string]int{}
	found := words(title + " " + text)
	for _, w := range found {
		if count[w]++; count[w] == 1 {
			x.holding[w]++
		}
	}
	x.passages = append(x.passages, Passage{Title: title, Text: text})
	x.counts = append(x.counts, count)
	x.lengths = append(x.lengths, len(found))
}

// words gives the words of a text in lower case, without a plural's s so that "refunds" finds "refund".
func words(text string) []string {
	out := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range out {
		if len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
			out[i] = w[:len(w)-1]
		}
	}
	return out
}

// search gives the best passages, best first; equal scores keep the order of the document.
func (x *policyIndex) search(query string, limit int) []Passage {
	asked := words(query)
	slices.Sort(asked)
	asked = slices.Compact(asked)
	found := []Passage{}
	for i, p := range x.passages {
		if p.Score = math.Round(x.score(i, asked)*1e4) / 1e4; p.Score > 0 {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b Passage) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return found[:min(limit, len(found))]
}

func (x *policyIndex) score(i int, asked []string) float64 {
	score := 0.0
	norm := saturation * (1 - lengthEffect + lengthEffect*float64(x.lengths[i])/x.mean)
	for _, w := range asked {
		often := float64(x.counts[i][w])
		if often == 0 {
			continue
		}
		in := float64(x.holding[w])
		rarity := math.Log(1 + (float64(len(x.passages))-in+0.5)/(in+0.5))
		score += rarity * often * (saturation + 1) / (often + norm)
	}
	return score
}

func searchPolicy(s *Shop, a struct {
	Query string
	Limit int
}) (Result, error) {
	if strings.TrimSpace(a.Query) == "" {
		return Result{}, refuse("query is empty: say what to look for")
	}
	if a.Limit <= 0 {
		a.Limit = 5
	}
	text, err := reply(struct {
		Items []Passage `json:"items"`
	}{s.policy().search(a.Query, a.Limit)})
	return Result{Text: text}, err
}
