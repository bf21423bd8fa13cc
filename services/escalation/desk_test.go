package escalation_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/escalation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// t0 is when the service stands; questions were asked an hour before.
var t0 = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

// gateID is the question that most tests answer: the gate `approve/approval` of run case-17.
const gateID = "case-17/approve/approval/1"

// desk is the service between fakes of its neighbours, all over real gRPC in one process.
type desk struct {
	client    escalationv1.EscalationServiceClient
	state     *fakeState
	scheduler *fakeScheduler
	registry  *prometheus.Registry
	log       *strings.Builder
}

func newDesk(t *testing.T, cfg escalation.Config) *desk {
	t.Helper()
	state := &fakeState{fail: map[string]error{}, artifacts: map[string][]byte{}, definitions: map[string]*workflowv1.WorkflowDefinition{}}
	d := &desk{state: state, scheduler: &fakeScheduler{state: state}, registry: prometheus.NewRegistry(), log: &strings.Builder{}}
	stateConn := serve(t, d.state.register)
	schedulerConn := serve(t, func(server grpc.ServiceRegistrar) { schedulerv1.RegisterRunControlServiceServer(server, d.scheduler) })
	service, err := escalation.New(cfg, escalation.Deps{
		State: stateConn, Scheduler: schedulerConn, Clock: fakeclock.New(t0), Registerer: d.registry,
		Logger: slog.New(slog.NewTextHandler(d.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	d.client = escalationv1.NewEscalationServiceClient(serve(t, service.Register))
	return d
}

// serve runs a gRPC server in this process and connects to it. Callers are identified by as; others are nobody.
func serve(t *testing.T, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.UnaryInterceptor(identify))
	register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///desk", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

// as makes a context of somebody who is authenticated.
func as(t *testing.T, subject string, roles ...string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "test-subject", subject, "test-roles", strings.Join(roles, ","))
}

// identify stands for the identity link of a server's chain.
func identify(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if subject := md.Get("test-subject"); len(subject) > 0 {
		identity := authn.Identity{Subject: subject[0]}
		if roles := md.Get("test-roles")[0]; roles != "" {
			identity.Roles = strings.Split(roles, ",")
		}
		ctx = authn.NewContext(ctx, identity)
	}
	return handle(ctx, request)
}

func inline(raw string) *workflowv1.Payload {
	return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(raw)}}
}

func digestOf(raw string) []byte {
	sum := sha256.Sum256([]byte(raw))
	return sum[:]
}

const subject = `{"action":"refund","amount":120}`

// withGate puts run case-17 into the state service: it stands at the gate `approve` of the definition of definition_test.go.
func (d *desk) withGate() *desk {
	d.state.definitions["sha256:def"] = supportDefinition()
	d.state.run = &workflowv1.Run{
		Namespace: "default", Id: "case-17", Workflow: "support", Version: "1.0.0", DefinitionDigest: "sha256:def",
		Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "approve", Sequence: 1,
	}
	d.state.history = nil
	d.happened(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunStarted{RunStarted: &workflowv1.RunStarted{
		RunId: "case-17", Input: inline(`{"order_id":"W1"}`), StartedBy: "bob",
	}}})
	d.state.records = append(d.state.records, &statev1.EscalationRecord{
		Id: gateID, Namespace: "default", RunId: "case-17", Workflow: "support", OpenTime: timestamppb.New(t0.Add(-time.Hour)), OpenSequence: 1,
		State: statev1.EscalationState_ESCALATION_STATE_OPEN,
		Opened: &workflowv1.EscalationOpened{
			EscalationId: gateID, Kind: workflowv1.EscalationKind_ESCALATION_KIND_GATE, StepPath: "approve/approval",
			Roles: []string{"support-lead"}, Decisions: []string{"approve", "request_change", "reject"},
			Subject: inline(subject), SubjectDigest: digestOf(subject), Quorum: 1, Question: "approve/approval",
		},
	})
	return d
}

// record is the first record; tests change it before the first call.
func (d *desk) record() *statev1.EscalationRecord { return d.state.records[0] }

// happened adds events to the history, one minute apart, and moves the run and its question to the last of them.
func (d *desk) happened(events ...*workflowv1.HistoryEvent) {
	for _, event := range events {
		event.Sequence = uint64(len(d.state.history) + 1)
		event.Time = timestamppb.New(t0.Add(-2*time.Hour + time.Duration(event.GetSequence())*time.Minute))
		d.state.history = append(d.state.history, event)
	}
	d.state.run.Sequence = uint64(len(d.state.history))
	if len(d.state.records) > 0 {
		d.record().OpenSequence = d.state.run.GetSequence()
	}
}

// decided closes the question with ann's approval.
func (d *desk) decided() {
	d.record().State = statev1.EscalationState_ESCALATION_STATE_RESOLVED
	d.record().CloseTime = timestamppb.New(t0.Add(-time.Minute))
	d.record().Closed = &workflowv1.EscalationClosed{EscalationId: gateID, Decision: "approve", DecidedBy: "ann", Comment: "fine", Value: inline(`{"note": 1}`)}
}
