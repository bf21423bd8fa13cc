package simulation_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
)

// desk is the tool server with the truth about every effect.
type desk struct {
	mu sync.Mutex
	// effects counts how often each operation (by its idempotency key) had its effect, and undone whether it was undone.
	effects map[string]int
	tools   map[string]string
	calls   int
	faults  int
}

// gateway is the egress service in memory, in front of a desk. Its limits: one stream at a time, and a tool server that always takes calls.
type gateway struct {
	gatewayv1.UnimplementedEgressServiceServer

	dice        chance
	desk        *desk
	incarnation string

	mu       sync.Mutex
	out      chan *gatewayv1.AttemptResult
	receipts map[string]*gatewayv1.AttemptResult // nil: under way
	refused  map[string]bool
	dead     bool
}

func newGateway(dice chance, d *desk, incarnation string) *gateway {
	return &gateway{
		dice: dice, desk: d, incarnation: incarnation, out: make(chan *gatewayv1.AttemptResult, 4096),
		receipts: map[string]*gatewayv1.AttemptResult{}, refused: map[string]bool{},
	}
}

func (g *gateway) register(r grpc.ServiceRegistrar) { gatewayv1.RegisterEgressServiceServer(r, g) }

// die ends the process: calls under way may still have their effect, but nobody hears of it.
func (g *gateway) die() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
}

func refKey(a *gatewayv1.AttemptRef) string {
	return fmt.Sprintf("%s %s #%d", a.GetRunId(), a.GetOperationId(), a.GetAttempt())
}

func (g *gateway) Dispatch(stream gatewayv1.EgressService_DispatchServer) error {
	err := stream.Send(&gatewayv1.DispatchResponse{
		Hello: &gatewayv1.DispatchHello{Incarnation: g.incarnation}, Servers: []*gatewayv1.ServerStatus{{Server: "w", MaxConcurrency: 6, Ready: true}},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, inv := range req.GetInvocations() {
				g.invoke(inv)
			}
			for _, a := range req.GetAttaches() {
				g.attach(a.GetAttempt())
			}
		}
	}()
	for {
		select {
		case err := <-ended:
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		case r := <-g.out:
			if err := stream.Send(&gatewayv1.DispatchResponse{Results: []*gatewayv1.AttemptResult{r}}); err != nil {
				return err
			}
		}
	}
}

func (g *gateway) tell(r *gatewayv1.AttemptResult) {
	select {
	case g.out <- r:
	default: // nobody listens; who wants to know attaches
	}
}

func (g *gateway) invoke(inv *gatewayv1.Invocation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := refKey(inv.GetAttempt())
	if _, seen := g.receipts[key]; seen || g.dead {
		return
	}
	if g.refused[key] || inv.GetIncarnation() != g.incarnation {
		g.tell(&gatewayv1.AttemptResult{Attempt: inv.GetAttempt(), Status: gatewayv1.SendStatus_SEND_STATUS_NEVER_SEEN})
		return
	}
	g.receipts[key] = nil
	go g.work(inv, key)
}

// attach joins a call, gives its receipt, or refuses the attempt for ever.
func (g *gateway) attach(a *gatewayv1.AttemptRef) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := refKey(a)
	receipt, seen := g.receipts[key]
	switch {
	case receipt != nil:
		g.tell(receipt)
	case !seen:
		g.refused[key] = true
		g.tell(&gatewayv1.AttemptResult{Attempt: a, Status: gatewayv1.SendStatus_SEND_STATUS_NEVER_SEEN})
	}
}

// work is one call. What becomes of it is the seed's to say.
func (g *gateway) work(inv *gatewayv1.Invocation, key string) {
	how := g.dice.below(40, key, "fate")
	time.Sleep(g.dice.within(2*time.Second, key, "takes"))
	r := &gatewayv1.AttemptResult{Attempt: inv.GetAttempt()}
	fail := func(status gatewayv1.SendStatus, t errorsv1.ErrorType) {
		r.Status, r.ErrorType, r.Message = status, t, "as the seed wants it"
		g.desk.fault()
	}
	switch {
	case inv.GetTool() == "find":
		r.Status = gatewayv1.SendStatus_SEND_STATUS_ANSWERED
		r.Output = g.desk.find(inv.GetArguments())
	case how == 0:
		r.Status, r.IsError, r.Output = gatewayv1.SendStatus_SEND_STATUS_ANSWERED, true, []byte(`"the desk refuses"`)
		g.desk.fault()
	case how <= 2:
		fail(gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE)
	case how == 3:
		fail(gatewayv1.SendStatus_SEND_STATUS_UNKNOWN, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT)
	case how == 4: // the effect is there, the answer is not
		g.desk.do(inv)
		fail(gatewayv1.SendStatus_SEND_STATUS_UNKNOWN, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT)
	case how == 5: // the effect comes after the answer was given up
		fail(gatewayv1.SendStatus_SEND_STATUS_UNKNOWN, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT)
		defer func() {
			time.Sleep(g.dice.within(4*time.Second, key, "late"))
			g.desk.do(inv)
		}()
	default:
		r.Status, r.Output = gatewayv1.SendStatus_SEND_STATUS_ANSWERED, g.desk.do(inv)
	}
	r.Latency = durationpb.New(time.Second)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return
	}
	g.receipts[key] = r
	g.tell(r)
	if g.dice.below(10, key, "twice") == 0 {
		g.tell(proto.CloneOf(r))
	}
}

func (d *desk) fault() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults++
}

// do has the effect of a call and answers. A tool that takes a key has it once a key.
func (d *desk) do(inv *gatewayv1.Invocation) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	key := inv.GetIdempotencyKey()
	if inv.GetTool() == "read" {
		return []byte(`{"n":1}`)
	}
	if inv.GetIdempotencyArgument() != "" && d.tools[key] != "" {
		return answerOf(key)
	}
	d.effects[key]++
	d.tools[key] = inv.GetTool()
	if inv.GetTool() == "undo" {
		d.effects[undoneKey(inv)] = 0
	}
	return answerOf(key)
}

// undoneKey is the operation that an undo undoes: its arguments name it.
func undoneKey(inv *gatewayv1.Invocation) string {
	var args struct {
		Of string `json:"of"`
	}
	_ = json.Unmarshal(inv.GetArguments(), &args)
	return args.Of
}

// find tells truthfully whether an operation had its effect.
func (d *desk) find(args []byte) []byte {
	var of struct {
		Key string `json:"key"`
	}
	if json.Unmarshal(args, &of) != nil {
		return []byte(`{}`)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(fmt.Sprintf(`{"found":%t,"n":1,"key":%q}`, d.effects[of.Key] > 0, of.Key))
}

// happened tells whether an operation had its effect, by its key.
func (d *desk) happened(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.effects[key] > 0
}

// repeated lists the operations above IDEMPOTENT_WRITE whose effect happened more than once.
func (d *desk) repeated() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for key, n := range d.effects {
		if n > 1 && d.tools[key] != "put" && !strings.HasPrefix(d.tools[key], "undo") {
			out = append(out, fmt.Sprintf("%s of %s, %d times", d.tools[key], key, n))
		}
	}
	return out
}
