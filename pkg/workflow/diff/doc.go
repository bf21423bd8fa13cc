// Package diff compares two definitions of one workflow: what changed, in words with paths, and whether runs of the first can go on under
// the second.
//
// CanMove and CanEnter judge a run by its head alone and name what stands in the way. What only recorded values can tell (whether an old
// output fits a new schema) they leave to the caller as Values to check. Like the package it looks at, this one is pure: no I/O, no
// clock, no order of maps.
package diff
