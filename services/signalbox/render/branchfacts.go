package render

import (
	"fmt"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// branchFact tells the events of branches and items. Their places are paths: "cards[3]" is the fourth item of the map step cards, "fan/left" the
// branch left of the parallel step fan.
func branchFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_CompositeStarted:
		e := fact.CompositeStarted
		what := fmt.Sprintf("begins %d branches", e.GetTotal())
		if len(e.GetItemsDigest()) > 0 {
			what = "begins " + plural(uint64(e.GetTotal()), "item")
		}
		if e.GetStepDeadline() != nil {
			what += ", at most " + between(event.GetTime(), e.GetStepDeadline())
		}
		return e.GetStepPath(), what, true
	case *workflowv1.HistoryEvent_ItemsRecorded:
		e := fact.ItemsRecorded
		return e.GetStepPath(), itemsRecorded(e), true
	case *workflowv1.HistoryEvent_BranchStarted:
		e := fact.BranchStarted
		return e.GetFramePath(), framed(e.GetBranch(), e.GetIndex()) + " begins", true
	case *workflowv1.HistoryEvent_BranchEnded:
		e := fact.BranchEnded
		return e.GetFramePath(), framed(e.GetBranch(), e.GetIndex()) + " " + branchEnded(e), true
	case *workflowv1.HistoryEvent_BranchesCancelled:
		e := fact.BranchesCancelled
		what := fmt.Sprintf("begins nothing more in %s", strings.Join(shortened(e.GetFramePaths()), ", "))
		if len(e.GetFramePaths()) == 0 {
			what = "begins nothing more"
		}
		if e.GetJoined() {
			what += "; what was needed is done"
		}
		if e.GetProblem() != nil {
			what += ", because of " + Problem(e.GetProblem())
		}
		return e.GetStepPath(), what, true
	case *workflowv1.HistoryEvent_UndoGroupOpened:
		e := fact.UndoGroupOpened
		what := fmt.Sprintf("what the branch or item of event %d did is undone one by one", e.GetSequence())
		if e.GetOwner() != "" {
			what += ", of the cancelled " + e.GetOwner()
		}
		return "", what, true
	default:
		return "", "", false
	}
}

// shownItems is how many items a line shows.
const shownItems = 3

func itemsRecorded(e *workflowv1.ItemsRecorded) string {
	first, count := e.GetFirstIndex(), len(e.GetItems())
	what := fmt.Sprintf("items %d to %d:", first, int(first)+count-1)
	if count == 1 {
		what = fmt.Sprintf("item %d:", first)
	}
	for i, item := range e.GetItems() {
		if i == shownItems {
			return what + " …"
		}
		if i > 0 {
			what += ","
		}
		what += " " + Payload(item)
	}
	return what
}

// framed names a branch or an item.
func framed(branch string, index uint32) string {
	if branch != "" {
		return "branch " + branch
	}
	return fmt.Sprintf("item %d", index)
}

func branchEnded(e *workflowv1.BranchEnded) string {
	switch e.GetStatus() {
	case workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED:
		return "is done"
	case workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED:
		return "was cancelled" + because(e.GetProblem())
	default:
		return "failed" + because(e.GetProblem())
	}
}

func because(p *workflowv1.Problem) string {
	if p == nil {
		return ""
	}
	return ": " + Problem(p)
}

// shortened are paths without their state, at most five of them.
func shortened(paths []string) []string {
	const most = 5
	var out []string
	for i, path := range paths {
		if i == most {
			return append(out, fmt.Sprintf("%d more", len(paths)-most))
		}
		if _, rest, ok := strings.Cut(path, "/"); ok {
			path = rest
		}
		out = append(out, path)
	}
	return out
}
