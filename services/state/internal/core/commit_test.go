package core

import (
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestJudge(t *testing.T) {
	const (
		applied      = errorsv1.ErrorReason(-1)
		acknowledged = errorsv1.ErrorReason(-2)
		fenced       = errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED
		version      = errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT
		runID        = errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT
		exists       = errorsv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS
		reused       = errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED
		invalid      = errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT
	)
	next := Commit{ID: "c", Epoch: 3, Shard: 1, ExpectedSequence: 4, Sequence: 6}
	create := Commit{ID: "c", Epoch: 3, Shard: 1, Sequence: 2, RequestID: "r", RequestDigest: []byte("d")}
	at := func(epoch, sequence uint64, commitID string) Stored {
		return Stored{Epoch: epoch, Exists: true, Shard: 1, Sequence: sequence, CommitID: commitID}
	}
	for name, c := range map[string]struct {
		commit Commit
		stored Stored
		want   errorsv1.ErrorReason
	}{
		"next":                          {next, at(3, 4, "b"), applied},
		"repeated":                      {next, at(3, 6, "c"), acknowledged},
		"repeated by a former owner":    {next, at(4, 6, "c"), acknowledged},
		"former owner":                  {next, at(4, 4, "b"), fenced},
		"owner of the future":           {next, at(2, 4, "b"), fenced},
		"shard never claimed":           {next, Stored{}, fenced},
		"too early":                     {next, at(3, 3, "b"), version},
		"too late":                      {next, at(3, 6, "d"), version},
		"no run":                        {next, Stored{Epoch: 3}, version},
		"former owner, too late":        {next, at(4, 6, "d"), fenced},
		"other shard":                   {next, Stored{Epoch: 3, Exists: true, Shard: 2, Sequence: 4}, invalid},
		"created":                       {create, Stored{Epoch: 3}, applied},
		"created again":                 {create, at(3, 2, "c"), acknowledged},
		"run id taken":                  {create, at(3, 2, "x"), runID},
		"archived":                      {next, Stored{Epoch: 3, Archived: true, CommitID: "x"}, version},
		"repeated since archived":       {next, Stored{Epoch: 4, Archived: true, CommitID: "c"}, acknowledged},
		"run id in the archive":         {create, Stored{Epoch: 3, Archived: true, CommitID: "x"}, runID},
		"request known":                 {create, Stored{Epoch: 3, RequestRunID: "a", RequestDigest: []byte("d")}, exists},
		"request reused":                {create, Stored{Epoch: 3, RequestRunID: "a", RequestDigest: []byte("e")}, reused},
		"request known by former owner": {create, Stored{Epoch: 4, RequestRunID: "a", RequestDigest: []byte("d")}, fenced},
	} {
		v := Judge(&c.commit, c.stored)
		got := acknowledged
		switch {
		case v.Refusal != nil:
			got = v.Refusal.Reason
		case v.Apply:
			got = applied
		}
		if got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if (v.ExistingRunID != "") != (c.want == exists) {
			t.Errorf("%s: existing run %q", name, v.ExistingRunID)
		}
	}
}

func TestValidateNamesTheField(t *testing.T) {
	valid := func() *Commit {
		return &Commit{
			ID: "c", Namespace: "n", RunID: "r", Epoch: 1, Sequence: 1, Head: []byte{1}, Events: []byte{1},
			Index:     Index{Status: workflowv1.RunStatus_RUN_STATUS_RUNNING},
			Artifacts: []Artifact{{Digest: Digest([]byte("x")), Data: []byte("x")}},
			Escalations: []Escalation{{
				ID: "e", Namespace: "n", RunID: "r", State: EscalationOpen, Opened: &workflowv1.EscalationOpened{},
			}},
			Operations: []Operation{{ID: "o"}},
			Outbox:     []OutboxEvent{{ID: "e", Type: "t", Sequence: 1}},
		}
	}
	if r := valid().Validate(); r != nil {
		t.Fatalf("a valid commit is refused: %v", r)
	}
	for field, breakIt := range map[string]func(*Commit){
		"commit_id":           func(c *Commit) { c.ID = "" },
		"namespace":           func(c *Commit) { c.Namespace = "" },
		"run_id":              func(c *Commit) { c.RunID = "" },
		"shard":               func(c *Commit) { c.Shard = Shards },
		"epoch":               func(c *Commit) { c.Epoch = 0 },
		"sequence":            func(c *Commit) { c.ExpectedSequence = 1 },
		"head":                func(c *Commit) { c.Head = nil },
		"events":              func(c *Commit) { c.Events = nil },
		"request_id":          func(c *Commit) { c.RequestID, c.ExpectedSequence, c.Sequence = "q", 1, 2 },
		"index.status":        func(c *Commit) { c.Index.Status = 0 },
		"operations[0].id":    func(c *Commit) { c.Operations[0].ID = "" },
		"outbox[0].id":        func(c *Commit) { c.Outbox[0].ID = "" },
		"outbox[0].type":      func(c *Commit) { c.Outbox[0].Type = "" },
		"outbox_sequences[0]": func(c *Commit) { c.Outbox[0].Sequence = 2 },
		"outbox_sequences[1]": func(c *Commit) {
			c.Sequence, c.Outbox = 2, []OutboxEvent{{ID: "e", Type: "t", Sequence: 2}, {ID: "f", Type: "t", Sequence: 1}}
		},
		"escalations[0].id":        func(c *Commit) { c.Escalations[0].ID = "" },
		"escalations[0].run_id":    func(c *Commit) { c.Escalations[0].RunID = "other" },
		"escalations[0].namespace": func(c *Commit) { c.Escalations[0].Namespace = "other" },
		"escalations[0].state":     func(c *Commit) { c.Escalations[0].State = 0 },
		"escalations[0].opened":    func(c *Commit) { c.Escalations[0].Opened = nil },
		"artifacts[0].digest":      func(c *Commit) { c.Artifacts[0].Data = []byte("y") },
	} {
		c := valid()
		breakIt(c)
		if r := c.Validate(); r == nil || r.Field != field {
			t.Errorf("%s: refusal %+v", field, r)
		}
	}
	tooLong := valid()
	tooLong.ExpectedSequence, tooLong.Sequence = MaxSequence, MaxSequence+1
	if r := tooLong.Validate(); r == nil || r.Field != "sequence" {
		t.Errorf("too long a history: refusal %+v", r)
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"", "0.9.0", "1.2.0", "1.2.10", "1.10.0", "2.0.0", "10.0.0", "99999999999999999999999.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := CompareVersions(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q to %q: %d", a, b, got)
			}
		}
	}
	if CompareVersions("1.02.0", "1.2.0") != 0 {
		t.Error("leading zeros count")
	}
}
