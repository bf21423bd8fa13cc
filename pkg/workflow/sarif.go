package workflow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"
)

// The parts of SARIF 2.1.0 (Static Analysis Results Interchange Format) that findings need, which are also those that code scanning of GitHub
// reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool       `json:"tool"`
		ColumnKind string          `json:"columnKind"`
		Artifacts  []sarifArtifact `json:"artifacts"`
		Results    []sarifResult   `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string      `json:"id"`
		Name             string      `json:"name"`
		ShortDescription sarifText   `json:"shortDescription"`
		FullDescription  sarifText   `json:"fullDescription"`
		Help             sarifText   `json:"help"`
		HelpURI          string      `json:"helpUri"`
		Configuration    sarifConfig `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifArtifact struct {
		Location sarifURI `json:"location"`
	}
	sarifURI struct {
		URI   string `json:"uri"`
		Index *int   `json:"index,omitempty"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifURI     `json:"artifactLocation"`
		Region   *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	projectURI  = "https://github.com/signalbox-dev/signalbox"
	rulesURI    = projectURI + "/blob/main/docs/lint.md"
)

// SARIF renders the findings of some files as a SARIF 2.1.0 log of one run. The version is the linter's.
func (fs Findings) SARIF(version string, files []string) ([]byte, error) {
	run := sarifRun{
		Tool:       sarifTool{Driver: sarifDriver{Name: "signalbox", Version: version, InformationURI: projectURI}},
		ColumnKind: "unicodeCodePoints", Artifacts: []sarifArtifact{}, Results: []sarifResult{},
	}
	index := map[string]int{}
	for i, r := range Rules() {
		index[r.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r.sarif())
	}
	at := func(file string) sarifURI {
		uri := fileURI(file)
		i := slices.IndexFunc(run.Artifacts, func(a sarifArtifact) bool { return a.Location.URI == uri })
		if i < 0 {
			i = len(run.Artifacts)
			run.Artifacts = append(run.Artifacts, sarifArtifact{Location: sarifURI{URI: uri}})
		}
		return sarifURI{URI: uri, Index: &i}
	}
	for _, file := range files {
		at(file)
	}
	for _, f := range fs {
		run.Results = append(run.Results, f.sarif(index[f.Rule], at(f.File)))
	}
	return json.MarshalIndent(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}, "", "  ")
}

func (r Rule) sarif() sarifRule {
	uri := rulesURI
	if strings.HasPrefix(r.ID, "L") {
		uri += "#" + strings.ToLower(r.ID)
	}
	return sarifRule{
		ID: r.ID, Name: camel(r.Name), HelpURI: uri, Configuration: sarifConfig{Level: string(r.Severity)},
		ShortDescription: sarifText{Text: r.Name}, FullDescription: sarifText{Text: strings.ReplaceAll(r.Checks, "`", "")},
		Help: sarifText{
			Text:     strings.ReplaceAll(r.Checks+"\n\n"+r.Why, "`", "") + "\n\nSee " + uri,
			Markdown: r.Checks + "\n\n" + r.Why + "\n\nSee [" + r.ID + "](" + uri + ").",
		},
	}
}

func (f Finding) sarif(rule int, at sarifURI) sarifResult {
	text := f.Message
	if f.Mend != "" {
		text += "\nMend: " + f.Mend
	}
	// Lines move when something is written above them; the path and what is said of it stay.
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Rule, f.Path, f.Message}, "\x00")))
	out := sarifResult{
		RuleID: f.Rule, RuleIndex: rule, Level: string(f.Severity), Message: sarifText{Text: text},
		Locations: []sarifLocation{{Physical: sarifPhysical{Artifact: at}}}, Fingerprints: map[string]string{"signalboxFinding/v1": hex.EncodeToString(sum[:16])},
	}
	if f.Line > 0 {
		out.Locations[0].Physical.Region = &sarifRegion{StartLine: f.Line, StartColumn: f.Column}
	}
	if f.Path != "" {
		out.Locations[0].Logical = []sarifLogical{{FullyQualifiedName: f.Path}}
	}
	return out
}

// fileURI is a file's name as a URI reference: relative to the folder that the linter was called in, unless it is absolute.
func fileURI(file string) string {
	if file == "" || file == "-" {
		return "stdin"
	}
	file = path.Clean(strings.ReplaceAll(file, `\`, "/"))
	if strings.HasPrefix(file, "/") {
		return (&url.URL{Scheme: "file", Path: file}).String()
	}
	return (&url.URL{Path: file}).String()
}

// camel joins words as SARIF wants names: "dead guard" is DeadGuard.
func camel(words string) string {
	var out strings.Builder
	for _, word := range strings.Fields(words) {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
