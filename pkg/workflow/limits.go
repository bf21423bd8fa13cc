package workflow

// Limits of what is accepted. They are far above what a person writes and keep a hostile definition from costing more than
// milliseconds.
const (
	// MaxSourceBytes is the size of a definition's text.
	MaxSourceBytes = 1 << 20
	// MaxDepth is how deep values may be nested in the text.
	MaxDepth = 128
	// MaxNodes is how many values the text may hold once its aliases are written out.
	MaxNodes = 50_000
	// MaxSteps is how many steps a definition may have, those of branches, maps and fallbacks included.
	MaxSteps = 1_000
	// MaxStepDepth is how many parallel and map steps may stand around a step; the step of a fallback counts as one level inside the step that it
	// stands in for.
	MaxStepDepth = 8
	// MaxExpressions is how many CEL expressions a definition may have.
	MaxExpressions = 5_000
	// MaxExpressionBytes is the size of one CEL expression.
	MaxExpressionBytes = 4 << 10
	// MaxCost is the worst cost of one CEL expression, in CEL's units: estimated by the linter and enforced at run time.
	MaxCost = 1_000_000

	maxFindings = 200
)
