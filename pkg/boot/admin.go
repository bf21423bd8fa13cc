package boot

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signalbox-dev/signalbox/pkg/authn"
)

const adminIndex = `signalbox
/livez         the process is up
/readyz        what is not ready, and why
/metrics       Prometheus metrics
/debug/pprof/  profiles
`

// adminHandler serves operators. Probes need no key; the rest does where one is configured.
func adminHandler(ready http.Handler, metrics *prometheus.Registry, authenticator *authn.Authenticator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", plainText(adminIndex))
	mux.HandleFunc("GET /livez", plainText("ok\n"))
	mux.Handle("GET /readyz", ready)
	keyed := http.NewServeMux()
	keyed.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{Registry: metrics}))
	keyed.HandleFunc("GET /debug/pprof/", pprof.Index)
	keyed.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	keyed.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	keyed.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	keyed.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	keyed.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("/", authenticator.Require(keyed))
	return mux
}

func plainText(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text)) // the asker has gone when this fails
	}
}
