// Package workflow holds the support desk's workflow and what Signalbox has to know about the desk to run it.
package workflow

import _ "embed"

//go:generate go run ./internal/genconfig

// Names of the workflow, as support-escalation.yaml gives them.
const (
	// Namespace the workflow lives in.
	Namespace = "support"
	// Name of the workflow.
	Name = "customer-escalation"
	// Agent that decides on complaints.
	Agent = "agents/resolver"
	// Breaker of the desk's calls.
	Breaker = "desk"
	// Server is the desk's name among the tool servers.
	Server = "desk"
)

//go:embed support-escalation.yaml
var escalation string

// File names the source in findings.
const File = "support-escalation.yaml"

// Source is the workflow as it is handed to Signalbox, YAML.
func Source() []byte { return []byte(escalation) }

// Input is what a run of the workflow is started with.
type Input struct {
	// UserID of the customer who writes.
	UserID string `json:"user_id"`
	// OrderID the message is about.
	OrderID string `json:"order_id"`
	// Message in the customer's words.
	Message string `json:"message"`
	// Channel it came by: email or chat.
	Channel string `json:"channel"`
}
