package command

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// workflowName is what a workflow may be called, with or without a version. Anything else names a file: a file of that form can be given
// as ./NAME.
var workflowName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}(@.*)?$`)

// namesFile tells a FILE from a NAME[@VERSION].
func namesFile(arg string) bool { return arg == "-" || !workflowName.MatchString(arg) }

// nameAndVersion splits NAME[@VERSION]. An @ with nothing behind it is most often a variable that is not set, and never meant the highest version.
func nameAndVersion(arg string) (name, version string, err error) {
	name, version, pinned := strings.Cut(arg, "@")
	if pinned && strings.TrimSpace(version) == "" {
		return "", "", errs.Invalid("WORKFLOW", "%q has no version behind the @; give one, or leave the @ out for the highest", arg)
	}
	return name, version, nil
}

// getDefinition asks the suite for a registered definition.
func (s *suite) getDefinition(ctx context.Context, name, version string) (*statev1.DefinitionVersion, error) {
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := statev1.NewDefinitionServiceClient(s.conn("state")).GetDefinition(ctx,
		&statev1.GetDefinitionRequest{Namespace: s.namespace(), Name: name, Version: version})
	if err != nil {
		return nil, err
	}
	return response.GetDefinition(), nil
}

// loadDefinition reads a definition from a file, as far as it can be read. What the linter would find is not asked.
func (a *App) loadDefinition(file string) (*workflowv1.WorkflowDefinition, error) {
	source, err := readFile(file, a.In)
	if err != nil {
		return nil, errs.Invalid("FILE", "%v", err)
	}
	doc, findings := workflow.Load(file, source)
	if doc == nil {
		return nil, brokenDefinition(file, findings)
	}
	if n := len(findings.Errors()); n > 0 {
		a.output.Note("%s has %s; see signalbox workflow lint %s", file, count(n, "error"), file)
	}
	return doc.Definition, nil
}

// brokenDefinition is the refusal of a file with all that is wrong with it.
func brokenDefinition(file string, findings workflow.Findings) error {
	lines := []string{file + " is no definition that could be run:"}
	for _, f := range findings.Errors() {
		lines = append(lines, render.Clean(f.String()))
	}
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "%s", strings.Join(lines, "\n"))
}

// compiledDefinition compiles a FILE, or gets NAME[@VERSION] as it was registered. tools says what a file's tools are looked up in.
func (a *App) compiledDefinition(ctx context.Context, s *suite, arg string, lookup *lookup) (*workflow.Definition, error) {
	if !namesFile(arg) {
		name, version, err := nameAndVersion(arg)
		if err != nil {
			return nil, err
		}
		d, err := s.getDefinition(ctx, name, version)
		if err != nil {
			return nil, err
		}
		def, err := workflow.Rebuild(d.GetDefinition(), d.GetTools())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		return def, nil
	}
	source, err := readFile(arg, a.In)
	if err != nil {
		return nil, errs.Invalid("FILE", "%v", err)
	}
	catalog, workflows, err := lookup.get(ctx, a, s)
	if err != nil {
		return nil, err
	}
	def, findings := workflow.Check(arg, source, catalog, workflows)
	if def == nil {
		return nil, brokenDefinition(arg, findings)
	}
	return def, nil
}

// lookup asks the suite for its tools and workflows once, when the first file needs them.
type lookup struct {
	offline, asked bool
	catalog        workflow.Catalog
	workflows      workflow.Workflows
}

func (l *lookup) get(ctx context.Context, a *App, s *suite) (workflow.Catalog, workflow.Workflows, error) {
	if l.offline || l.asked {
		return l.catalog, l.workflows, nil
	}
	l.asked = true
	catalog, err := a.catalog(ctx, s)
	if err != nil || catalog == nil {
		return nil, nil, err
	}
	l.catalog, l.workflows = catalog, a.registered(ctx, s)
	return l.catalog, l.workflows, nil
}

// stateMap reads OLD=NEW pairs.
func stateMap(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range pairs {
		old, name, ok := strings.Cut(pair, "=")
		old, name = strings.TrimSpace(old), strings.TrimSpace(name)
		if !ok || old == "" || name == "" {
			return nil, errs.Invalid("state", "%q is no pair of states; give OLD=NEW, as in --state review=approval", pair)
		}
		if had, twice := out[old]; twice && had != name {
			return nil, errs.Invalid("state", "state %q is mapped twice: to %q and to %q", old, had, name)
		}
		out[old] = name
	}
	return out, nil
}
