package core

//go:generate mockgen -source=ports.go -destination=mocks_test.go -package=core

import (
	"context"
	"errors"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Shards is the fixed number of shards.
const Shards = 1024

// RunKey names a run.
type RunKey struct{ Namespace, ID string }

// Commit is the delta of one run, ready to be stored.
type Commit struct {
	// ID of this commit; a repetition of it is acknowledged.
	ID string
	// Shard of the run and Epoch under which it is owned.
	Shard uint32
	Epoch uint64
	// Expected is the run's sequence before the commit; 0 creates the run.
	Expected uint64
	// Run is the head after it; Head are its bytes.
	Run  *workflowv1.Run
	Head []byte
	// Events are the bytes of a HistoryBatch.
	Events []byte
	// Wake is when the run's next timer is due; zero: never.
	Wake time.Time
	// Attention tells that the run's owner still has something to do or to wait for.
	Attention bool
	// Operations are the ledger entries that changed.
	Operations []*workflowv1.Operation
	// Facts are the events themselves, for what is derived from them; payloads as they are stored.
	Facts []*workflowv1.HistoryEvent
	// Inherited is how many of the first Facts are another run's, which a fork goes on from: what is derived of them is that run's.
	Inherited int
	// Artifacts are large values by content address.
	Artifacts map[string][]byte
	// RequestID and RequestDigest identify a start.
	RequestID     string
	RequestDigest []byte
}

// Errors of a Store, to be matched with errors.Is.
var (
	// ErrNotFound: no such run, definition or event.
	ErrNotFound = errors.New("not found")
	// ErrAway: the store cannot be reached now.
	ErrAway = errors.New("the store cannot be reached")
	// ErrConflict: the run has moved on under another commit; read it again.
	ErrConflict = errors.New("the run has another version")
	// ErrFenced: the shard has another owner.
	ErrFenced = errors.New("the shard has another owner")
	// ErrRunExists: the run id is taken.
	ErrRunExists = errors.New("a run of this id exists")
	// ErrRequestReused: the request id was used for another start.
	ErrRequestReused = errors.New("the request id was used for another start")
)

// AlreadyStarted is the error of a start whose request id has started a run before. The run may be archived by now.
type AlreadyStarted struct{ RunID, Version string }

// Error names the run.
func (e *AlreadyStarted) Error() string { return "the request has started run " + e.RunID }

// Store keeps runs. All methods may be called at once. Reads fail with ErrAway while the store cannot be reached.
type Store interface {
	// ClaimShards mints a new epoch for all shards.
	ClaimShards(ctx context.Context, owner string) ([]uint64, error)
	// LoadAttention gives every run that has not ended, or has something left to confirm.
	LoadAttention(ctx context.Context, each func(shard uint32, run *workflowv1.Run)) error
	// Commit returns once the delta is durable, or refused: ErrConflict, ErrFenced, ErrRunExists, ErrRequestReused, *AlreadyStarted.
	// It tries again by itself while state is away, until ctx ends.
	Commit(ctx context.Context, c *Commit) error
	// Run reads a head and its shard, or ErrNotFound.
	Run(ctx context.Context, key RunKey) (*workflowv1.Run, uint32, error)
	// RunByRequest reads the head of the run that a request id has started, from the archive when it is there by now, or ErrNotFound.
	RunByRequest(ctx context.Context, namespace, requestID string) (*workflowv1.Run, error)
	// Events reads events by sequence, payloads in full.
	Events(ctx context.Context, key RunKey, sequences []uint64) ([]*workflowv1.HistoryEvent, error)
	// History reads the events from a sequence on in order, payloads as stored.
	History(ctx context.Context, key RunKey, from uint64, each func(*workflowv1.HistoryEvent) error) error
	// Operations reads ledger entries of a step; of the whole run for the empty path.
	Operations(ctx context.Context, key RunKey, stepPath string) ([]*workflowv1.Operation, error)
	// Definition reads and compiles a definition by digest.
	Definition(ctx context.Context, namespace, digest string) (*workflow.Definition, error)
	// Latest reads and compiles a definition by name and version; the highest for the empty version. Errors carry the near match.
	Latest(ctx context.Context, namespace, name, version string) (*workflow.Definition, error)
}

// Attempt names an attempt of an operation.
type Attempt struct {
	Run       RunKey
	Operation string
	Number    uint32
}

// Invocation is an attempt to send.
type Invocation struct {
	Attempt             Attempt
	Server, Tool        string
	Arguments           []byte
	IdempotencyKey      string
	IdempotencyArgument string
	Deadline            time.Time
	StepPath            string
	FencingTokens       map[string]string
	Incarnation         string
	// Secret that the call goes with, by name; nil: none.
	Secret *workflowv1.SecretRef
}

// SendStatus is what is known of an attempt.
type SendStatus int

// The kinds of send status.
const (
	// SendAnswered: the tool answered.
	SendAnswered SendStatus = iota
	// SendNotSent: it certainly had no effect.
	SendNotSent
	// SendUnknown: it may have had its effect.
	SendUnknown
	// SendNeverSeen: the gateway does not know the attempt and refuses it from now on.
	SendNeverSeen
)

// AttemptResult is what became of an attempt.
type AttemptResult struct {
	Attempt     Attempt
	Status      SendStatus
	Output      []byte
	IsError     bool
	Type        errorsv1.ErrorType
	Message     string
	RetryAfter  time.Duration
	ServerEnded bool
	// Ours tells that the failure lies between scheduler and tool server: it says nothing about that server.
	Ours bool
}

// ServerStatus tells how much a tool server takes.
type ServerStatus struct {
	Server         string
	MaxConcurrency int
	Ready          bool
}

// Dispatcher sends attempts. What comes back arrives at the DispatchSink.
type Dispatcher interface {
	// Send sends an attempt; false: it was certainly not sent, because no gateway is connected.
	Send(inv Invocation) bool
	// Attach asks for the result of an attempt intended at a time; false: no gateway is connected, ask again after Connected.
	Attach(a Attempt, intended time.Time) bool
}

// DispatchSink takes what a gateway says. Its methods do not block.
type DispatchSink interface {
	// Connected tells that a gateway of an incarnation is there; attempts of other incarnations are lost to it.
	Connected(incarnation string)
	// Disconnected tells that the connection is gone, or takes no more attempts; results of attempts under way come nevertheless, or will be
	// asked for.
	Disconnected()
	// Results brings results.
	Results(results []AttemptResult)
	// Servers brings changes of servers.
	Servers(servers []ServerStatus)
}

// Locks asks the lock service. Acquire and Release return at once, try until the service ends, and answer through the LockSink.
type Locks interface {
	// Acquire asks for a lock.
	Acquire(run RunKey, hold *workflowv1.LockHold)
	// Release gives a lock back, or leaves its queue.
	Release(run RunKey, hold *workflowv1.LockHold)
	// Held lists all acquisitions of runs that the lock service knows, waiting ones included. It tries until ctx ends.
	Held(ctx context.Context) ([]HeldLock, error)
}

// LockSink takes what the lock service says.
type LockSink interface {
	// Granted tells that a run holds a lock.
	Granted(run RunKey, acquisitionID, token string)
	// Released tells that a release is done.
	Released(run RunKey, acquisitionID string)
}

// Breaker names a breaker with its declaration. A call counts for exactly one: the one that its step names, else the tool server's own.
type Breaker struct {
	BreakerKey
	// Spec is the definition's declaration; nil: the defaults.
	Spec *workflowv1.BreakerDef
}

// BreakerKey is the identity of a breaker. Namespace and Name are empty for a tool server's own.
type BreakerKey struct{ Server, Namespace, Name string }

// BreakerView is how a breaker looks from here.
type BreakerView struct {
	// Closed: calls may go.
	Closed bool
	// Until is when an open breaker may be asked for a permit; a time that is past: ask.
	Until time.Time
}

// Permit is recovery's answer to the wish to call a tool server whose breaker is not closed.
type Permit struct {
	// Granted tells that the call may go; ID is handed back with the outcome, and may be empty.
	Granted bool
	ID      string
	// Until is when to ask again. Set when not granted.
	Until time.Time
}

// Facts is what recovery knows about a failure.
type Facts struct {
	// NoRetryBudget tells that the server gets no more retries for now.
	NoRetryBudget bool
}

// Outcome is one call's outcome for its breaker.
type Outcome struct {
	Breaker Breaker
	Tool    string
	// Type of the failure; unspecified: the server answered.
	Type errorsv1.ErrorType
	// PermitID of a trial call; NotSent gives it back unused.
	PermitID string
	NotSent  bool
}

// Failure is a failed attempt that recovery is asked about.
type Failure struct {
	Breaker    Breaker
	Tool       string
	Type       errorsv1.ErrorType
	Attempt    Attempt
	RetryAfter time.Duration
}

// Recovery answers what runs share. When it is away, calls go out as if all breakers were closed.
type Recovery interface {
	// View tells, from what is known here, how a breaker stands. It does not block.
	View(b BreakerKey) BreakerView
	// Permit asks for a permit; it may block for a moment.
	Permit(ctx context.Context, b Breaker, tool, operation string) Permit
	// Report tells an outcome; it does not block.
	Report(o Outcome)
	// Assess asks for facts about a failure; it may block for a moment.
	Assess(ctx context.Context, f Failure) Facts
}

// BreakerSink takes news of breakers. Its method does not block.
type BreakerSink interface {
	// BreakersChanged tells that View has news.
	BreakersChanged()
}

// CacheKey names the output of a step that the runs of a workflow share.
type CacheKey struct{ Namespace, Workflow, StepID, Key string }

// CachedOutput is an output that an earlier run computed.
type CachedOutput struct {
	// Value is raw JSON.
	Value []byte
	// Computed is when it was computed; whoever takes it decides whether that is too long ago.
	Computed time.Time
}

// StepCache keeps outputs that runs share. It is an economy: what was put may be gone at any time.
type StepCache interface {
	// Cached looks for an output; false: there is none, or recovery did not answer. It may block for a moment.
	Cached(ctx context.Context, key CacheKey) (CachedOutput, bool)
	// Cache keeps an output that was computed just now, raw JSON, for so long. One above 256 KiB is not kept, and neither is one that recovery
	// does not take at once. It may block for a moment.
	Cache(ctx context.Context, key CacheKey, value []byte, ttl time.Duration)
}
