package core

// Filter is a condition on runs, made by ParseFilter. Nil matches every run. It is an And, an Or, a Not or a Comparison.
type Filter interface{ filter() }

// And matches what all of its parts match.
type And []Filter

// Or matches what one of its parts matches.
type Or []Filter

// Not matches what its part does not match.
type Not struct{ Filter }

// Comparison compares a field of the run with a value.
type Comparison struct {
	Field    Field
	Operator Operator
	// Text is the value of FieldWorkflow, FieldVersion, FieldState, FieldParent and FieldRoot. A trailing "*" was taken off when Prefix is
	// set, which only OpEqual and OpNotEqual have.
	Text   string
	Prefix bool
	// Number is the value of the other fields: the enum's number, a time in nanoseconds since 1970, or 1 for true.
	Number int64
}

func (And) filter()        {}
func (Or) filter()         {}
func (Not) filter()        {}
func (Comparison) filter() {}

// Field is a field of a run by which runs can be found.
type Field string

// The fields.
const (
	FieldWorkflow   Field = "workflow"
	FieldVersion    Field = "version"
	FieldState      Field = "state"
	FieldStatus     Field = "status"
	FieldOutcome    Field = "outcome"
	FieldStartTime  Field = "start_time"
	FieldUpdateTime Field = "update_time"
	FieldParent     Field = "parent"
	FieldRoot       Field = "root"
	FieldPaused     Field = "paused"
)

// Operator is a comparison.
type Operator string

// The comparisons.
const (
	OpEqual          Operator = "="
	OpNotEqual       Operator = "!="
	OpLess           Operator = "<"
	OpLessOrEqual    Operator = "<="
	OpGreater        Operator = ">"
	OpGreaterOrEqual Operator = ">="
)
