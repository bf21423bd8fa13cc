package core

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

var deskSecret = SecretRef{Provider: "env", Path: "SIGNALBOX_SECRET_DESK"}

func TestACallGoesWithItsSecret(t *testing.T) {
	b := newBench(t, Limits{})
	b.secrets[deskSecret] = "t0ken-t0ken"
	with, without := invocation("with"), invocation("without")
	with.Secret = deskSecret
	b.dispatcher.Invoke(with, b.inbox)
	if got := <-b.tools.begun; got.Secret.Reveal() != "t0ken-t0ken" || got.Secret.Ref != deskSecret {
		t.Errorf("the call went with %v", got.Secret)
	}
	b.inbox.next(t)
	b.dispatcher.Invoke(without, b.inbox)
	if got := <-b.tools.begun; !got.Secret.IsZero() {
		t.Errorf("a call without a secret went with %v", got.Secret)
	}
}

func TestAMissingSecretSendsNothing(t *testing.T) {
	b := newBench(t, Limits{})
	inv := invocation("with")
	inv.Secret = deskSecret
	b.dispatcher.Invoke(inv, b.inbox)
	got := b.inbox.next(t)
	want := `secret "SIGNALBOX_SECRET_DESK" of provider "env": there is none; make one; nothing was sent`
	if got.Status != StatusNotSent || got.ErrorType != errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED || got.Message != want || b.tools.count() != 0 {
		t.Errorf("got %+v after %d calls", got, b.tools.count())
	}
}

// Servers repeat what they were sent, in refusals and in results; both go into records.
func TestWhatTheServerSaysOfASecretIsHidden(t *testing.T) {
	const value = "t0/ken&t0ken<"
	escaped, _ := json.Marshal(value)
	for name, reply := range map[string]Reply{
		"refusal":   {Failure: &Failure{Cause: CauseHTTPStatus, Written: true, HTTPStatus: 401, Detail: "the token " + value + " is over"}},
		"long":      {Failure: &Failure{Cause: CauseHTTPStatus, Written: true, HTTPStatus: 401, Detail: strings.Repeat("x", maxMessage-20) + value}},
		"result":    {Result: []byte(`{"structuredContent":{"authorization":"Bearer ` + value + `"}}`)},
		"escaped":   {Result: []byte(`{"structuredContent":{"authorization":` + string(escaped) + `}}`)},
		"slashes":   {Result: []byte(`{"structuredContent":["t0\/ken&t0ken<"]}`)},
		"toolError": {Result: []byte(`{"isError":true,"content":[{"type":"text","text":"no: ` + value + `"}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Limits{})
			b.secrets[deskSecret] = value
			b.tools.respond = func(context.Context, Call) Reply { return reply }
			inv := invocation("with")
			inv.Secret = deskSecret
			b.dispatcher.Invoke(inv, b.inbox)
			got := b.inbox.next(t)
			told := got.Message + string(got.Output)
			if !strings.Contains(told, "[secret]") && name != "long" || strings.Contains(told, "t0") {
				t.Errorf("told: %s", told)
			}
			if len(got.Output) > 0 && !json.Valid(got.Output) {
				t.Errorf("not JSON any more: %s", got.Output)
			}
		})
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	secret, err := NewSecret(deskSecret, "t0ken-t0ken")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(map[string]any{"call": Call{Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %s %q", secret, secret, secret, secret, secret), fmt.Sprintf("%+v", Call{Secret: secret}),
		string(encoded), secret.LogValue().String(),
	} {
		if strings.Contains(text, "t0ken-t0ken") {
			t.Errorf("printed: %s", text)
		}
	}
}
