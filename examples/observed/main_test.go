package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestObserved(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	handler, err := newHandler(t.Context(), trace.NewTracerProvider(trace.WithSpanProcessor(recorder)))
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()

	const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	resp, err := http.Post(server.URL+"/v2/r/blobs/uploads/?digest="+digest, "application/octet-stream",
		strings.NewReader("hello"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	resp, err = http.Get(server.URL + "/v2/r/manifests/none")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	resp, err = http.Get(server.URL + "/metrics")
	require.NoError(t, err)
	metrics, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(metrics), `registry_operation_seconds_count{code="OK",operation="Commit"} 1`)
	require.Contains(t, string(metrics),
		`registry_operation_seconds_count{code="MANIFEST_UNKNOWN",operation="GetManifest"} 1`)
	require.Contains(t, string(metrics), "registry_pushed_bytes_total 5")
	require.Contains(t, string(metrics), `registry_events_dropped_total{sink="log"} 0`)

	parents := map[string]string{}
	names := map[string]string{}
	for _, s := range recorder.Ended() {
		names[s.SpanContext().SpanID().String()] = s.Name()
	}
	for _, s := range recorder.Ended() {
		parents[s.Name()] = names[s.Parent().SpanID().String()]
	}
	require.Contains(t, parents, "Commit")
	require.NotEmpty(t, parents["Commit"], "the operation is a span below that of the request")
}

// deadlines is a ResponseWriter that records its write deadline.
type deadlines struct {
	*httptest.ResponseRecorder
	write time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = t
	return nil
}

// TestMetricsDeadline checks that a client that does not read the metrics cannot keep its
// connection.
func TestMetricsDeadline(t *testing.T) {
	handler, err := newHandler(t.Context(), trace.NewTracerProvider())
	require.NoError(t, err)
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	handler.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.False(t, w.write.IsZero())
}
