// Package core holds the rules of the state service: when a delta is committed and when it is refused, what a definition must be to be
// kept, how runs are found, and the interfaces that a store implements. It knows no database and no wire.
//
// What all stores promise: a method that changes something returns only once the change is durable; one that reads sees every change
// that was acknowledged before it was called; values handed in or out are not changed afterwards by either side. A request that the rules
// refuse ends in a *Refusal; every other error is an internal failure. All methods may be called from many goroutines.
package core
