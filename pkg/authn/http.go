package authn

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Require lets only admitted callers through to next, and puts their identity into the request's context. Others get status 401
// with the error as JSON.
func (a *Authenticator) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, err := a.FromHeader(r.Header)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="signalbox"`)
			WriteError(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), identity)))
	})
}

// GuardOrigin protects a listener against pages in a browser on the same machine. A page of a foreign site can let its own name
// resolve to 127.0.0.1 (DNS rebinding); its requests then carry that name as Host, or its site as Origin.
//
// A listener on a loopback address serves only requests whose Host is a loopback name. Everywhere, an Origin, which only browsers
// send, must be the server itself, a loopback name on a loopback listener, or one of allowedOrigins ("https://console.example").
// Refused requests get status 403.
func GuardOrigin(listenAddr string, allowedOrigins []string, next http.Handler) http.Handler {
	listenHost, _, err := net.SplitHostPort(listenAddr)
	loopback := IsUnix(listenAddr) || (err == nil && isLoopback(listenHost))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loopback && !isLoopback(hostOnly(r.Host)) {
			refuse(w, "Host %q is not a name of this machine; use localhost or 127.0.0.1", r.Host)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && !originAllowed(origin, r.Host, loopback, allowedOrigins) {
			refuse(w, "Origin %q may not call this server; add it to listen.allowed_origins", origin)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func originAllowed(origin, host string, loopback bool, allowed []string) bool {
	if slices.Contains(allowed, origin) {
		return true
	}
	parsed, err := url.Parse(origin)
	if err != nil || parsed.Host == "" { // "null" is the origin of sandboxed pages: everybody's
		return false
	}
	if loopback {
		return isLoopback(parsed.Hostname())
	}
	return strings.EqualFold(parsed.Host, host)
}

func hostOnly(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return strings.Trim(hostPort, "[]")
}

func refuse(w http.ResponseWriter, format string, value string) {
	WriteError(w, errs.New(errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, format, value))
}

// WriteError answers an HTTP request with an error made fit to leave the service (errs.Internal): the HTTP status of its code,
// and {"error": {"reason", "message"}} as the body.
func WriteError(w http.ResponseWriter, err error) {
	outgoing := errs.Internal(err)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(httpStatus(errs.CodeOf(outgoing)))
	body := map[string]any{"error": map[string]string{"reason": errs.ReasonName(errs.ReasonOf(outgoing)), "message": outgoing.Error()}}
	// The client has gone when this fails; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

func httpStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Canceled:
		return 499 // what nginx calls "client closed request"
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.Unimplemented:
		return http.StatusNotImplemented
	default:
		return http.StatusInternalServerError
	}
}
