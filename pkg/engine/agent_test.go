package engine_test

import (
	"crypto/sha256"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// claim claims a task with a token and returns the token's digest.
func claim(w *world, path, token string) []byte {
	w.t.Helper()
	sum := sha256.Sum256([]byte(token))
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: sum[:], Worker: "w-" + token})
	return sum[:]
}
