package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/registrykit/registry"
)

// newObserver returns an interceptor that counts operations, measures how long they take, and makes
// each a span. Repositories are no label of the metrics: there may be a million.
func newObserver(metrics prometheus.Registerer, spans *trace.TracerProvider) (registry.Interceptor, error) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "registry_operation_seconds",
		Help:    "How long operations of the registry took, by operation and by the code of the error.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
	}, []string{"operation", "code"})
	pushed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "registry_pushed_bytes_total",
		Help: "Bytes of blobs that were pushed.",
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

// code is the code of an error on the wire, "OK" if there is none.
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
