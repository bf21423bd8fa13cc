// Package boot runs a process of Signalbox: the modules of one dependency table, in order, on one set of listeners, until it is told
// to stop or one of them fails.
package boot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// Module is one row of the dependency table.
type Module struct {
	// Name is unique; for a service it is the one that others ask the directory for.
	Name string
	// DependsOn names the modules this one needs in its own process: they start before and stop after it, and are drawn in when it runs.
	DependsOn []string
	// Calls names the services it speaks to over gRPC. They run here or have an address; no order is kept, so circles are fine.
	Calls []string
	// Service says that the module registers gRPC services under its name.
	Service bool
	// HTTP says that the module registers handlers on the HTTP listener, which is opened only for such modules.
	HTTP bool
	// Start makes the module and registers what it offers. Its ctx ends when the process is told to stop meanwhile. It does not wait for
	// other services: they may come later.
	Start func(ctx context.Context, app *App) (Running, error)
}

// Running is a started module. Each function may be nil.
type Running struct {
	// Run does background work until its ctx ends. When it returns earlier, with or without an error, the whole process stops.
	Run func(ctx context.Context) error
	// Ready says why the module cannot do its work now, or nil. It is asked often and must answer at once.
	Ready func(ctx context.Context) error
	// Stop gives back what the module holds, after Run has returned. ctx is the time that is left for it.
	Stop func(ctx context.Context) error
}

// plan chooses the modules to run and puts them in the order in which they start. only names some of the table; none means all.
// addresses are those of services elsewhere.
func plan(table []Module, only []string, addresses map[string]string) ([]Module, error) {
	byName := map[string]Module{}
	var names []string
	for _, module := range table {
		if _, double := byName[module.Name]; double || module.Name == "" {
			return nil, fmt.Errorf("boot: the table has two modules %q, or one without a name", module.Name)
		}
		byName[module.Name] = module
		names = append(names, module.Name)
	}
	if len(only) == 0 {
		only = names
	}
	o := ordering{byName: byName, names: names, done: map[string]bool{}}
	for _, name := range only {
		if err := o.visit(name, nil); err != nil {
			return nil, err
		}
	}
	return o.order, checkCalls(o.order, o.done, addresses)
}

// ordering is a depth-first walk along DependsOn.
type ordering struct {
	byName map[string]Module
	names  []string
	done   map[string]bool
	order  []Module
}

func (o *ordering) visit(name string, above []string) error {
	if o.done[name] {
		return nil
	}
	if slices.Contains(above, name) {
		return fmt.Errorf("boot: modules depend on each other in a circle: %s", strings.Join(append(above, name), " -> "))
	}
	module, ok := o.byName[name]
	if !ok {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "there is no module %q%s; there are %s",
			name, nearest.Hint(name, o.names), strings.Join(o.names, ", "))
	}
	for _, needed := range module.DependsOn {
		if err := o.visit(needed, append(slices.Clone(above), name)); err != nil {
			return err
		}
	}
	o.done[name] = true
	o.order = append(o.order, module)
	return nil
}

// checkCalls finds every service that is neither here nor has an address.
func checkCalls(order []Module, here map[string]bool, addresses map[string]string) error {
	var callers []string
	var missing *errs.Error
	for _, module := range order {
		for _, called := range module.Calls {
			if here[called] || addresses[called] != "" {
				continue
			}
			callers = append(callers, fmt.Sprintf("services.%s.address: %s calls the %s service, which does not run in this process; set its address", called, module.Name, called))
		}
	}
	if len(callers) == 0 {
		return nil
	}
	missing = errs.New(errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "%s", strings.Join(callers, "\n"))
	for _, line := range callers {
		path, problem, _ := strings.Cut(line, ": ")
		missing = missing.Field(path, problem)
	}
	return missing
}
