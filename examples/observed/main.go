// Observed shows a registry with OpenTelemetry tracing and Prometheus metrics, in memory. Each
// request is a span. Each operation of the registry is a span below it, and is counted in the
// metrics. Its events go through an outbox to the log; the metrics show whether they arrive.
//
//	go run ./examples/observed
//	curl http://127.0.0.1:5000/metrics
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/middleware"
	eventlog "github.com/registrykit/registry/notification/log"
	"github.com/registrykit/registry/notification/outbox"
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
	log.Print("A registry at http://127.0.0.1:5000; spans go to standard error. Try:\n",
		"  docker pull busybox && docker tag busybox 127.0.0.1:5000/busybox\n",
		"  docker push 127.0.0.1:5000/busybox && docker pull 127.0.0.1:5000/busybox\n",
		"  curl http://127.0.0.1:5000/metrics")
	log.Fatal(server.ListenAndServe())
}

// newHandler returns the observed registry at /v2/ and the metrics at /metrics.
func newHandler(ctx context.Context, spans *trace.TracerProvider) (http.Handler, error) {
	driver := memory.New(nil)
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		return nil, err
	}
	go store.CollectEvery(ctx, nil)
	gathered := prometheus.NewRegistry()
	observe, err := metrics.Operations(gathered, spans)
	if err != nil {
		return nil, err
	}
	box, err := outbox.New(driver, []outbox.Destination{{Name: "log", Sink: eventlog.New(slog.Default(), nil)}}, nil)
	if err != nil {
		return nil, err
	}
	go func() { _ = box.Run(ctx) }()
	if err := gathered.Register(metrics.Events(box.Stats, "log")); err != nil {
		return nil, err
	}
	reg, err := registry.New(store, &registry.Options{Interceptors: []registry.Interceptor{observe}, Sink: box})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", withDeadline(promhttp.HandlerFor(gathered, promhttp.HandlerOpts{})))
	mux.Handle("/v2/", otelhttp.NewHandler(reg, "registry", otelhttp.WithTracerProvider(spans)))
	return middleware.LocalOnly(mux), nil // without logins, keep web pages out
}

// withDeadline gives clients a minute to read the response of h. Without it, a client that does not
// read would keep its connection forever. The registry sets its own deadlines.
func withDeadline(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)) // net/http resets it
		h.ServeHTTP(w, r)
	})
}
