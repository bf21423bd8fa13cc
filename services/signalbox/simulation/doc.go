// Package simulation has tests alone: the deterministic simulation of the suite. Its README tells how it works.
package simulation
