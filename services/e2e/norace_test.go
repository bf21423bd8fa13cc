//go:build !race

package e2e_test

// raceDetector tells that the tests run under the race detector, and so do the processes.
const raceDetector = false
