package engine_test

import (
	"encoding/json"
	"fmt"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// agent works on a task that is open.
func (s *simulation) agent(what int) {
	s.t.Helper()
	for _, step := range s.run().GetActive() {
		if step.GetTask() == nil {
			continue
		}
		a := s.agents[step.GetPath()]
		if a == nil || what == 0 {
			s.tokens++
			a = &agent{world: s.world, path: step.GetPath(), token: []byte(fmt.Sprint(s.tokens)), counts: map[string]uint32{}}
			if s.submit(engine.ClaimTask{StepPath: step.GetPath(), TokenDigest: a.token, Supersede: true}) {
				s.agents[step.GetPath()] = a
			}
			return
		}
		switch what {
		case 1:
			s.submit(engine.ReleaseTask{StepPath: a.path, TokenDigest: a.token, Reason: "expired"})
			delete(s.agents, a.path)
		case 2:
			s.submit(engine.FailTask{StepPath: a.path, TokenDigest: a.token, Message: "no idea"})
			delete(s.agents, a.path)
		case 3:
			s.submit(engine.CompleteTask{StepPath: a.path, TokenDigest: a.token, Output: json.RawMessage(`{"n":1}`)})
		default:
			s.agentCall(a)
		}
		return
	}
}

func (s *simulation) agentCall(a *agent) {
	s.t.Helper()
	tool := rapid.SampledFrom([]string{"read", "put", "write", "write", "keyed", "probed"}).Draw(s.rt, "tool")
	key := ""
	if tool == "keyed" {
		key = rapid.SampledFrom([]string{"", "k1"}).Draw(s.rt, "key")
	}
	in := a.input("s/"+tool, `{"n":1}`, key)
	if !s.submit(in) {
		if key == "" {
			a.counts["s/"+tool+string(engine.CallDigest(in.Arguments))]--
		}
		return
	}
	for _, c := range s.commands {
		if r, ok := c.(engine.InvokeRead); ok {
			s.submit(engine.ReadAnswered{
				StepPath: a.path, TokenDigest: a.token, Tool: "s/read", Arguments: in.Arguments, Call: in.Call, Attempts: r.Operation.GetAttempt(),
				Output: json.RawMessage(`1`), Diverged: r.Diverged,
			})
			return
		}
	}
}
