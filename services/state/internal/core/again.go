package core

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// registerAgain judges a registration of a version that is kept with another digest. compiled is what it would be now.
func (d *Definitions) registerAgain(
	ctx context.Context, file string, r Registration, kept *Definition, compiled *workflow.Definition,
) (Registered, error) {
	var unread error
	pins := versionsOf(kept.Proto)
	registered := d.registered(ctx, &unread)
	asPinned := workflow.WorkflowsFunc(func(namespace, name, version string) (*workflow.Definition, bool) {
		if version == "" {
			version = pins[name]
		}
		return registered.Workflow(namespace, name, version)
	})
	same, findings := workflow.CheckIn(r.Namespace, file, r.Source, workflow.NewCatalog(r.Tools), asPinned)
	switch {
	case unread != nil:
		return Registered{}, unread
	case same == nil || findings.HasErrors():
		same = compiled
	case same.Digest == kept.Digest:
		return Registered{Definition: kept, Findings: append(findings, newerWorkflows(file, kept, pins, compiled)...)}, nil
	}
	before, err := workflow.Rebuild(kept.Proto, kept.Tools)
	if err != nil {
		return Registered{}, fmt.Errorf("definition %s %s: %w", kept.Name, kept.Version, err)
	}
	return Registered{}, definitionChanged(kept, same.Digest, told(diff.Compare(before, same, nil).Changes))
}

// versionsOf returns the highest version of each sub-workflow that a definition is pinned to: that of a name without a version, if there is one.
func versionsOf(def *workflowv1.WorkflowDefinition) map[string]string {
	versions := map[string]string{}
	_ = visitEach(def.ProtoReflect(), func(w *workflowv1.SubWorkflow) error { // the visit never fails
		if have, ok := versions[w.GetName()]; !ok || CompareVersions(w.GetVersion(), have) > 0 {
			versions[w.GetName()] = w.GetVersion()
		}
		return nil
	})
	return versions
}

// newerWorkflows warns of sub-workflows that have a newer version than the one that is pinned.
func newerWorkflows(file string, kept *Definition, pins map[string]string, now *workflow.Definition) (warnings workflow.Findings) {
	newer := versionsOf(now.Proto)
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if version := newer[name]; version != pins[name] {
			warnings = append(warnings, workflow.Finding{
				Rule: workflow.RuleWorkflow, Severity: workflow.SeverityWarning, File: file, Line: 1, Column: 1,
				Message: fmt.Sprintf("%s %s is registered with %s %s, and stays with it although there is %s now",
					kept.Name, kept.Version, name, pins[name], version),
				Mend: "raise metadata.version to take the newer one",
			})
		}
	}
	return warnings
}

const (
	// maxChangesTold is how many changes a message names, maxValueTold how long each of their values may be.
	maxChangesTold = 3
	maxValueTold   = 60
)

// told names the first changes.
func told(changes []diff.Change) string {
	if len(changes) == 0 {
		return ""
	}
	more := ""
	if n := len(changes) - maxChangesTold; n > 0 {
		changes, more = changes[:maxChangesTold], fmt.Sprintf(" and %d more", n)
	}
	parts := make([]string, len(changes))
	for i, c := range changes {
		parts[i] = string(c.How) + " " + c.What
		switch {
		case c.Before != "" && c.After != "":
			parts[i] += ": " + short(c.Before) + " -> " + short(c.After)
		case c.Before+c.After != "":
			parts[i] += ": " + short(c.Before+c.After)
		}
	}
	return " (" + strings.Join(parts, "; ") + more + ")"
}

func short(value string) string {
	if r := []rune(value); len(r) > maxValueTold {
		return string(r[:maxValueTold]) + "…"
	}
	return value
}
