package core

import (
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// sendWithSecret sends an attempt with the secret that the run's definition names for the tool server. Without the definition, which can only
// be away for a moment, it does not send: a call without its secret may be taken for somebody else's.
func (s *Scheduler) sendWithSecret(digest string, inv Invocation) {
	def, err := s.defs.byDigest(s.ctx, inv.Attempt.Run.Namespace, digest)
	if err != nil {
		s.Results([]AttemptResult{{
			Attempt: inv.Attempt, Status: SendNeverSeen, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
			Message: "the run's definition could not be read, so nothing was sent", Ours: true,
		}})
		return
	}
	inv.Secret = secretOf(def.Proto.GetResources(), inv.Server)
	s.send(inv)
}

// secretOf is the secret for calls of a tool server, by the server's name in the catalogue; nil: none. Definitions whose names for one
// server have different secrets are refused when they are registered.
func secretOf(r *workflowv1.Resources, server string) *workflowv1.SecretRef {
	for name, declared := range r.GetServers() {
		endpoint := declared.GetEndpointRef()
		if endpoint == "" {
			endpoint = name
		}
		if endpoint == server && declared.GetSecret() != "" {
			return r.GetSecrets()[declared.GetSecret()]
		}
	}
	return nil
}
