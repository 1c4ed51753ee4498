// Observed is a registry in memory with the host's tracing and metrics around it: each request is a
// span of OpenTelemetry, each operation of the registry a span below it and a row of Prometheus
// metrics.
//
//	go run ./examples/observed
//	curl http://127.0.0.1:5000/metrics
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

func main() {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(os.Stderr))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(context.Background(), trace.NewTracerProvider(trace.WithBatcher(exporter)))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: "127.0.0.1:5000", Handler: handler,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
	}
	log.Fatal(server.ListenAndServe())
}

// newHandler returns the registry at /v2/, observed, and the metrics at /metrics.
func newHandler(ctx context.Context, spans *trace.TracerProvider) (http.Handler, error) {
	driver, err := memory.New(nil)
	if err != nil {
		return nil, err
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	observe, err := newObserver(metrics, spans)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(store, &registry.Options{Interceptors: []registry.Interceptor{observe}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", withDeadline(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	mux.Handle("/v2/", otelhttp.NewHandler(reg, "registry", otelhttp.WithTracerProvider(spans)))
	return middleware.LocalOnly(mux), nil // everybody may do everything, and web pages are not everybody
}

// withDeadline gives a client a minute to read what h answers. Without it, a client that does not
// read keeps its connection for ever; the registry has deadlines of its own.
func withDeadline(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)) // net/http removes it
		h.ServeHTTP(w, r)
	})
}
