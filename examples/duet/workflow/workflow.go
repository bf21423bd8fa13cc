// Package workflow holds the two definitions of the duet.
package workflow

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS

// Namespace the workflows live in: they ask for no other.
const Namespace = "default"

// Names of the workflows, and of the agents that work on their tasks.
const (
	// Researcher writes a brief and reviews drafts.
	Researcher = "researcher"
	// Writer writes the drafts.
	Writer = "writer"
)

// Types of the events by which the two coordinate. They know nothing else of each other.
const (
	// BriefReady tells that a topic has a brief.
	BriefReady = "brief.ready"
	// DraftReady tells that a topic has a draft, and of which round.
	DraftReady = "draft.ready"
	// ReviewChanges asks for another draft.
	ReviewChanges = "review.changes"
	// ReviewAccepted tells that a draft is good.
	ReviewAccepted = "review.accepted"
)
