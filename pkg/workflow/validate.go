package workflow

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// violation is a finding of the contract's own rules.
type violation struct {
	Finding
	// messagePath is the message that holds the field.
	messagePath string
	// wholeMessage tells that the rule looks at more than one field, so that it may fail only because another could not be read.
	wholeMessage bool
}

var contractValidator = sync.OnceValues(func() (protovalidate.Validator, error) {
	return protovalidate.New(protovalidate.WithMessages(&workflowv1.WorkflowDefinition{}))
})

// validate checks the definition against the rules of the contract.
func (d *Document) validate() []violation {
	validator, err := contractValidator()
	if err == nil {
		err = validator.Validate(d.Definition)
	}
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return []violation{{Finding: Finding{Rule: RuleSchema, Message: "the rules of the contract cannot be checked: " + err.Error()}}}
	}
	var out []violation
	for _, v := range invalid.Violations {
		out = append(out, readViolation(v))
	}
	return out
}

func readViolation(v *protovalidate.Violation) violation {
	path, parent, last := "", "", ""
	for _, e := range v.Proto.GetField().GetElements() {
		last = e.GetFieldName()
		parent = path
		if last == "condition" {
			path = fieldPath(path, "if")
		} else {
			path = fieldPath(path, last)
		}
		switch {
		case e.HasStringKey():
			path = fieldPath(path, e.GetStringKey())
		case e.HasIndex():
			path = indexPath(path, int(e.GetIndex()))
		}
	}
	rule := v.Proto.GetRuleId()
	out := violation{Finding: Finding{Rule: RuleSchema, Path: path, Message: v.Proto.GetMessage()}, messagePath: parent}
	switch {
	case v.FieldDescriptor == nil && rule == "required":
		// A oneof: its path ends in the name of the oneof, which authors never write.
		out.Path, out.wholeMessage = parent, true
		out.Message = fmt.Sprintf("%s needs exactly one of %s", subject(parent), strings.Join(oneofFields(last), ", "))
	case strings.Contains(rule, ".") && !isStandardRule(rule):
		out.messagePath, out.wholeMessage = path, true
		out.Message = subject(path) + ": " + out.Message
	case rule == "required":
		out.wholeMessage = true
		out.Mend = "add it"
		out.Message = fmt.Sprintf("%s is missing", subject(path))
	case v.Proto.GetForKey():
		out.Mend = patternMends["id"]
		out.Message = fmt.Sprintf("the name at %s %s", subject(path), out.Message)
	default:
		out.wholeMessage = isEmptyValue(v.FieldValue)
		out.Mend = patternMends[last]
		out.Message = fmt.Sprintf("%s%s %s", subject(path), valueText(v.FieldValue), out.Message)
	}
	if bound, ok := bounds[last]; ok && (rule == "required" || isEmptyNumber(v.FieldValue)) {
		out.Rule, out.Message, out.Mend = "L10", subject(path)+" is missing: "+bound, "write "+last
	}
	return out
}

// bounds are the fields that keep what repeats from going on for ever, with what has no bound without them. That the contract requires them is
// rule L10 to an author.
var bounds = map[string]string{
	"max_items": "a map must say how many items it takes at most", "budget": "an agent must have a budget",
	"max_turns": "an agent's budget must bound its turns", "max_tokens": "an agent's budget must bound its tokens",
}

// isEmptyNumber reports whether a number was left out.
func isEmptyNumber(v protoreflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	switch x := v.Interface().(type) {
	case uint32:
		return x == 0
	case uint64:
		return x == 0
	}
	return false
}

// patternMends say in words what the patterns of the contract want, by field.
var patternMends = map[string]string{
	"namespace":      "use lower-case letters, digits and hyphens, beginning with a letter",
	"name":           "use lower-case letters, digits and hyphens, beginning with a letter",
	"version":        "write three numbers, as in 1.4.0",
	"id":             "use lower-case letters, digits and underscores, beginning with a letter",
	"rollback_scope": "use lower-case letters, digits and underscores, beginning with a letter",
	"allowed_tools":  "write server/tool",
	"max_attempts":   "write a number from 1 to 100",
}

// isStandardRule tells the rules of protovalidate from those that the contract writes itself ("final.xor").
func isStandardRule(id string) bool {
	family, _, _ := strings.Cut(id, ".")
	switch family {
	case "string", "uint32", "uint64", "double", "bool", "enum", "map", "repeated", "duration", "message":
		return true
	}
	return false
}

// oneofFields lists the members of a oneof of the contract.
func oneofFields(name string) []string {
	var out []string
	messages := workflowv1.File_signalbox_workflow_v1_definition_proto.Messages()
	for i := range messages.Len() {
		if od := messages.Get(i).Oneofs().ByName(protoreflect.Name(name)); od != nil {
			for j := range od.Fields().Len() {
				out = append(out, fieldLabel(od.Fields().Get(j)))
			}
		}
	}
	return out
}

func isEmptyValue(v protoreflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	switch x := v.Interface().(type) {
	case string:
		return x == ""
	case protoreflect.List:
		return x.Len() == 0
	case protoreflect.Map:
		return x.Len() == 0
	}
	return false
}

// valueText shows the value that broke a rule.
func valueText(v protoreflect.Value) string {
	if !v.IsValid() {
		return ""
	}
	switch x := v.Interface().(type) {
	case string:
		return " is " + quoted(x) + ":"
	case uint32, uint64, float64, bool:
		return fmt.Sprintf(" is %v:", x)
	}
	return ""
}
