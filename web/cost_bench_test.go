//go:build linux || darwin

package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// BenchmarkCost measures each view over HTTP, with 10,000 repositories and one of 100,000 tags on disk: the time to the
// first byte of the first request, of half of the others (p50) and of nearly all (p99), and the CPU time. The check of
// a password is not part of it.
//
//	go test ./web -run '^$' -bench BenchmarkCost -benchtime 30x
func BenchmarkCost(b *testing.B) {
	const repo = "team-7/many"
	var image digest.Digest
	page := newBenchPage(b, func(s *storage.Store) { image = pushTags(b, s, repo, 100_000) })
	server := httptest.NewServer(page)
	b.Cleanup(server.Close)
	for _, path := range viewsOfTags(repo, image) {
		b.Run(path, func(b *testing.B) {
			first := firstByte(b, server, path)
			var times []time.Duration
			cpu := cpuTime(b)
			for b.Loop() {
				times = append(times, firstByte(b, server, path))
			}
			cpu = cpuTime(b) - cpu
			slices.Sort(times)
			ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
			b.ReportMetric(ms(first), "first-ms")
			b.ReportMetric(ms(times[len(times)/2]), "p50-ms")
			b.ReportMetric(ms(times[len(times)*99/100]), "p99-ms")
			b.ReportMetric(ms(cpu)/float64(len(times)), "cpu-ms/op")
		})
	}
}

// firstByte requests a page, and returns the time until the first byte.
func firstByte(b *testing.B, server *httptest.Server, path string) (took time.Duration) {
	b.Helper()
	started := time.Now()
	ctx := httptrace.WithClientTrace(b.Context(), &httptrace.ClientTrace{
		GotFirstResponseByte: func() { took = time.Since(started) },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/ui"+path, nil)
	require.NoError(b, err)
	r.Header.Set("User", "boss")
	res, err := server.Client().Do(r)
	require.NoError(b, err)
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, res.StatusCode, path)
	return took
}

// BenchmarkNew measures the start of a page, which parses all templates.
func BenchmarkNew(b *testing.B) {
	store, err := storage.New(b.Context(), memory.New(nil), nil)
	require.NoError(b, err)
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(b, err)
	reg, err := registry.New(store, &registry.Options{Authorizer: accounts.NewAuthorizer(people)})
	require.NoError(b, err)
	manage, err := api.New(reg, nil)
	require.NoError(b, err)
	cpu := cpuTime(b)
	for b.Loop() {
		_, err := web.New(manage, nil)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/1e6/float64(b.N), "cpu-ms/op")
}
