package main

import (
	"fmt"
	"maps"
	"slices"
)

// Breach is one place where a package breaks a wall.
type Breach struct {
	Wall   *Wall
	Room   string   // the importing package
	Target string   // the import, or the name used
	Verb   string   // "must not import", "must not reach", "must not use", "has no leave to import"
	At     string   // file:line
	Chain  []string // the chain of imports, for reach only
}

// Result is what a check found.
type Result struct {
	House    *House
	Walls    int
	Breaches []Breach
	// Idle are walls whose rooms match no package yet.
	Idle []string
}

// Check holds every room of the house to every wall.
func Check(cfg *Config, h *House) (*Result, error) {
	r := &Result{House: h, Walls: len(cfg.Walls)}
	src := newSource(h)
	for i := range cfg.Walls {
		c := &checker{wall: &cfg.Walls[i], house: h, source: src}
		breaches, err := c.check()
		if err != nil {
			return nil, fmt.Errorf("wall %q: %w", c.wall.Name, err)
		}
		r.Breaches = append(r.Breaches, breaches...)
		if c.held == 0 {
			r.Idle = append(r.Idle, c.wall.Name)
		}
	}
	return r, nil
}

// checker holds the house to one wall.
type checker struct {
	wall   *Wall
	house  *House
	source *source

	rooms, except []Pattern
	exceptions    []exception
	held          int
}

type exception struct {
	*Exception
	pkg    Pattern
	target Pattern
	used   bool
}

func (c *checker) check() ([]Breach, error) {
	if err := c.compile(); err != nil {
		return nil, err
	}
	var out []Breach
	for _, p := range c.house.Rooms {
		captures, held := c.holds(p.ImportPath)
		if !held {
			continue
		}
		c.held++
		found, err := c.checkRoom(p, captures)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	out = slices.DeleteFunc(out, c.excused)
	for _, e := range c.exceptions {
		if !e.used {
			out = append(out, Breach{Wall: c.wall, Room: e.Package, Target: e.Target, At: "tools/walls.yaml",
				Verb: "has an exception that excuses nothing any more: delete it;"})
		}
	}
	return out, nil
}

func (c *checker) compile() (err error) {
	if c.rooms, err = compileAll(c.wall.Rooms, c.house.Module, nil); err != nil {
		return err
	}
	if c.except, err = compileAll(c.wall.Except, c.house.Module, nil); err != nil {
		return err
	}
	for i := range c.wall.Exceptions {
		e := exception{Exception: &c.wall.Exceptions[i]}
		if e.pkg, err = compilePattern(e.Package, c.house.Module, nil); err != nil {
			return err
		}
		if e.target, err = compilePattern(e.Target, c.house.Module, nil); err != nil {
			return err
		}
		c.exceptions = append(c.exceptions, e)
	}
	return nil
}

// holds reports whether a package stands behind this wall.
func (c *checker) holds(importPath string) (captures map[string]string, held bool) {
	_, captures, held = first(c.rooms, importPath)
	return captures, held && !matchesAny(c.except, importPath)
}

func (c *checker) excused(b Breach) bool {
	for i := range c.exceptions {
		e := &c.exceptions[i]
		if _, ok := e.pkg.Match(b.Room); !ok {
			continue
		}
		if _, ok := e.target.Match(b.Target); ok {
			e.used = true
			return true
		}
	}
	return false
}

// bounds are a wall's lists with the captures of one room filled in.
type bounds struct {
	only, never, reach, but []Pattern
}

func (c *checker) bind(captures map[string]string) (b bounds, err error) {
	for _, list := range []struct {
		texts []string
		into  *[]Pattern
	}{{c.wall.OnlyImport, &b.only}, {c.wall.NeverImport, &b.never}, {c.wall.NeverReach, &b.reach}, {c.wall.But, &b.but}} {
		if *list.into, err = compileAll(list.texts, c.house.Module, captures); err != nil {
			return bounds{}, err
		}
	}
	return b, nil
}

func (c *checker) checkRoom(p *Package, captures map[string]string) ([]Breach, error) {
	b, err := c.bind(captures)
	if err != nil {
		return nil, err
	}
	out := append(c.directBreaches(p, b), c.reachBreaches(p, captures, b)...)
	uses, err := c.source.uses(p, c.wall.Tests, c.wall.NeverUse)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		out = append(out, Breach{Wall: c.wall, Room: p.ImportPath, Target: u.name, Verb: "must not use", At: u.at})
	}
	return out, nil
}

func (c *checker) directBreaches(p *Package, b bounds) []Breach {
	var out []Breach
	for _, path := range p.imports(c.wall.Tests) {
		var verb string
		switch {
		case matchesAny(b.never, path) && !matchesAny(b.but, path):
			verb = "must not import"
		case len(b.only) > 0 && !c.house.isStandard(path) && !matchesAny(b.only, path):
			verb = "has no leave to import"
		default:
			continue
		}
		out = append(out, Breach{Wall: c.wall, Room: p.ImportPath, Target: path, Verb: verb,
			At: c.source.importPlace(p, c.wall.Tests, path)})
	}
	return out
}

// reachBreaches gives, for each forbidden pattern, the shortest chain to it. A chain that leads through another package held
// by the same wall is left to that package's own report, so that one import is one breach.
func (c *checker) reachBreaches(p *Package, captures map[string]string, b bounds) []Breach {
	var out []Breach
	for _, forbidden := range b.reach {
		chain := c.house.chainTo(p, c.wall.Tests, func(path string) bool {
			_, hit := forbidden.Match(path)
			return hit && !matchesAny(b.but, path)
		})
		if chain == nil || slices.ContainsFunc(chain[1:len(chain)-1], func(path string) bool {
			other, held := c.holds(path)
			return held && maps.Equal(captures, other)
		}) {
			continue
		}
		out = append(out, Breach{Wall: c.wall, Room: p.ImportPath, Target: chain[len(chain)-1], Verb: "must not reach",
			At: c.source.importPlace(p, c.wall.Tests, chain[1]), Chain: chain})
	}
	return out
}
