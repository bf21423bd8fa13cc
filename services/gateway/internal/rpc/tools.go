package rpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Tools serves ToolService.
type Tools struct {
	gatewayv1.UnsafeToolServiceServer

	catalogue  *core.Catalogue
	dispatcher *core.Dispatcher
}

var _ gatewayv1.ToolServiceServer = (*Tools)(nil)

// NewTools makes the service.
func NewTools(catalogue *core.Catalogue, dispatcher *core.Dispatcher) *Tools {
	return &Tools{catalogue: catalogue, dispatcher: dispatcher}
}

const (
	defaultPage = 200
	largestPage = 1000
)

// ListTools implements the RPC.
func (t *Tools) ListTools(ctx context.Context, request *gatewayv1.ListToolsRequest) (*gatewayv1.ListToolsResponse, error) {
	after, err := parseToken(request.GetPageToken(), request.GetServer())
	if err != nil {
		return nil, err
	}
	tools, unavailable, err := t.catalogue.List(ctx, request.GetServer())
	if err != nil {
		return nil, catalogueError(err)
	}
	size := int(request.GetPageSize())
	if size <= 0 {
		size = defaultPage
	}
	size = min(size, largestPage)
	if after != nil {
		start, found := slices.BinarySearchFunc(tools, after, byServerAndName)
		if found {
			start++
		}
		tools = tools[start:]
	}
	response := &gatewayv1.ListToolsResponse{Tools: tools, Unavailable: unavailable}
	if len(tools) > size {
		response.Tools = tools[:size]
		response.NextPageToken = makeToken(tools[size-1], request.GetServer())
	}
	return response, nil
}

func byServerAndName(a, b *workflowv1.ToolDeclaration) int {
	if byServer := strings.Compare(a.GetServer(), b.GetServer()); byServer != 0 {
		return byServer
	}
	return strings.Compare(a.GetName(), b.GetName())
}

// pageToken is where a page ended, and of which list.
type pageToken struct {
	List   string `json:"l"`
	Server string `json:"s"`
	Name   string `json:"n"`
}

func makeToken(last *workflowv1.ToolDeclaration, list string) string {
	encoded, _ := json.Marshal(pageToken{List: list, Server: last.GetServer(), Name: last.GetName()}) // strings always marshal
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func parseToken(token, list string) (*workflowv1.ToolDeclaration, error) {
	if token == "" {
		return nil, nil
	}
	var parsed pageToken
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(decoded, &parsed)
	}
	if err != nil || parsed.List != list {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
			"page_token was not made for this list; begin again without it").Field("page_token", "was not made for this list")
	}
	return &workflowv1.ToolDeclaration{Server: parsed.Server, Name: parsed.Name}, nil
}

// CallTool implements the RPC.
func (t *Tools) CallTool(ctx context.Context, request *gatewayv1.CallToolRequest) (*gatewayv1.CallToolResponse, error) {
	tool, err := t.catalogue.Tool(ctx, request.GetServer(), request.GetTool())
	if err != nil {
		return nil, catalogueError(err)
	}
	arguments := request.GetArguments()
	if len(arguments) == 0 {
		arguments = []byte("{}")
	}
	if err := t.catalogue.Check(tool, arguments); err != nil {
		return nil, catalogueError(err)
	}
	key := request.GetRequestId()
	if key == "" {
		key = uuid.NewString()
	}
	result := t.dispatcher.CallDirect(ctx, core.Invocation{
		Server: tool.GetServer(), Tool: tool.GetName(), Arguments: arguments,
		IdempotencyKey: key, IdempotencyArgument: tool.GetIdempotencyArgument(),
	})
	if result.Status != core.StatusAnswered {
		return nil, callError(tool, result)
	}
	return &gatewayv1.CallToolResponse{Output: result.Output, IsError: result.IsError}, nil
}

// callError is the refusal for a direct call without an answer.
func callError(tool *workflowv1.ToolDeclaration, result core.Result) error {
	reason := errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN
	if result.Status == core.StatusNotSent {
		switch result.ErrorType {
		case errorsv1.ErrorType_ERROR_TYPE_INVALID:
			reason = errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID
		case errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED:
			reason = errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE
		default:
			reason = errorsv1.ErrorReason_ERROR_REASON_NOT_SENT
		}
	}
	refusal := errs.New(reason, "%s/%s: %s", tool.GetServer(), tool.GetName(), result.Message)
	if result.RetryAfter > 0 {
		refusal = refusal.RetryAfter(result.RetryAfter)
	}
	return refusal
}

// catalogueError maps what the catalogue returns.
func catalogueError(err error) error {
	hint := ""
	if fault := (*core.Fault)(nil); errors.As(err, &fault) {
		hint = nearest.Hint(fault.Wanted, fault.Known)
	}
	switch {
	case errors.Is(err, core.ErrServerNotFound):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_SERVER_NOT_FOUND, "%v%s", err, hint)
	case errors.Is(err, core.ErrToolNotFound):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_FOUND, "%v%s", err, hint)
	case errors.Is(err, core.ErrServerUnavailable):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE, "%v", err)
	case errors.Is(err, core.ErrArgumentsInvalid):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "%v", err).Field("arguments", err.Error())
	default:
		return errs.Internal(err)
	}
}
