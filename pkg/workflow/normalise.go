package workflow

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The defaults that definition.proto states.
const (
	defaultNamespace     = "default"
	defaultDeadline      = 24 * time.Hour
	defaultToolAttempt   = time.Minute
	defaultAgentAttempt  = 30 * time.Minute
	defaultMaxDuration   = time.Minute
	defaultAttempts      = 4
	defaultInterval      = 500 * time.Millisecond
	defaultCoefficient   = 2
	defaultMaxInterval   = 10 * time.Second
	defaultLease         = time.Hour
	defaultLockWait      = 5 * time.Minute
	defaultCacheTTL      = time.Hour
	defaultBreakerWindow = 10
	defaultOpenFor       = 30 * time.Second
)

// normalise writes out every default that needs no catalogue. Doing it twice changes nothing.
func (c *compiler) normalise() {
	def := c.def
	if def.Metadata == nil {
		def.Metadata = &workflowv1.Metadata{}
	}
	setDefault(&def.Metadata.Namespace, defaultNamespace)
	setDuration(&def.Deadline, defaultDeadline)
	if def.Compensation == nil {
		def.Compensation = &workflowv1.CompensationPolicy{}
	}
	setDefault(&def.Compensation.Order, workflowv1.Order_ORDER_REVERSE_COMPLETION)
	setDefault(&def.Compensation.OnFailure, workflowv1.OnCompensationFailure_ON_COMPENSATION_FAILURE_ESCALATE_AND_CONTINUE)
	if def.Versioning == nil {
		def.Versioning = &workflowv1.Versioning{}
	}
	setDefault(&def.Versioning.Behavior, workflowv1.Behavior_BEHAVIOR_PINNED)
	c.defaultHandler()
	normaliseResources(def.GetResources())
	normaliseContext(def.GetContext())
	normalisePolicy(def.GetOnError())
	for _, state := range def.GetStates() {
		setDefault(&state.MaxVisits, 1)
		normaliseContext(state.GetContext())
		normalisePolicy(state.GetOnError())
	}
	for _, ref := range c.steps {
		c.normaliseStep(ref.proto)
	}
}

// defaultHandler gives a definition that says nothing of errors a retry of what may safely be sent again.
func (c *compiler) defaultHandler() {
	if len(c.def.GetOnError().GetHandlers()) > 0 {
		return
	}
	for _, state := range c.def.GetStates() {
		if len(state.GetOnError().GetHandlers()) > 0 {
			return
		}
	}
	for _, ref := range c.steps {
		if len(ref.proto.GetOnError().GetHandlers()) > 0 {
			return
		}
	}
	c.def.OnError = &workflowv1.ErrorPolicy{Handlers: []*workflowv1.ErrorHandler{
		{
			// Nothing was sent, whatever the tool's effect, and each wait lasts until the breaker lets calls through again.
			Types: []string{"circuit-open"},
			Retry: &workflowv1.RetryPolicy{MaxAttempts: defaultCircuitAttempts},
		},
		{
			Types: []string{"timeout", "unavailable", "throttled"},
			When:  "error.effect in ['read', 'idempotent_write']",
			Retry: &workflowv1.RetryPolicy{},
		},
	}}
}

// defaultCircuitAttempts is how often a step of a definition without handlers finds its breaker open before the run fails.
const defaultCircuitAttempts = 20

func normaliseResources(r *workflowv1.Resources) {
	for _, lock := range r.GetLocks() {
		setDefault(&lock.Permits, 1)
		setDuration(&lock.Lease, defaultLease)
		setDuration(&lock.Wait, defaultLockWait)
	}
	for _, breaker := range r.GetBreakers() {
		setDefault(&breaker.WindowCalls, defaultBreakerWindow)
		setDefault(&breaker.MinCalls, breaker.WindowCalls)
		setDuration(&breaker.OpenFor, defaultOpenFor)
		setDefault(&breaker.HalfOpenCalls, 1)
		if len(breaker.Counted) == 0 {
			breaker.Counted = []string{"timeout", "unavailable"}
		}
	}
	for name, server := range r.GetServers() {
		setDefault(&server.EndpointRef, name)
	}
}

func normaliseContext(policy *workflowv1.ContextPolicy) {
	if policy == nil {
		return
	}
	setDefault(&policy.Overflow, workflowv1.Overflow_OVERFLOW_FAIL_STEP)
	for _, rule := range policy.GetRules() {
		setDefault(&rule.Keep, workflowv1.Keep_KEEP_PRESERVE)
	}
}

func normalisePolicy(policy *workflowv1.ErrorPolicy) {
	for _, handler := range policy.GetHandlers() {
		normaliseRetry(handler.GetRetry())
	}
}

func normaliseRetry(retry *workflowv1.RetryPolicy) {
	if retry == nil {
		return
	}
	setDefault(&retry.MaxAttempts, defaultAttempts)
	setDuration(&retry.InitialInterval, defaultInterval)
	setDefault(&retry.BackoffCoefficient, defaultCoefficient)
	setDuration(&retry.MaxInterval, max(defaultMaxInterval, retry.GetInitialInterval().AsDuration()))
	setDefault(&retry.Jitter, workflowv1.Jitter_JITTER_FULL)
	if retry.HonorRetryAfter == nil {
		retry.HonorRetryAfter = proto.Bool(true)
	}
}

func (c *compiler) normaliseStep(step *workflowv1.Step) {
	normaliseContext(step.GetContext())
	normalisePolicy(step.GetOnError())
	if cache := step.GetCache(); cache != nil {
		setDuration(&cache.Ttl, defaultCacheTTL)
	}
	switch do := step.GetDo().(type) {
	case *workflowv1.Step_Tool:
		setDuration(&step.AttemptTimeout, defaultToolAttempt)
	case *workflowv1.Step_Agent:
		setDuration(&step.AttemptTimeout, defaultAgentAttempt)
		setDefault(&do.Agent.MaxEffect, workflowv1.Effect_EFFECT_READ)
	case *workflowv1.Step_Human:
		setDefault(&do.Human.Quorum, 1)
	case *workflowv1.Step_Parallel:
		setDefault(&do.Parallel.Join, workflowv1.Join_JOIN_ALL)
		setDefault(&do.Parallel.MaxConcurrency, uint32(len(do.Parallel.GetBranches())))
	case *workflowv1.Step_Map:
		setDefault(&do.Map.MaxConcurrency, 1)
	case *workflowv1.Step_Emit:
		setDefault(&do.Emit.Source, fmt.Sprintf("signalbox/%s/%s", c.def.GetMetadata().GetNamespace(), c.def.GetMetadata().GetName()))
	}
	if undo := step.GetCompensate(); undo.GetWorkflow() != nil && undo.Retry == nil {
		undo.Retry = &workflowv1.RetryPolicy{MaxAttempts: 1} // what the first try did stands
	}
	normaliseRetry(step.GetCompensate().GetRetry())
}

// setDefault sets what is not set.
func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func setDuration(field **durationpb.Duration, value time.Duration) {
	if *field == nil {
		*field = durationpb.New(value)
	}
}
