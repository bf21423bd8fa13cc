// Package core moves runs: it hands what happens to a run to the interpreter, commits what follows, and then gives the commands that
// the commit allows.
//
// Each run that has something to do is an actor: a list of inputs and, while there are any, one goroutine that takes them all, commits
// once, and acts. A run that waits for a person, an agent, a timer or a lock is not in memory at all.
package core
