// Package dryrun plays a run of a definition in memory, to see what it would do: with the interpreter that real runs have, a clock that jumps
// to the next timer, and stand-ins for everything outside. It does no I/O of its own: READ tools are called, and definitions of
// sub-workflows found, through interfaces.
package dryrun
