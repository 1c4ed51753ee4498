// Package traces sends the spans of OpenTelemetry where the configuration of a hub says.
package traces

import (
	"context"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/registrykit/registry/examples/hub/config"
)

// New returns what makes spans, and a function that sends the last ones and ends their export. The standard variables
// of the environment apply, such as OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME.
//
// Errors: an error for an unknown exporter; those of opening the file.
func New(ctx context.Context, c config.Traces) (trace.TracerProvider, func(context.Context) error, error) {
	exporter, close, err := exporter(ctx, c)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("traces: %w", err)
	case exporter == nil:
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	named, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "hub")),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // the environment may change the name
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(named),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Sample))))
	return p, func(ctx context.Context) error {
		err := p.Shutdown(ctx)
		if close != nil {
			if cerr := close.Close(); err == nil {
				err = cerr
			}
		}
		return err
	}, nil
}

// exporter returns the exporter of a configuration, or nil, and what to close after it.
func exporter(ctx context.Context, c config.Traces) (sdk.SpanExporter, io.Closer, error) {
	switch c.Exporter {
	case "none":
		return nil, nil, nil
	case "stdout":
		e, err := stdouttrace.New()
		return e, nil, err
	case "file":
		f, err := os.OpenFile(string(c.File), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, err
		}
		e, err := stdouttrace.New(stdouttrace.WithWriter(f))
		return e, f, err
	case "otlp":
		e, err := otlptracehttp.New(ctx)
		return e, nil, err
	}
	return nil, nil, fmt.Errorf("exporter %q: must be none, stdout, file or otlp", c.Exporter)
}
