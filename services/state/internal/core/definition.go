package core

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// DefaultNamespace is the namespace of what names none.
const DefaultNamespace = "default"

// Definition is one immutable version of a workflow as it is kept.
type Definition struct {
	// Namespace, Name and Version name it.
	Namespace, Name, Version string
	// Digest of the closure.
	Digest string
	// Proto has every default written out. Tools are the pinned declarations.
	Proto *workflowv1.WorkflowDefinition
	Tools []*workflowv1.ToolDeclaration
	// Source is what the author wrote.
	Source []byte
	// CreateTime is when it was registered.
	CreateTime time.Time
	// Findings are the warnings at that time.
	Findings workflow.Findings
}

// Definitions registers and finds definitions.
type Definitions struct {
	store DefinitionStore
	clock clock.Clock
}

// NewDefinitions makes the rules over a store.
func NewDefinitions(store DefinitionStore, c clock.Clock) *Definitions {
	return &Definitions{store: store, clock: c}
}

// Registration is a definition to be kept.
type Registration struct {
	// Source as its author wrote it, and the File named in findings. Empty: "definition".
	Source []byte
	File   string
	// Namespace is where a definition goes that names none; one that names another is refused. Empty: the definition says it alone.
	Namespace string
	// Tools is the catalogue to check against.
	Tools []*workflowv1.ToolDeclaration
	// ValidateOnly keeps nothing.
	ValidateOnly bool
}

// Registered is what became of a registration.
type Registered struct {
	// Definition as kept; nil with ValidateOnly.
	Definition *Definition
	// Findings are the warnings.
	Findings workflow.Findings
	// Created is whether this call added it.
	Created bool
}

// Register checks a definition and keeps it. It refuses with DEFINITION_INVALID and every finding, and with DEFINITION_CHANGED when the
// version is kept with another digest. A definition that is kept already is no change, even when a sub-workflow that it names without a version has
// a newer one since: what is kept stays as it was pinned, and a warning says so.
func (d *Definitions) Register(ctx context.Context, r Registration) (Registered, error) {
	file := cmp.Or(r.File, "definition")
	var unread error
	compiled, findings := workflow.CheckIn(r.Namespace, file, r.Source, workflow.NewCatalog(r.Tools), d.registered(ctx, &unread))
	if unread != nil {
		return Registered{}, unread
	}
	if findings.HasErrors() || compiled == nil {
		return Registered{}, definitionInvalid(file, findings)
	}
	if r.ValidateOnly {
		return Registered{Findings: findings}, nil
	}
	kept, created, err := d.store.AddDefinition(ctx, d.definitionOf(compiled, r.Source, findings))
	if err != nil {
		return Registered{}, err
	}
	if kept.Digest != compiled.Digest {
		return d.registerAgain(ctx, file, r, kept, compiled)
	}
	return Registered{Definition: kept, Findings: findings, Created: created}, nil
}

// registered are the definitions that a sub-workflow can be. What keeps one from being read is left in unread.
func (d *Definitions) registered(ctx context.Context, unread *error) workflow.Workflows {
	find := func(namespace, name, version string) (*workflow.Definition, bool) {
		kept, err := d.store.FindDefinition(ctx, DefinitionKey{Namespace: namespace, Name: name, Version: version})
		if err != nil || kept == nil {
			*unread = cmp.Or(*unread, err)
			return nil, false
		}
		child, err := workflow.Rebuild(kept.Proto, kept.Tools)
		if err != nil {
			*unread = fmt.Errorf("definition %s %s: %w", kept.Name, kept.Version, err)
		}
		return child, err == nil
	}
	// A definition may wait for many events, and all definitions are read for the first of them.
	known := map[string]map[string][]string{}
	return registered{find, func(namespace string) map[string][]string {
		if known[namespace] == nil {
			all, err := d.emitters(ctx, namespace)
			*unread = cmp.Or(*unread, err)
			known[namespace] = all
		}
		return known[namespace]
	}}
}

func (d *Definitions) definitionOf(compiled *workflow.Definition, source []byte, findings workflow.Findings) *Definition {
	meta := compiled.Proto.GetMetadata()
	return &Definition{
		Namespace:  cmp.Or(meta.GetNamespace(), DefaultNamespace),
		Name:       meta.GetName(),
		Version:    meta.GetVersion(),
		Digest:     compiled.Digest,
		Proto:      compiled.Proto,
		Tools:      compiled.Tools,
		Source:     source,
		CreateTime: d.clock.Now(),
		Findings:   findings,
	}
}

// maxFindingsNamed is how many errors the message itself tells; all of them are in Refusal.Findings.
const maxFindingsNamed = 3

func definitionInvalid(file string, findings workflow.Findings) *Refusal {
	broken := findings.Errors()
	n := len(broken)
	count, more := fmt.Sprintf("%d errors", n), ""
	if n == 1 {
		count = "1 error"
	}
	if n > maxFindingsNamed {
		broken, more = broken[:maxFindingsNamed], fmt.Sprintf("\n… and %d more", n-maxFindingsNamed)
	}
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "%s has %s:\n%s%s", file, count,
		strings.TrimSuffix(broken.String(), "\n"), more)
	r.Findings = findings
	r.Metadata = map[string]string{"errors": strconv.Itoa(n), "warnings": strconv.Itoa(len(findings) - n)}
	return r
}

func definitionChanged(kept *Definition, digest, changes string) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_CHANGED,
		"%s %s is registered with digest %s, which differs from %s, the one given%s; raise metadata.version",
		kept.Name, kept.Version, kept.Digest, digest, changes)
	r.Metadata = map[string]string{"name": kept.Name, "version": kept.Version, "digest": kept.Digest, "given_digest": digest}
	return r
}

// Get reads one version. It refuses with WORKFLOW_NOT_FOUND or VERSION_NOT_FOUND.
func (d *Definitions) Get(ctx context.Context, key DefinitionKey) (*Definition, error) {
	switch {
	case key.Digest == "" && key.Name == "":
		return nil, Invalid("name", "is empty; name a workflow, or give the digest of a definition")
	case key.Digest != "" && (key.Name != "" || key.Version != ""):
		return nil, Invalid("digest", "excludes name and version; give one or the other")
	}
	found, err := d.store.FindDefinition(ctx, key)
	if err != nil || found != nil {
		return found, err
	}
	return nil, d.notFound(ctx, key)
}

func (d *Definitions) notFound(ctx context.Context, key DefinitionKey) error {
	if key.Digest != "" {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND,
			"no definition with digest %q in namespace %q", key.Digest, key.Namespace)
	}
	all, err := d.store.ListVersions(ctx, key.Namespace)
	if err != nil {
		return err
	}
	var names, versions []string
	for _, v := range all {
		names = append(names, v.Name)
		if v.Name == key.Name {
			versions = append(versions, v.Version)
		}
	}
	if len(versions) == 0 {
		r := refuse(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, "no workflow %q in namespace %q", key.Name, key.Namespace)
		r.Want, r.Have = key.Name, names
		return r
	}
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_VERSION_NOT_FOUND, "workflow %q has no version %q, only %s",
		key.Name, key.Version, listVersions(versions))
	r.Want, r.Have = key.Version, versions
	return r
}
