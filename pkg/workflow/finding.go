package workflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a finding keeps a definition from being registered.
type Severity string

// The severities.
const (
	// SeverityError refuses the definition.
	SeverityError Severity = "error"
	// SeverityWarning is stored with the definition and shown.
	SeverityWarning Severity = "warning"
)

// The rules that are not lint rules. A lint rule is named as in the design: "L1" … "L16".
const (
	// RuleSyntax: the text is not YAML or JSON.
	RuleSyntax = "syntax"
	// RuleSchema: the text does not fit the contract: an unknown field, a wrong type, a value out of range.
	RuleSchema = "schema"
	// RuleLimit: the definition is too large or too deep.
	RuleLimit = "limit"
	// RuleUnsupported: a construct of the contract that this version cannot run yet.
	RuleUnsupported = "unsupported"
	// RuleTool: a tool's declaration in the catalogue cannot be used.
	RuleTool = "tool"
	// RuleWorkflow: a sub-workflow is not checked.
	RuleWorkflow = "workflow"
)

// Finding is one problem of a definition.
type Finding struct {
	// Rule is the stable id of the broken rule: "L1" … "L16" or one of the Rule constants.
	Rule string `json:"rule"`
	// Severity is error or warning.
	Severity Severity `json:"severity"`
	// File is the name given to Load.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 when the finding has no place.
	Line int `json:"line,omitempty"`
	// Column counts characters from 1; 0 when the finding has no place.
	Column int `json:"column,omitempty"`
	// Path leads to the field, as in `states.gather.steps[0].tool.server`.
	Path string `json:"path,omitempty"`
	// Message says what is wrong with which value.
	Message string `json:"message"`
	// Mend says how to mend it. May be empty.
	Mend string `json:"mend,omitempty"`
}

// String renders the finding as `file:line:col: error L3: message; mend: …`.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		b.WriteByte(':')
	}
	if f.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", f.Line, f.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "%s %s: %s", f.Severity, f.Rule, f.Message)
	if f.Mend != "" {
		b.WriteString("; mend: ")
		b.WriteString(f.Mend)
	}
	return b.String()
}

// Findings are the problems of one definition, in the order of the text.
type Findings []Finding

// HasErrors reports whether one of the findings refuses the definition.
func (fs Findings) HasErrors() bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == SeverityError })
}

// Errors returns those that refuse the definition.
func (fs Findings) Errors() Findings {
	return slices.DeleteFunc(slices.Clone(fs), func(f Finding) bool { return f.Severity != SeverityError })
}

// Warnings returns those that do not refuse the definition.
func (fs Findings) Warnings() Findings {
	return slices.DeleteFunc(slices.Clone(fs), func(f Finding) bool { return f.Severity == SeverityError })
}

// String renders one finding a line.
func (fs Findings) String() string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// MarshalJSON renders an array, `[]` when there are none.
func (fs Findings) MarshalJSON() ([]byte, error) {
	if len(fs) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]Finding(fs))
}

// sorted returns the findings in the order of the text, without repetitions, and at most maxFindings of them.
func (fs Findings) sorted() Findings {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	fs = slices.CompactFunc(fs, func(a, b Finding) bool { return a == b })
	if len(fs) <= maxFindings {
		return fs
	}
	cut := len(fs) - maxFindings
	last := Finding{
		Rule: RuleLimit, Severity: SeverityWarning, File: fs[0].File,
		Message: fmt.Sprintf("%d more findings are not shown", cut), Mend: "mend those shown and check again",
	}
	if fs[maxFindings:].HasErrors() {
		last.Severity = SeverityError
	}
	return append(fs[:maxFindings:maxFindings], last)
}
