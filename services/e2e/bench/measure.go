package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// measure prints all figures of one topology.
func measure(ctx context.Context, s settings, t suite.Topology, parent, binary string, tool *toolServer) error {
	fmt.Printf("== %s\n", t)
	dir := filepath.Join(parent, string(t))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	sb, c, err := start(ctx, t, dir, binary, tool)
	if err != nil {
		return err
	}
	defer func() { _ = sb.Stop() }()
	if err := throughput(ctx, s, sb, c, tool); err != nil {
		return err
	}
	if err := alone(ctx, s, c, tool); err != nil {
		return err
	}
	if err := commitBytes(ctx, s, c); err != nil {
		return err
	}
	fmt.Printf("resident memory      %s\n", residents(sb))
	return resume(ctx, s, sb, c, tool)
}

func throughput(ctx context.Context, s settings, sb *suite.Suite, c *client, tool *toolServer) error {
	var sdk, plain, steps []float64
	for round := range s.rounds {
		a, err := rawSDK(ctx, s, tool)
		if err != nil {
			return err
		}
		b, err := rawPlain(ctx, s, tool)
		if err != nil {
			return err
		}
		before, cpu := commits(ctx, sb), cpuSeconds(sb)
		callsBefore, _ := tool.calls(ctx)
		profile := profiling(ctx, s, sb, round)
		d, err := durable(ctx, s, c, tool)
		if err != nil {
			return err
		}
		profile()
		callsAfter, _ := tool.calls(ctx)
		n := float64(callsAfter - callsBefore)
		fmt.Printf("round %d: raw %.0f calls/s (SDK client), %.0f (plain HTTP client); durable %.0f steps/s; %.3f commits a step, %.0f µs of CPU a step\n",
			round+1, a.second, b.second, d.second, (commits(ctx, sb)-before)/n, (cpuSeconds(sb)-cpu)/n*1e6)
		fmt.Printf("         the tool server counted %d, %d and %d calls in these\n", a.calls, b.calls, d.calls)
		sdk, plain, steps = append(sdk, a.second), append(plain, b.second), append(steps, d.second)
	}
	fmt.Printf("median: durable / raw = %.2f against the SDK client, %.2f against the plain one\n", median(steps)/median(sdk), median(steps)/median(plain))
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// alone measures runs one after the other.
func alone(ctx context.Context, s settings, c *client, tool *toolServer) error {
	call, done, err := lone(ctx, tool)
	if err != nil {
		return err
	}
	defer done()
	raw, err := timed(s.runs*2, call)
	if err != nil {
		return err
	}
	runs, err := timed(s.runs, func() error { return c.one(ctx) })
	if err != nil {
		return err
	}
	p50, limit := at(runs, 50), 8*at(raw, 50)+8*time.Millisecond
	fmt.Printf("one run alone        p50 %s, p99 %s; one raw call p50 %s; 8 raw calls + 8 ms = %s\n", p50, at(runs, 99), at(raw, 50), limit)
	return nil
}

func timed(n int, do func() error) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		begin := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took, nil
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(10 * time.Microsecond)
}

// commitBytes lets one agent task make many calls and compares what the 10th and the last made the run commit.
func commitBytes(ctx context.Context, s settings, c *client) error {
	run, err := c.control.StartRun(ctx, &schedulerv1.StartRunRequest{Workflow: "bench-agent"})
	if err != nil {
		return err
	}
	polled, err := c.agents.PollTask(ctx, &schedulerv1.PollTaskRequest{Agent: "bench", RunId: run.GetRunId()})
	if err != nil {
		return err
	}
	token := polled.GetTask().GetClaimToken()
	for i := range s.calls {
		args := fmt.Sprintf(`{"n":%d,"payload":%q}`, i+1000000, payload)
		if _, err := c.agents.CallTool(ctx, &schedulerv1.CallToolRequest{ClaimToken: token, Tool: "noop/noop", Arguments: []byte(args)}); err != nil {
			return err
		}
	}
	if _, err := c.agents.CompleteTask(ctx, &schedulerv1.CompleteTaskRequest{ClaimToken: token}); err != nil {
		return err
	}
	if err := c.finish(ctx, run.GetRunId()); err != nil {
		return err
	}
	sizes, err := c.sizes(ctx, run.GetRunId())
	if err != nil {
		return err
	}
	tenth, last := sizes[min(10, len(sizes)-1)], sizes[len(sizes)-1]
	fmt.Printf("bytes of a commit    %d at the 10th operation of a run, %d at the %dth: %+.1f %%\n", tenth, last, len(sizes)-1, 100*float64(last-tenth)/float64(tenth))
	return nil
}

// sizes folds a history and returns, for each operation, the bytes of head and events that its receipt committed.
func (c *client) sizes(ctx context.Context, id string) ([]int, error) {
	f := engine.NewFold(nil)
	sizes := []int{0}
	req := &statev1.ListHistoryRequest{RunId: id}
	for {
		page, err := c.runs.ListHistory(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, ev := range page.GetEvents() {
			if err := f.Apply(ev); err != nil {
				return nil, err
			}
			if op := ev.GetOperationSucceeded(); op != nil {
				row := f.Operations[op.GetOperationId()]
				sizes = append(sizes, proto.Size(f.Run)+proto.Size(&workflowv1.HistoryBatch{Events: []*workflowv1.HistoryEvent{ev}})+proto.Size(row))
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return sizes, nil
		}
	}
}

// resume opens many runs that wait for one moment, kills everything before it, starts it again after it, and measures how soon the runs go on
// and end.
func resume(ctx context.Context, s settings, sb *suite.Suite, c *client, tool *toolServer) error {
	until := time.Now().Add(parkFor)
	ids, err := openRuns(ctx, s, c, until)
	if err != nil {
		return err
	}
	sb.KillAll()
	if left := time.Until(until); left > 0 {
		wait(ctx, left)
	} else {
		return fmt.Errorf("opening %d runs took longer than %s; the machine is too slow for this measurement", s.resumes, parkFor)
	}
	before, err := tool.calls(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	first := make(chan time.Duration, 1)
	go func() { first <- firstCall(ctx, tool, before, begin) }()
	if err := sb.StartAll(ctx); err != nil {
		return err
	}
	ready := time.Since(begin)
	for _, id := range ids {
		if err := c.finish(ctx, id); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	after, err := tool.calls(ctx)
	fmt.Printf("after kill -9        first run resumed after %s, ready for new ones after %s, all %d runs had ended after %s; %d calls for %d steps\n\n",
		(<-first).Round(time.Millisecond), ready.Round(time.Millisecond), len(ids), took.Round(time.Millisecond), after-before, len(ids)*steps)
	return err
}

// parkFor is how long runs wait; all of them must be open before it is over.
const parkFor = 8 * time.Second

func openRuns(ctx context.Context, s settings, c *client, until time.Time) ([]string, error) {
	input := fmt.Appendf(nil, `{"until":%q}`, until.UTC().Format(time.RFC3339Nano))
	ids := make([]string, s.resumes)
	var work sync.WaitGroup
	failed := make(chan error, s.open)
	var next atomic.Int64
	for range s.open {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				r, err := c.control.StartRun(ctx, &schedulerv1.StartRunRequest{Workflow: "bench-parked", Input: input})
				if err != nil {
					failed <- err
					return
				}
				ids[i] = r.GetRunId()
			}
		})
	}
	work.Wait()
	return ids, firstOf(failed)
}

// firstCall waits until the tool server is called again.
func firstCall(ctx context.Context, tool *toolServer, before int64, begin time.Time) time.Duration {
	for ctx.Err() == nil {
		if n, err := tool.calls(ctx); err == nil && n > before {
			break
		}
		wait(ctx, 5*time.Millisecond)
	}
	return time.Since(begin)
}

// commits is the scheduler's own count.
func commits(ctx context.Context, sb *suite.Suite) float64 {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sb.AdminURL("scheduler")+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "signalbox_scheduler_commits_total "); ok {
			n, _ := strconv.ParseFloat(v, 64)
			return n
		}
	}
	return 0
}

// cpuSeconds is the processor time that all processes of the suite have used.
func cpuSeconds(sb *suite.Suite) float64 {
	const ticks = 100 // USER_HZ of Linux
	total := 0.0
	for _, p := range sb.Processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.ParseFloat(fields[11], 64)
			system, _ := strconv.ParseFloat(fields[12], 64)
			total += (user + system) / ticks
		}
	}
	return total
}

func residents(sb *suite.Suite) string {
	var all []string
	for _, p := range sb.Processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
				all = append(all, fmt.Sprintf("%s %d MB", p.Name, kb/1024))
			}
		}
	}
	return strings.Join(all, ", ")
}

// profiling takes a CPU profile of the scheduler's process during the last round, when one is wanted.
func profiling(ctx context.Context, s settings, sb *suite.Suite, round int) func() {
	if s.profile == "" || round != s.rounds-1 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", sb.AdminURL("scheduler"), int(s.span.Seconds()))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		if b, err := io.ReadAll(resp.Body); err == nil {
			_ = os.WriteFile(s.profile, b, 0o600)
		}
	}()
	return func() { <-done }
}
