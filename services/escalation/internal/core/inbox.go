package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

const (
	// defaultPageSize is that of a query that gives none.
	defaultPageSize = 50
	// maxReads bounds the work of one List. A role that few records have gives a short page with a token instead of a long wait.
	maxReads = 20
)

// Ports is what an Inbox works with. All are required.
type Ports struct {
	// Records, Runs, Artifacts and Definitions read what the state service keeps.
	Records     Records
	Runs        Runs
	Artifacts   Artifacts
	Definitions Definitions
	// Scheduler makes answers durable.
	Scheduler Scheduler
	// Clock tells how long an escalation has waited.
	Clock clock.Clock
}

// Inbox is the escalations as people see them. It is safe for concurrent use.
type Inbox struct {
	ports         Ports
	historyWindow uint64
}

// NewInbox returns an inbox. The history window is how many of a run's newest events an envelope searches for steps, at least 1.
func NewInbox(ports Ports, historyWindow uint64) *Inbox {
	return &Inbox{ports: ports, historyWindow: max(1, historyWindow)}
}

// Query selects escalations.
type Query struct {
	// Namespace; "*": all.
	Namespace string
	// State wanted. 0: StateOpen.
	State State
	// RunID wanted. Empty: all.
	RunID string
	// Role that may decide. Empty: all.
	Role string
	// PageSize is the most records wanted. 0: 50.
	PageSize int
	// PageToken of the page. Empty: the first.
	PageToken string
}

// Page is a page of the inbox.
type Page struct {
	RecordPage
	// Standings tell how each record stands, in their order.
	Standings []Standing
}

// List returns a page of the inbox, oldest first. A page may be shorter than asked for, even empty, with more to follow: only an empty
// Next says that it is the last. Errors: ErrPageToken, and those of Records.
func (i *Inbox) List(ctx context.Context, query Query) (Page, error) {
	token, err := openToken(query)
	if err != nil {
		return Page{}, err
	}
	read := RecordQuery{Namespace: query.Namespace, State: query.State, RunID: query.RunID, Token: token}
	if read.State == 0 {
		read.State = StateOpen
	}
	wanted := query.PageSize
	if wanted == 0 {
		wanted = defaultPageSize
	}
	var page Page
	now := i.ports.Clock.Now()
	for range maxReads {
		// Reading no more than still fits keeps the state service's own token the exact place to go on from.
		read.Size = wanted - len(page.Records)
		found, err := i.ports.Records.Escalations(ctx, read)
		if err != nil {
			return Page{}, err
		}
		for _, record := range found.Records {
			if query.Role != "" && !record.levelsAt(now).asks(query.Role) {
				continue
			}
			standing, err := i.standing(ctx, record)
			if err != nil {
				return Page{}, err
			}
			page.Records, page.Standings = append(page.Records, record), append(page.Standings, standing)
		}
		read.Token = found.Next
		if found.Next == "" || len(page.Records) >= wanted {
			break
		}
	}
	page.Next = sealToken(query, read.Token)
	return page, nil
}

// sealToken binds a token of the state service to the role, which that service knows nothing of.
func sealToken(query Query, token string) string {
	if token == "" {
		return ""
	}
	return roleMark(query.Role) + "." + token
}

func openToken(query Query) (string, error) {
	if query.PageToken == "" {
		return "", nil
	}
	mark, token, found := strings.Cut(query.PageToken, ".")
	if !found || token == "" || mark != roleMark(query.Role) {
		return "", &Refusal{Why: ErrPageToken, Words: "page_token was not made by this list, or for another role; begin again without it"}
	}
	return token, nil
}

func roleMark(role string) string {
	sum := sha256.Sum256([]byte(role))
	return hex.EncodeToString(sum[:4])
}
