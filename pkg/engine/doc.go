// Package engine is the interpreter: the one place that knows what a definition means at run time.
//
// It is pure. Next takes a compiled definition, a run and one input and answers with the history events that follow, with the commands
// that may go out once those events are durable, and with the ledger entries that changed. Time, jitter, slots and results come in with
// the input; nothing is read from a clock, a random source or a map's order.
//
// Next decides, Fold applies: every change of a run passes through Fold, which sees nothing but the event. Hence folding a history
// again yields the run, byte for byte, whatever the definition has become since.
//
// Three functions surround Next. Needs names the earlier events whose payloads the next decision may read, so that a parked run costs
// no memory. Resume lists the commands that a run still waits for, to be given again after a crash; receivers de-duplicate by id.
// Explain tells a person what the run waits for. Checkpoints, ForkHistory and LaterWrites read a history for a fork.
package engine

// Version is the version of the interpreter that a run records at its start.
const Version = 1
