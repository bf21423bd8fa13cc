package rpc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Failure turns an error of core into one that may leave the service. A refusal keeps its reason; all else is masked.
func Failure(err error) error {
	if err == nil {
		return nil
	}
	r := core.RefusalOf(err)
	if r == nil {
		return errs.Internal(err)
	}
	e := errs.New(r.Reason, "%s", r.Message+nearest.Hint(r.Want, r.Have))
	if match, ok := nearest.Match(r.Want, r.Have); ok {
		e.With("did_you_mean", match)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		e.With(key, r.Metadata[key])
	}
	if r.Field != "" {
		e.Field(r.Field, strings.TrimPrefix(r.Message, r.Field+": "))
	}
	if r.Reason == errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID {
		return withFindings(e, r.Findings)
	}
	return e
}

// maxFindingBytes bounds the findings in an error. Some gRPC implementations refuse trailers above 16 KiB, and then the client would get
// no finding at all.
const maxFindingBytes = 4 << 10

// withFindings adds the findings for people, as violations of fields, and for programs, as a RegisterResponse.
func withFindings(e *errs.Error, findings workflow.Findings) error {
	shown := &statev1.RegisterResponse{}
	size := 0
	for i, f := range findings {
		size += len(f.String()) + len(f.Path)
		if size > maxFindingBytes && i > 0 {
			rest := findings[i:]
			f = workflow.Finding{
				Rule: workflow.RuleLimit, Severity: workflow.SeverityWarning, File: f.File,
				Message: fmt.Sprintf("%d more findings do not fit into this answer", len(rest)),
				Mend:    "mend those shown and register again, or run `signalbox workflow lint`, which shows all",
			}
			if rest.HasErrors() {
				f.Severity = workflow.SeverityError
			}
			findings = nil
		}
		e.Field(f.Path, f.String())
		shown.Findings = append(shown.Findings, findingProto(f))
		if findings == nil {
			break
		}
	}
	detailed, err := e.GRPCStatus().WithDetails(shown)
	if err != nil {
		return e
	}
	return detailed.Err()
}

func findingProto(f workflow.Finding) *statev1.Finding {
	return &statev1.Finding{
		Rule: f.Rule, Severity: string(f.Severity), File: f.File, Line: uint32(max(f.Line, 0)), Column: uint32(max(f.Column, 0)),
		Path: valid(f.Path), Message: valid(f.Message), Mend: valid(f.Mend),
	}
}

// valid replaces what is not UTF-8, which a message cannot carry.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
