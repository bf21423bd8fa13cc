package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// MCP is the door by the Model Context Protocol: tasks are claimed at /mcp, and worked on at the endpoint that a claim opens, where
// every tool listed belongs to that task.
type MCP struct {
	// URL of /mcp. Required.
	URL string
	// APIKey is sent as a bearer token. Empty: none.
	APIKey string
	// Namespace and Agent say whose tasks to take. Required.
	Namespace, Agent string
	// Wait is how long one request waits for a task. Default 20s.
	Wait time.Duration
}

// Claim implements Door. Each claim opens a session of its own and ends it: so a Signalbox that was restarted is met like a new one.
func (d *MCP) Claim(ctx context.Context, worker string) (Job, error) {
	wait := d.Wait
	if wait <= 0 {
		wait = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	front := d.link(d.URL)
	defer front.close()
	answer, err := front.call(ctx, &mcp.CallToolParams{Name: "task_claim", Arguments: map[string]any{
		"agent": d.Agent, "namespace": d.Namespace, "worker": worker, "wait_seconds": wait.Seconds(),
	}})
	if err != nil {
		return nil, err
	}
	var claimed claimedTask
	if err := decode(answer, &claimed); err != nil {
		return nil, &Trouble{Again: true, Err: err}
	}
	if !claimed.Claimed {
		return nil, nil //nolint:nilnil // the contract of Door: no task in time
	}
	return &mcpJob{door: d, claimed: claimed, link: d.link(claimed.MCPURL)}, nil
}

// claimedTask is what task_claim gives, as far as it is needed here.
type claimedTask struct {
	Claimed    bool            `json:"claimed"`
	TaskID     string          `json:"task_id"`
	ClaimToken string          `json:"claim_token"`
	MCPURL     string          `json:"mcp_url"`
	RunID      string          `json:"run_id"`
	Goal       string          `json:"goal"`
	Arguments  json.RawMessage `json:"arguments"`
	Tools      []struct {
		Name string `json:"name"`
	} `json:"tools"`
	LeaseSeconds float64 `json:"lease_seconds"`
}

type mcpJob struct {
	door    *MCP
	claimed claimedTask
	link    *link
}

// Task implements Job. MCP does not tell the number of the claim.
func (j *mcpJob) Task() Task {
	t := Task{
		ID: j.claimed.TaskID, RunID: j.claimed.RunID, Goal: j.claimed.Goal, Arguments: j.claimed.Arguments,
		Lease: time.Duration(j.claimed.LeaseSeconds * float64(time.Second)),
	}
	for _, tool := range j.claimed.Tools {
		t.AllowedTools = append(t.AllowedTools, tool.Name)
	}
	return t
}

// Call implements Job.
func (j *mcpJob) Call(ctx context.Context, c Call) (Answer, error) {
	result, err := j.call(ctx, &mcp.CallToolParams{
		Meta: mcp.Meta{"signalbox.dev/idempotency-key": c.Key}, Name: strings.Replace(c.Tool, "/", "__", 1), Arguments: c.Arguments,
	})
	if err != nil {
		return Answer{}, err
	}
	replayed, _ := result.Meta["signalbox.dev/replayed"].(bool)
	return Answer{Output: valueOf(result), IsError: result.IsError, Replayed: replayed}, nil
}

// Heartbeat implements Job.
func (j *mcpJob) Heartbeat(ctx context.Context, used Usage) error {
	_, err := j.call(ctx, &mcp.CallToolParams{Name: "task_heartbeat", Arguments: map[string]any{
		"turns": used.Turns, "tokens": used.Tokens, "cost_usd": used.CostUSD,
	}})
	return overBudget(err)
}

// Complete implements Job.
func (j *mcpJob) Complete(ctx context.Context, output json.RawMessage) error {
	_, err := j.call(ctx, &mcp.CallToolParams{Name: "task_complete", Arguments: map[string]any{"output": output}})
	return err
}

// Fail implements Job.
func (j *mcpJob) Fail(ctx context.Context, why string) error {
	_, err := j.call(ctx, &mcp.CallToolParams{Name: "task_fail", Arguments: map[string]any{"message": cut(why, 2048)}})
	return err
}

// Close implements Job.
func (j *mcpJob) Close() { j.link.close() }

// call calls a tool at the task's endpoint. When that does not answer, /mcp is asked whether the claim still lives.
func (j *mcpJob) call(ctx context.Context, params *mcp.CallToolParams) (*mcp.CallToolResult, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	result, err := j.link.call(ctx, params)
	var lost *unreachable
	if !errors.As(err, &lost) {
		return result, err
	}
	front := j.door.link(j.door.URL)
	defer front.close()
	if _, told := front.call(ctx, &mcp.CallToolParams{Name: "task_heartbeat", Arguments: map[string]any{"claim_token": j.claimed.ClaimToken}}); isLost(told) {
		return nil, told
	}
	return nil, err
}

func isLost(err error) bool {
	var t *Trouble
	return errors.As(err, &t) && t.Lost
}

// link is an MCP session that is opened when it is needed, and again when it was lost. One goroutine's call does not wait for another's.
type link struct {
	url, key string
	mu       sync.Mutex
	session  *mcp.ClientSession
	base     *http.Transport
}

func (d *MCP) link(url string) *link { return &link{url: url, key: d.APIKey} }

// unreachable is the error of a session that could not be had, or was lost.
type unreachable struct{ err error }

func (u *unreachable) Error() string { return u.err.Error() }

func (u *unreachable) Unwrap() error { return u.err }

func (l *link) call(ctx context.Context, params *mcp.CallToolParams) (*mcp.CallToolResult, error) {
	session, err := l.open(ctx)
	if err == nil {
		var result *mcp.CallToolResult
		if result, err = session.CallTool(ctx, params); err == nil {
			return result, refusal(result)
		}
		l.drop(session)
	}
	return nil, &Trouble{Again: true, Err: &unreachable{err: err}}
}

func (l *link) open(ctx context.Context) (*mcp.ClientSession, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		return l.session, nil
	}
	if l.base == nil {
		l.base = http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "support-desk-agent", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: l.url, HTTPClient: &http.Client{Transport: bearer{key: l.key, next: l.base}}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("MCP: %w", err)
	}
	l.session = session
	return session, nil
}

// drop forgets a session that failed.
func (l *link) drop(failed *mcp.ClientSession) {
	l.mu.Lock()
	if l.session == failed {
		l.session = nil
	}
	l.mu.Unlock()
	_ = failed.Close() // it is of no use any more
}

func (l *link) close() {
	l.mu.Lock()
	session, base := l.session, l.base
	l.session = nil
	l.mu.Unlock()
	if session != nil {
		_ = session.Close() // the endpoint of a task that has ended is gone
	}
	if base != nil {
		base.CloseIdleConnections()
	}
}

// bearer adds the API key to requests.
type bearer struct {
	key  string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.key != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.key)
	}
	return b.next.RoundTrip(r)
}

// refusal finds Signalbox's own no in a result. A tool's own no carries the operation that it answers, and is a result like any other.
func refusal(result *mcp.CallToolResult) error {
	if !result.IsError || result.Meta["signalbox.dev/operation"] != nil {
		return nil
	}
	var told struct {
		Error struct {
			Reason            string `json:"reason"`
			RetryAfterSeconds int    `json:"retry_after_seconds"`
		} `json:"error"`
	}
	t := &Trouble{Err: errors.New(words(result))}
	if err := decode(result, &told); err != nil || told.Error.Reason == "" {
		t.Again = true // no reason: the call's time was over, or a fault that may pass
		return t
	}
	t.After = time.Duration(told.Error.RetryAfterSeconds) * time.Second
	switch told.Error.Reason {
	case "CLAIM_STALE", "RUN_ENDED", "TASK_NOT_FOUND":
		t.Lost = true
	case "BUDGET_EXCEEDED":
		t.spent = true
	case "UNAVAILABLE", "SERVER_UNAVAILABLE", "BREAKER_OPEN", "OUTCOME_UNKNOWN", "SHARD_NOT_OWNED", "NOT_SENT", "DRAINING", "INTERNAL", "RUN_VERSION_CONFLICT":
		t.Again = true
	}
	return t
}

// decode reads the structured content of a result.
func decode(result *mcp.CallToolResult, into any) error {
	body, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func words(result *mcp.CallToolResult) string {
	var b strings.Builder
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			b.WriteString(text.Text)
		}
	}
	return b.String()
}

// valueOf is a result as JSON: its structured content, else its text, as JSON if it is that.
func valueOf(result *mcp.CallToolResult) json.RawMessage {
	if result.StructuredContent != nil {
		if body, err := json.Marshal(result.StructuredContent); err == nil {
			return body
		}
	}
	text := words(result)
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage("null")
	}
	return quoted
}
