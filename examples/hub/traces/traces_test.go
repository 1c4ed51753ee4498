package traces_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/hub/traces"
)

// TestFile: spans go to the file, with the name of the program.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spans.json")
	p, end, err := traces.New(t.Context(), config.Traces{Exporter: "file", File: config.Path(file), Sample: 1})
	require.NoError(t, err)
	_, span := p.Tracer("test").Start(t.Context(), "operation")
	span.End()
	require.NoError(t, end(t.Context()))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(content), `"operation"`)
	require.Contains(t, string(content), `{"Key":"service.name","Value":{"Type":"STRING","Value":"hub"}}`)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestOTLP: spans go to the collector that the environment names.
func TestOTLP(t *testing.T) {
	paths := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	p, end, err := traces.New(t.Context(), config.Traces{Exporter: "otlp", Sample: 1})
	require.NoError(t, err)
	_, span := p.Tracer("test").Start(t.Context(), "operation")
	span.End()
	require.NoError(t, end(t.Context()))
	require.Equal(t, "/v1/traces", <-paths)
}

// TestNone: without an exporter, and with a sample of 0, nothing is recorded.
func TestNone(t *testing.T) {
	for _, c := range []config.Traces{{Exporter: "none", Sample: 1}, {Exporter: "stdout"}} {
		p, end, err := traces.New(t.Context(), c)
		require.NoError(t, err)
		_, span := p.Tracer("test").Start(t.Context(), "operation")
		require.False(t, span.IsRecording())
		require.NoError(t, end(t.Context()))
	}
	for _, c := range []config.Traces{{Exporter: "jaeger"}, {Exporter: "file", File: "/nowhere/spans"}} {
		_, _, err := traces.New(t.Context(), c)
		require.ErrorContains(t, err, "traces: ")
	}
}
