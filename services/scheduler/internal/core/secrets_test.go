package core

import (
	"testing"

	"github.com/golang/mock/gomock"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const withSecret = `api_version: signalbox/v1
metadata: {name: two, version: 1.0.0}
resources:
  secrets: {token: {provider: file, path: shop/token}}
  servers: {shop: {endpoint_ref: desk, secret: token}}
steps:
  - {id: a, tool: {server: shop, tool: look, arguments: {}}}
`

// A call names the secret of the tool server as the definition names it, by whatever name it calls the server.
func TestACallNamesItsSecret(t *testing.T) {
	r := newRigOf(t, withSecret)
	r.accepting()
	r.sending()
	r.recovery.EXPECT().Assess(gomock.Any(), gomock.Any()).AnyTimes()
	r.start()
	r.startRun()
	inv := <-r.sent
	if inv.Server != "desk" || inv.Secret.GetProvider() != "file" || inv.Secret.GetPath() != "shop/token" {
		t.Errorf("sent to %s with %v", inv.Server, inv.Secret)
	}
	run := (<-r.commits).Run
	op := &workflowv1.OpenOperation{Id: "a/call", Attempt: 1, Server: "desk", Tool: "look", Incarnation: "g1"}
	r.sched.invokeRead(RunKey{"default", "r1"}, run, engine.InvokeRead{StepPath: "a", Operation: op})
	if read := <-r.sent; read.Secret.GetPath() != "shop/token" {
		t.Errorf("an agent's READ was sent with %v", read.Secret)
	}
	if got := secretOf(r.def.Proto.GetResources(), "mail"); got != nil {
		t.Errorf("a server without a secret has %v", got)
	}
}

// A call whose definition cannot be read is not sent without its secret.
func TestNoCallWithoutItsDefinition(t *testing.T) {
	r := newRig(t)
	r.start()
	r.store.EXPECT().Definition(gomock.Any(), "default", "sha256:lost").Return(nil, ErrAway)
	r.sched.sendWithSecret("sha256:lost", Invocation{Attempt: Attempt{Run: RunKey{"default", "r1"}, Operation: "x", Number: 1}, Server: "desk"})
	select {
	case inv := <-r.sent:
		t.Errorf("sent %+v", inv)
	default:
	}
}
