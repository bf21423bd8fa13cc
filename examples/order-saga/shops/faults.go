package shops

import (
	"bytes"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// silent takes what http.Server says of connections that are cut on purpose.
var silent = log.New(io.Discard, "", 0)

// Faults make calls fail on their way. The zero value lets all through.
type Faults struct {
	mu   sync.Mutex
	dice *rand.Rand
	// lost and refused are how many calls in a hundred lose their answer, or find the server away.
	lost, refused int
	pace          time.Duration
	counts        map[string]int
}

// NewFaults draws from a seed. Each call takes pace, so that there is something to interrupt.
func NewFaults(seed uint64, lost, refused int, pace time.Duration) *Faults {
	return &Faults{dice: rand.New(rand.NewPCG(seed, 0x6f72646572)), lost: lost, refused: refused, pace: pace, counts: map[string]int{}}
}

// Counts tells how many calls lost their answer, and how many found the server away.
func (f *Faults) Counts() (lost, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts["lost"], f.counts["refused"]
}

func (f *Faults) draw() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dice == nil {
		return ""
	}
	n, fate := f.dice.IntN(100), ""
	switch {
	case n < f.lost:
		fate = "lost"
	case n < f.lost+f.refused:
		fate = "refused"
	}
	f.counts[fate]++
	return fate
}

// around puts the faults before a server. Messages to customers are let through: nobody could find out about one.
func (f *Faults) around(server string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the request cannot be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte(`"tools/call"`)) || server == "notification" {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case <-time.After(f.pace):
		case <-r.Context().Done():
			return
		}
		switch f.draw() {
		case "refused":
			http.Error(w, "come back later", http.StatusServiceUnavailable)
		case "lost": // the effect is there, the answer is not
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
