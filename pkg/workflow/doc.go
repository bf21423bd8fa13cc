// Package workflow turns a definition that somebody wrote into one that can run: it loads YAML or JSON into the contract
// (signalbox.workflow.v1.WorkflowDefinition), writes every default out, resolves tools against a catalogue, compiles every CEL
// expression and template typed from JSON Schemas, and reports every problem with its place and how to mend it.
//
// The package is pure: it reads nothing but its arguments, no clock and no files. What Compile returns is immutable and may be used by many
// goroutines at once, each with its own Scope.
package workflow

//go:generate go run ./internal/gendocs
