package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/registrykit/registry"
)

// Operations returns an interceptor that measures each operation and creates a span for it. The
// repository is not a label of the metrics, because there may be a million repositories.
func Operations(metrics prometheus.Registerer, spans trace.TracerProvider) (registry.Interceptor, error) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "registry_operation_seconds",
		Help:    "Duration of registry operations in seconds, by operation and error code.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
	}, []string{"operation", "code"})
	pushed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "registry_pushed_bytes_total",
		Help: "Total bytes of pushed blobs.",
	})
	if err := errors.Join(metrics.Register(seconds), metrics.Register(pushed)); err != nil {
		return nil, err
	}
	tracer := spans.Tracer("registry")
	return func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		ctx, span := tracer.Start(ctx, string(op.Kind))
		defer span.End()
		span.SetAttributes(attribute.String("registry.repository", op.Repository))
		start := time.Now()
		err := next(ctx)
		seconds.WithLabelValues(string(op.Kind), code(err)).Observe(time.Since(start).Seconds())
		if op.Kind == registry.OpCommit && err == nil {
			pushed.Add(float64(op.Result.Size))
		}
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}, nil
}

// code returns the error code that clients receive, or "OK" for nil.
func code(err error) string {
	var e *registry.Error
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &e):
		return e.Code()
	}
	return registry.ErrInternal.Code()
}
