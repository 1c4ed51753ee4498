//go:build linux || darwin

package api_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
)

// BenchmarkTags measures pages of 50 tags with details, of a repository with 100,000 tags on disk, in each
// order. A cold page is the first one of a process.
func BenchmarkTags(b *testing.B) {
	dir := b.TempDir()
	h := openHub(b, dir)
	boss, err := h.people.CreateUser(b.Context(), accounts.Actor{}, "boss", "", nil)
	require.NoError(b, err)
	require.NoError(b, h.people.AddAdmin(b.Context(), accounts.Actor{}, boss.ID))
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for i := 0; i < 100_000; i += 50 {
		put := &registry.PutOptions{}
		for j := range 50 {
			put.Tags = append(put.Tags, registry.TagPut{Name: fmt.Sprintf("v%d.%d.%d", (i+j)/5000, (i+j)/50%100, j)})
		}
		_, err := h.store.PutManifest(b.Context(), "boss/app", ocispec.MediaTypeImageIndex, []byte(index), put)
		require.NoError(b, err)
	}
	for _, query := range []string{"sort=-version", "sort=version", "sort=name", "sort=-set", "sort=-version&q=v1*.99.*",
		"q=.99."} {
		path := "/v1/repositories/boss%2Fapp/tags?limit=50&details=true&" + query
		get := func(h *hub) {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("User", "boss")
			w := httptest.NewRecorder()
			h.api.ServeHTTP(w, r)
			require.Equal(b, 200, w.Code, w.Body)
		}
		b.Run(url.PathEscape(query), func(b *testing.B) {
			get(h)
			var total time.Duration
			started := cpuTime(b)
			for b.Loop() {
				get(h)
			}
			total = cpuTime(b) - started
			b.ReportMetric(float64(total)/1e6/float64(b.N), "cpu-ms")
		})
		b.Run("cold/"+url.PathEscape(query), func(b *testing.B) {
			var total time.Duration
			for b.Loop() {
				b.StopTimer()
				h := openHub(b, dir)
				started := cpuTime(b)
				b.StartTimer()
				get(h)
				total += cpuTime(b) - started
			}
			b.ReportMetric(float64(total)/1e6/float64(b.N), "cpu-ms")
		})
	}
}
