package workflow

// Rule is what is known of the findings with one id.
type Rule struct {
	// ID is that of Finding.Rule.
	ID string
	// Name in words, as "definite assignment".
	Name string
	// Checks says what is found.
	Checks string
	// Why says what would happen otherwise, and what is not found.
	Why string
	// Severity is that of most of its findings.
	Severity Severity
}

// Rules are all rules: those of the linter in their order, then those of reading and compiling.
func Rules() []Rule {
	out := make([]Rule, 0, len(lintRules)+len(otherRules))
	return append(append(out, lintRules...), otherRules...)
}

var lintRules = []Rule{
	{
		"L1", "unreachable state", "A state that no transition and no handler leads to, on any way from `initial`.",
		"It is never entered: a name was mistyped, or it is left over.", SeverityError,
	},
	{
		"L2", "no terminal path", "A reachable state from which no terminal state can be reached.",
		"A run that enters it never ends but by its deadline.", SeverityError,
	},
	{
		"L3", "broken reference", "A state, step, lock, breaker, tool server, tool, secret, escalation, rollback scope, signal, error type or workflow that is named and " +
			"does not exist, or a step id that is taken twice.",
		"What is named would be missed when a run comes to it.", SeverityError,
	},
	{
		"L4", "CEL types", "An expression that does not compile against the schemas of what it reads, is not of the type that its field needs, or may cost more than its " +
			"budget; an argument that does not fit the tool's or the workflow's schema. Reading what has no schema is a warning.",
		"It would fail when it is evaluated, in the middle of a run.", SeverityError,
	},
	{
		"L5", "definite assignment", "Reading `steps.x.output` where x may not have run, may have been skipped by its `if` or by a handler, may have failed, stands inside a " +
			"map, or in a branch that its parallel step can do without. All ways are followed: transitions with their guards, handlers at each step, fallbacks, joins and undo. " +
			"`has(steps.x.output)`, a comparison of `steps.x.status` and one of the output with null are understood as guards, in `&&`, `||`, `?:`, in the `if` of the step and in the guard of a transition on the way. Likewise the token of a lock that neither the state nor a step around holds.",
		"The expression fails on exactly the way that nobody tried. That a person skips a step by hand is not foreseen: they answer for it.", SeverityError,
	},
	{
		"L6", "enum literal", "A literal that is compared with data whose schema lists its values, and is not among them: enums of the input, of tools and of steps, the " +
			"decisions of a human gate, the status of a step, the type and effect of an error, the name of the state.",
		"The comparison never holds (or always): a value was mistyped.", SeverityError,
	},
	{
		"L7", "dead guard", "A guard, an `if`, or a `when` of a handler or filter that is the same whatever the data is; a guard equal to an earlier one of the same list; a " +
			"handler behind one that takes all of its errors.",
		"What stands behind it never happens, or the condition says nothing.", SeverityError,
	},
	{
		"L8", "phase order", "A way from a state to one of an earlier phase whose `max_visits` is not above 1.",
		"Going back is fine where it is foreseen; otherwise the run fails with visit-limit.", SeverityError,
	},
	{
		"L9", "effects after validation", "Where phases are used: a step above READ that can be reached without leaving a state of phase `validation`, or one that asks a " +
			"person, by its transitions. Handlers count as ways around it. A gate in a branch that need not succeed checks nothing.",
		"Something would be changed before anything was checked.", SeverityError,
	},
	{
		"L10", "unbounded loop", "A state on a cycle without `max_visits`, a map without `max_items`, an agent without a budget of turns and tokens.",
		"What has no bound goes round until the run's deadline, and may cost without end.", SeverityError,
	},
	{
		"L11", "missing compensation", "A step above READ in a rollback scope, or in a branch that `cancel_rest` may cancel, that nothing undoes; an IRREVERSIBLE step that is " +
			"followed by something that can have it undone: a handler that compensates its scope, a deadline, or an error that nothing answers in a run with something to undo (a warning). " +
			"`none_needed` with a reason is an answer to all of it.",
		"The undo would leave something behind that nobody thought of: the mail says that it was done.", SeverityError,
	},
	{
		"L12", "unsafe retry", "A WRITE or IRREVERSIBLE call under an effective retry - its own, of an outer scope, or of a parallel or map step that fails with it - that has neither " +
			"an `idempotency_argument` nor a `reconcile` probe; an undo of that kind that is retried; a probe that is not READ.",
		"A repeated call cannot be told from a first one, so that a customer may be charged twice.", SeverityError,
	},
	{
		"L13", "lock order", "A lock that is asked for while one of the same or a higher rank is held: by the state, by a step around it, or by the parent of a workflow. A " +
			"step that waits for a person, an event, an agent or a workflow under a lock that nobody else can have is a warning.",
		"Two runs that take the same locks in two orders wait for each other.", SeverityError,
	},
	{
		"L14", "waits", "A wait for an event, an agent or a workflow without a time-out of the step, of one around it or of the state; an event type that is waited for, or " +
			"starts a run, and that neither this workflow, nor one it runs, nor any other that is known emits, and that is not declared `external`. How long one attempt of an agent may take is no " +
			"time-out: a task that nobody claims never begins one.",
		"Such a wait ends with the run's own deadline only, which is why both are warnings; the emitter may be registered later.", SeverityWarning,
	},
	{
		"L15", "trust", "A secret in an expression; an effect that is written weaker than the tool's declaration; a tool of an agent above its `max_effect`; a declared effect " +
			"that contradicts what the tool's server says of it (a warning).",
		"Secrets would end up in histories and prompts, and an agent could do what nobody allowed.", SeverityError,
	},
	{
		"L16", "repeated effect", "A write on a cycle whose arguments can differ from visit to visit, whose key does not, and whose first effect is not undone before the second " +
			"visit, unless `already-done` is handled; likewise a map of writes whose items can differ. In a map, an idempotency key that is the same for all items. For an idempotent write, and for a workflow with effects that runs once more: a warning.",
		"An effect that stands is never repeated: the second visit gets the first one's output, or fails with already-done.", SeverityError,
	},
}

var otherRules = []Rule{
	{RuleSyntax, "syntax", "Text that is neither YAML nor JSON.", "Nothing can be read.", SeverityError},
	{RuleSchema, "contract", "A field that does not exist, has the wrong type or a value out of range.", "The definition does not say what its author meant.", SeverityError},
	{RuleLimit, "limit", "A definition, an expression or a nesting beyond the limits.", "One definition must not slow the others down.", SeverityError},
	{RuleUnsupported, "not supported", "A construct that this version refuses, or keeps without acting on it (a warning).", "Nothing is passed over in silence.", SeverityError},
	{RuleTool, "tool catalogue", "A tool that is not checked because there is no catalogue, or whose declaration cannot be used.", "Its arguments and its effect are not known.", SeverityWarning},
	{RuleWorkflow, "registered workflows", "A sub-workflow that is not checked because the registered workflows are not known.", "Its input and what it does are not known.", SeverityWarning},
}
