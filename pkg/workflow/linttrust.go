package workflow

import (
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// hints is the part of L15 that compares what the operator declares of a tool with what its server says of it. That expressions name no secret, that
// an effect is no weaker than declared and that an agent gets no tool above its max_effect is checked where those are compiled. Only what a server
// affirms counts: libraries write false for what nobody said.
func (l *linter) hints() {
	for _, key := range sortedKeys(l.tools) {
		t := l.tools[key]
		if t.hints == nil || !t.declaration.GetEffectDeclared() {
			continue
		}
		declared := t.effect()
		const mend = "mend the tool's effect in signalbox.yaml, or have the server mended"
		switch {
		case declared == workflowv1.Effect_EFFECT_READ && t.hints.GetDestructive() && !t.hints.GetReadOnly():
			l.warn("L15", t.at, mend, "tool %s is declared read, but its server says that it is destructive", t.name())
		case declared == workflowv1.Effect_EFFECT_READ && t.hints.GetIdempotent() && !t.hints.GetReadOnly():
			l.warn("L15", t.at, mend, "tool %s is declared read, but its server says that it writes, the same however often it is called", t.name())
		case declared > workflowv1.Effect_EFFECT_READ && t.hints.GetReadOnly():
			l.warn("L15", t.at, mend, "tool %s is declared %s, but its server says that it only reads", t.name(), effectName(declared))
		}
	}
}

// secret reports whether an unknown name of an expression is meant to be a secret, which is the part of L15 that is looked at while expressions are
// compiled.
func (c *compiler) secret(name string) bool {
	_, declared := c.def.GetResources().GetSecrets()[name]
	return declared || name == "secrets" || name == "secret" || name == "resources" || name == "env"
}
