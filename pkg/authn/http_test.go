package authn_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/authn"
)

func subject(w http.ResponseWriter, r *http.Request) {
	identity, _ := authn.FromContext(r.Context())
	fmt.Fprint(w, identity.Subject)
}

func TestRequireAdmitsOnlyTheKey(t *testing.T) {
	handler := authn.New(key).Require(http.HandlerFunc(subject))
	for header, want := range map[[2]string]int{
		{"Authorization", "Bearer " + key}: http.StatusOK,
		{"X-API-Key", key}:                 http.StatusOK,
		{"X-API-Key", "wrong"}:             http.StatusUnauthorized,
		{"X-Other", key}:                   http.StatusUnauthorized,
	} {
		request := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		request.Header.Set(header[0], header[1])
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code != want {
			t.Errorf("%v: status %d, want %d", header, response.Code, want)
			continue
		}
		if want == http.StatusOK {
			if response.Body.String() != "api-key" {
				t.Errorf("the handler saw %q", response.Body)
			}
			continue
		}
		var body struct {
			Error struct{ Reason, Message string }
		}
		if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil || body.Error.Reason != "UNAUTHENTICATED" || body.Error.Message == "" {
			t.Errorf("body %q: %v", response.Body, err)
		}
		if strings.Contains(response.Body.String(), key) || response.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("answer %v %q", response.Header(), response.Body)
		}
	}
}

func TestGuardOrigin(t *testing.T) {
	const loopback, public = "127.0.0.1:7412", "0.0.0.0:7412"
	allowed := []string{"https://console.example"}
	for _, test := range []struct {
		listen, host, origin string
		want                 int
	}{
		{loopback, "localhost:7412", "", 200},
		{loopback, "127.0.0.1:7412", "", 200},
		{loopback, "[::1]:7412", "", 200},
		{loopback, "localhost", "", 200},
		{loopback, "[::1]", "", 200},
		{loopback, "evil.example:7412", "", 403}, // DNS rebinding
		{loopback, "localhost.evil.example", "", 403},
		{loopback, "", "", 403},
		{loopback, "localhost:7412", "http://localhost:3000", 200},
		{loopback, "localhost:7412", "https://console.example", 200},
		{loopback, "localhost:7412", "https://evil.example", 403},
		{loopback, "localhost:7412", "null", 403},
		{loopback, "localhost:7412", "://", 403},
		{public, "signalbox.example", "", 200},
		{public, "signalbox.example", "https://signalbox.example", 200},
		{public, "signalbox.example", "https://evil.example", 403},
		{public, "signalbox.example", "http://localhost", 403},
		{public, "signalbox.example", "https://console.example", 200},
	} {
		guarded := authn.GuardOrigin(test.listen, allowed, http.HandlerFunc(subject))
		request := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		request.Host = test.host
		if test.origin != "" {
			request.Header.Set("Origin", test.origin)
		}
		response := httptest.NewRecorder()
		guarded.ServeHTTP(response, request)
		if response.Code != test.want {
			t.Errorf("listening on %s, Host %q, Origin %q: status %d, want %d", test.listen, test.host, test.origin, response.Code, test.want)
		}
	}
}
