package serve_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARequestUnderWayFinishesAtTheEnd(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel() // the end comes in the middle
		serve.JSON(w, http.StatusOK, "done")
	})
	go func() { ended <- serve.Run(ctx, l, handler, time.Minute) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := <-ended; err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, end %v", resp.StatusCode, err)
	}
}

func TestAnOpenStreamIsCutAfterTheGrace(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	go func() { ended <- serve.Run(ctx, l, handler, time.Millisecond) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestATakenPortIsAnError(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().String()
	for _, s := range []serve.Servers{{HTTP: taken, Control: "127.0.0.1:0"}, {HTTP: "127.0.0.1:0", Control: taken}, {HTTP: "192.0.2.1:0"}} {
		if err := s.Serve(t.Context(), nil, nil, nil); err == nil {
			t.Errorf("%+v was served", s)
		}
	}
}
