package escalation_test

import workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"

func toolStep(id, server, tool string) *workflowv1.Step {
	return &workflowv1.Step{Id: id, Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: server, Tool: tool}}}
}

func gateStep(id string, gate *workflowv1.HumanGate) *workflowv1.Step {
	return &workflowv1.Step{Id: id, Do: &workflowv1.Step_Human{Human: gate}}
}

// supportDefinition is the part of the design's support escalation that follows its gates.
func supportDefinition() *workflowv1.WorkflowDefinition {
	return &workflowv1.WorkflowDefinition{
		Initial: "resolve",
		States: map[string]*workflowv1.State{
			"resolve": {
				Steps:       []*workflowv1.Step{{Id: "decide", Do: &workflowv1.Step_Agent{Agent: &workflowv1.AgentTask{Agent: "agents/resolver"}}}},
				Transitions: []*workflowv1.Transition{{To: "approve"}},
			},
			"approve": {
				Steps: []*workflowv1.Step{gateStep("approval", &workflowv1.HumanGate{
					Roles: []string{"support-lead"}, Decisions: []string{"approve", "request_change", "reject"},
				})},
				Transitions: []*workflowv1.Transition{
					{When: "steps.approval.output.decision == 'approve' && steps.decide.output.amount <= 500", To: "execute"},
					{When: "steps.approval.output.decision == 'request_change' && run.visits('resolve') < 3", To: "resolve"},
					{To: "closed"},
				},
			},
			"execute": {
				Steps:       []*workflowv1.Step{toolStep("refund", "desk", "create_refund"), toolStep("mark", "desk", "set_case_status")},
				Transitions: []*workflowv1.Transition{{To: "closed"}},
			},
			"closed": {Terminal: workflowv1.Outcome_OUTCOME_REJECTED},
		},
	}
}
