package metrics_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/mirror"
)

// TestMirror: every counter of the mirror is published.
func TestMirror(t *testing.T) {
	stats := mirror.Stats{Hits: 1, Misses: 2, Stale: 3, Served: 4, Fetched: 5, Fills: 6, Readers: 7, Size: 8, Evicted: 9,
		Upstreams: []mirror.UpstreamStats{
			{Name: "docker.io", Requests: map[string]int64{"GET blob": 10}, Errors: map[string]int64{"5xx": 11},
				Limit: 100, Remaining: 12, Until: time.Now().Add(time.Hour), Down: true},
			{Name: "ghcr.io", Limit: -1, Remaining: -1},
		}}
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(metrics.Mirror(func() mirror.Stats { return stats })))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`pulls_total{result="hit"} 1`, `pulls_total{result="miss"} 2`, `pulls_total{result="stale"} 3`,
		`served_bytes_total 4`, `fetched_bytes_total 5`, `fills 6`, `readers 7`, `size_bytes 8`, `evicted_bytes_total 9`,
		`upstream_requests_total{kind="GET blob",upstream="docker.io"} 10`,
		`upstream_errors_total{kind="5xx",upstream="docker.io"} 11`, `upstream_limit{upstream="docker.io"} 100`,
		`upstream_remaining{upstream="docker.io"} 12`, `upstream_wait_seconds{upstream="docker.io"} 3`,
		`upstream_down{upstream="docker.io"} 1`, `upstream_down{upstream="ghcr.io"} 0`,
		`upstream_wait_seconds{upstream="ghcr.io"} 0`,
	} {
		require.Contains(t, w.Body.String(), "\nregistry_mirror_"+want)
	}
	require.NotContains(t, w.Body.String(), `upstream_limit{upstream="ghcr.io"}`)
}
