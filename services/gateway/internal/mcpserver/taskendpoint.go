package mcpserver

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

const (
	// claimAge is how long a claim is believed to live without asking.
	claimAge = 5 * time.Second
	// endpointAge is how long an endpoint that nobody uses is kept. It is made anew when it is used again.
	endpointAge = 15 * time.Minute
	// lastWords is how long the sessions of an endpoint outlive it, so that the answer which ended the claim reaches its client before
	// the session's streams break.
	lastWords = 5 * time.Second
)

// taskEndpoints serves /mcp/tasks/<token>. The token is the whole authorisation; it is neither logged nor kept, only its digest is.
type taskEndpoints struct {
	face *Face

	mu      sync.Mutex
	closed  bool
	open    map[[32]byte]*taskEndpoint
	leaving map[*mcp.Server]clock.Timer // whose sessions are about to end
}

func newTaskEndpoints(face *Face) *taskEndpoints {
	return &taskEndpoints{face: face, open: map[[32]byte]*taskEndpoint{}, leaving: map[*mcp.Server]clock.Timer{}}
}

// taskEndpoint is the MCP server of one claim.
type taskEndpoint struct {
	server  *mcp.Server
	handler http.Handler
	checked time.Time // when the claim was last seen alive
	used    time.Time
}

// ServeHTTP implements http.Handler.
func (t *taskEndpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endpoint, err := t.get(r.Context(), r.PathValue("token"))
	if err != nil {
		writeRefusal(w, err)
		return
	}
	endpoint.handler.ServeHTTP(w, r)
}

// get returns the endpoint of a claim that lives.
func (t *taskEndpoints) get(ctx context.Context, token string) (*taskEndpoint, error) {
	digest, now := sha256.Sum256([]byte(token)), t.face.options.Clock.Now()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is stopping")
	}
	t.sweep(now)
	endpoint := t.open[digest]
	if endpoint != nil && now.Sub(endpoint.checked) < claimAge {
		endpoint.used = now
		t.mu.Unlock()
		return endpoint, nil
	}
	t.mu.Unlock()
	got, err := t.face.backend.Work.GetTask(ctx, &schedulerv1.GetTaskRequest{ClaimToken: token})
	if err != nil {
		if dead(err) {
			t.drop(token)
		}
		return nil, err
	}
	var made *taskEndpoint
	if endpoint == nil {
		made = t.make(ctx, token, got.GetTask())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Two requests may have made one each; the first stays.
	if endpoint = t.open[digest]; endpoint == nil {
		if made == nil || t.closed { // dropped meanwhile
			return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, "the claim is over")
		}
		endpoint = made
		t.open[digest] = endpoint
	}
	endpoint.checked, endpoint.used = now, now
	return endpoint, nil
}

// dead reports whether an error says that a claim is over, or never was.
func dead(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT:
		return true
	default:
		return false
	}
}

// sweep drops endpoints that nobody uses. It is called with mu held.
func (t *taskEndpoints) sweep(now time.Time) {
	for digest, endpoint := range t.open {
		if now.Sub(endpoint.used) > endpointAge {
			delete(t.open, digest)
			t.leave(endpoint.server)
		}
	}
}

// drop takes an endpoint down; its sessions end a little later.
func (t *taskEndpoints) drop(token string) {
	digest := sha256.Sum256([]byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	if endpoint := t.open[digest]; endpoint != nil {
		delete(t.open, digest)
		t.leave(endpoint.server)
	}
}

// leave ends the sessions of a server after their last words. It is called with mu held.
func (t *taskEndpoints) leave(server *mcp.Server) {
	t.leaving[server] = t.face.options.Clock.AfterFunc(lastWords, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.leaving[server]; ok {
			delete(t.leaving, server)
			t.face.endSessions(server)
		}
	})
}

// closeAll ends all sessions, and lets no endpoint be made any more.
func (t *taskEndpoints) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for digest, endpoint := range t.open {
		delete(t.open, digest)
		t.face.endSessions(endpoint.server)
	}
	for server, timer := range t.leaving {
		timer.Stop()
		delete(t.leaving, server)
		t.face.endSessions(server)
	}
}

// make builds the server of a claim: the task's tools, and the ways to end it.
func (t *taskEndpoints) make(ctx context.Context, token string, task *schedulerv1.ClaimedTask) *taskEndpoint {
	words := "Your task: " + task.GetGoal()
	if len(task.GetArguments()) > 0 {
		words += "\nIts arguments: " + string(task.GetArguments())
	}
	words += "\nUse the tools listed here, and end with task_complete, task_fail or task_release." +
		"\nThe same call made again counts as another one. If an answer is lost, do not repeat a call that changes something, unless your client gave " +
		"it a key (_meta \"signalbox.dev/idempotency-key\") and gives it the same again: look with a tool that only reads, or end with task_release, so " +
		"that the task is claimed again and its calls, made from the first, answer from the record."
	server := t.face.newServer(words)
	for _, declared := range t.face.allowed(ctx, task) {
		t.federated(token, declared).addTo(server)
	}
	for _, own := range t.own(token, task.GetOutputSchema()) {
		own.addTo(server)
	}
	return &taskEndpoint{server: server, handler: t.face.bothEras(server)}
}

// federated is a tool of a tool server within a task.
func (t *taskEndpoints) federated(token string, declared *workflowv1.ToolDeclaration) tool {
	schema := json.RawMessage(declared.GetInputSchema())
	if len(schema) == 0 {
		schema = json.RawMessage(anyObject)
	}
	name := declared.GetServer() + "/" + declared.GetName()
	return tool{
		name: declared.GetServer() + "__" + declared.GetName(), description: declared.GetDescription(), schema: schema,
		reads: declared.GetEffect() == workflowv1.Effect_EFFECT_READ,
		run: func(ctx context.Context, in input) (*mcp.CallToolResult, error) {
			result, err := t.face.callTool(ctx, token, name, in.arguments, in.key)
			return result, t.noticed(token, err)
		},
	}
}

// noticed takes the endpoint down when an error says that its claim is over.
func (t *taskEndpoints) noticed(token string, err error) error {
	if err != nil && errs.ReasonOf(err) == errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE {
		t.drop(token)
	}
	return err
}

// own are the tools by which a task is ended or kept.
func (t *taskEndpoints) own(token string, outputSchema []byte) []tool {
	withToken := func(run func(context.Context, input) (*mcp.CallToolResult, error)) func(context.Context, input) (*mcp.CallToolResult, error) {
		return func(ctx context.Context, in input) (*mcp.CallToolResult, error) {
			members := map[string]json.RawMessage{}
			if err := in.decode(&members); err != nil {
				return nil, err
			}
			encoded, err := json.Marshal(token)
			if err != nil {
				return nil, err
			}
			members["claim_token"] = encoded
			if in.arguments, err = json.Marshal(members); err != nil {
				return nil, err
			}
			result, err := run(ctx, in)
			return result, t.noticed(token, err)
		}
	}
	f := t.face
	return []tool{
		{
			name: "task_complete", description: "Ends the task with its output; the workflow goes on with it.",
			schema: completeSchema(outputSchema), run: withToken(f.taskComplete),
		},
		{
			name: "task_fail", description: "Ends the task as failed; the workflow decides what follows.", check: true,
			schema: object(`"message"`, failProperties), run: withToken(f.taskFail),
		},
		{
			name: "task_release", description: "Gives the task back, for another agent to do.", check: true,
			schema: object("", ""), run: withToken(f.taskRelease),
		},
		{
			name: "task_heartbeat", description: "Keeps the task yours while you work without calling tools.", check: true,
			schema: object("", beatProperties), run: withToken(f.taskHeartbeat),
		},
	}
}

// completeSchema is the schema of task_complete: an output as the step asks for. The scheduler checks it.
func completeSchema(output []byte) json.RawMessage {
	var declared any = map[string]any{"description": "The task's output."}
	if len(output) > 0 {
		var given map[string]any
		if json.Unmarshal(output, &given) == nil {
			declared = given
		}
	}
	encoded, err := json.Marshal(nested("output", declared))
	if err != nil {
		return json.RawMessage(anyObject)
	}
	return encoded
}

// writeRefusal answers a request for a claim that is over with 404, and one that cannot be told with 503.
func writeRefusal(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	body := told{Reason: "UNAVAILABLE", Message: "whether this claim lives cannot be told just now; try again shortly"}
	if dead(err) {
		code = http.StatusNotFound
		body = told{Reason: "CLAIM_STALE", Message: "there is no task at this address: its claim is over, or never was; claim another task"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]told{"error": body})
}
