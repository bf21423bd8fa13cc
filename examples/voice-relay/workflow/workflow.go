// Package workflow holds the voice relay's workflow and what Signalbox has to know about the exchange to run it.
package workflow

import (
	_ "embed"
	"strings"
)

// Names of the workflow, as call.yaml gives them.
const (
	// Namespace the workflow lives in.
	Namespace = "voice"
	// Name of the workflow.
	Name = "call"
	// Agent that drafts replies.
	Agent = "agents/attendant"
	// Role of the people at the switchboard.
	Role = "operator"
	// Server is the exchange's name among the tool servers.
	Server = "telephony"
	// Ended is the type of the event that tells of a call's end.
	Ended = "com.example.voice.call-ended.v1"
	// File names the source in findings.
	File = "call.yaml"
)

// Names of the signals that a call takes.
const (
	Partial = "partial"
	Final   = "final"
	HangUp  = "hangup"
)

//go:embed call.yaml
var source string

//go:embed signalbox.yaml
var config string

// here is where the README starts an exchange.
const here = "http://127.0.0.1:7721/mcp"

// Source is the workflow as it is handed to Signalbox, YAML.
func Source() []byte { return []byte(source) }

// Config is signalbox.yaml for an exchange at another URL.
func Config(url string) string { return strings.Replace(config, here, url, 1) }

// Input is what a run of the workflow is started with.
type Input struct {
	// CallID names the call at the exchange.
	CallID string `json:"call_id"`
	// Number of the caller.
	Number string `json:"number"`
}

// Utterance is the value of Partial and Final.
type Utterance struct {
	// Utterance counts what the caller says, from 1.
	Utterance int `json:"utterance"`
	// Text so far, or all of it.
	Text string `json:"text"`
}

// Reason is the value of HangUp.
type Reason struct {
	// Reason in words.
	Reason string `json:"reason"`
}
