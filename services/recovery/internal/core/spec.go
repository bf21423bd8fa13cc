package core

import (
	"fmt"
	"slices"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// Spec is how a breaker is declared. A zero field means its default.
type Spec struct {
	// FailureRate is the share of failures beyond which it opens. Default 0.5.
	FailureRate float64
	// WindowCalls is how many of the latest calls count. Default 20.
	WindowCalls int
	// MinCalls is how many calls there must be before it opens. Default 10, or WindowCalls if that is less.
	MinCalls int
	// WindowAge is how old a call may be to count. Default 10m.
	WindowAge time.Duration
	// OpenFor is how long it stays open. Default 30s.
	OpenFor time.Duration
	// HalfOpenCalls is how many trial calls must succeed to close it. Default 2.
	HalfOpenCalls int
	// Counted are the error types that are failures. Default timeout and unavailable.
	Counted []errorsv1.ErrorType
}

// The types that say something about a server rather than about a call; no others may be counted.
var countable = []errorsv1.ErrorType{
	errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, errorsv1.ErrorType_ERROR_TYPE_THROTTLED,
}

// defaultSpec is the breaker that nobody declared.
var defaultSpec, _ = Spec{}.WithDefaults() // which are valid

const maxWindowCalls = 1000

// WithDefaults returns the declaration with every default written out, or a *FieldError about the first thing wrong with it.
func (s Spec) WithDefaults() (Spec, error) {
	setDefault(&s.FailureRate, 0.5)
	setDefault(&s.WindowCalls, 20)
	setDefault(&s.MinCalls, min(10, s.WindowCalls))
	setDefault(&s.WindowAge, 10*time.Minute)
	setDefault(&s.OpenFor, 30*time.Second)
	setDefault(&s.HalfOpenCalls, 2)
	if len(s.Counted) == 0 {
		s.Counted = countable[:2]
	}
	s.Counted = slices.Clone(s.Counted)
	slices.Sort(s.Counted)
	return s, s.validate()
}

func (s Spec) validate() error {
	switch {
	case !(s.FailureRate > 0 && s.FailureRate < 1): // so that NaN is refused too
		return &FieldError{"failure_rate", fmt.Sprintf("%v is not between 0 and 1; 0.3 opens at more than 30 %% failures", s.FailureRate)}
	case s.WindowCalls < 1 || s.WindowCalls > maxWindowCalls:
		return &FieldError{"window_calls", fmt.Sprintf("%d is not between 1 and %d", s.WindowCalls, maxWindowCalls)}
	case s.MinCalls < 1 || s.MinCalls > s.WindowCalls:
		return &FieldError{"min_calls", fmt.Sprintf("%d is not between 1 and window_calls, %d: it would never open", s.MinCalls, s.WindowCalls)}
	case s.WindowAge < time.Second || s.WindowAge > day:
		return &FieldError{"window_age", fmt.Sprintf("%v is not between 1s and 24h", s.WindowAge)}
	case s.OpenFor < 10*time.Millisecond || s.OpenFor > day:
		return &FieldError{"open_for", fmt.Sprintf("%v is not between 10ms and 24h", s.OpenFor)}
	case s.HalfOpenCalls < 1 || s.HalfOpenCalls > 100:
		return &FieldError{"half_open_calls", fmt.Sprintf("%d is not between 1 and 100", s.HalfOpenCalls)}
	}
	for _, t := range s.Counted {
		if !slices.Contains(countable, t) {
			return &FieldError{"counted", fmt.Sprintf("%v says nothing about the server; count timeout, unavailable or throttled", t)}
		}
	}
	return nil
}

func (s Spec) counts(t errorsv1.ErrorType) bool { return slices.Contains(s.Counted, t) }

// tooMany compares the quotient, because 3/10 and the literal 0.3 are the same float64 while 0.3*10 and 3 need not be.
func (s Spec) tooMany(calls, failures int) bool {
	return calls >= s.MinCalls && float64(failures)/float64(calls) > s.FailureRate
}

func (s Spec) equal(other Spec) bool {
	return s.FailureRate == other.FailureRate && s.WindowCalls == other.WindowCalls && s.MinCalls == other.MinCalls &&
		s.WindowAge == other.WindowAge && s.OpenFor == other.OpenFor && s.HalfOpenCalls == other.HalfOpenCalls &&
		slices.Equal(s.Counted, other.Counted)
}

const day = 24 * time.Hour

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
