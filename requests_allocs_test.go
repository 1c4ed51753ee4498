//go:build !race

package registry_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// TestRequestAllocations limits what the registry allocates for each small request, with what the
// Backend of the test allocates.
func TestRequestAllocations(t *testing.T) {
	limits := map[string]float64{
		"HEAD manifest by tag": 4, "HEAD manifest by digest": 4, "GET manifest by tag": 6, "GET manifest by digest": 6,
		"HEAD blob": 4, "GET blob": 10, "HEAD missing blob": 9, "mount": 13, "start upload": 8, "append": 9,
		"finish upload": 10, "PUT manifest": 16,
	}
	reg, err := registry.New(fixed{}, nil)
	require.NoError(t, err)
	for _, r := range smallRequests {
		body := bytes.NewReader(nil)
		req := httptest.NewRequest(r.method, r.path, body)
		req.Body = http.NoBody
		if r.body != nil {
			req = httptest.NewRequest(r.method, r.path, body)
			req.ContentLength = int64(len(r.body))
		}
		w := &discarding{header: make(http.Header)}
		allocs := testing.AllocsPerRun(50, func() {
			clear(w.header)
			body.Reset(r.body)
			reg.ServeHTTP(w, req)
		})
		require.Equal(t, r.status, w.status, r.name)
		require.LessOrEqual(t, allocs, limits[r.name], r.name)
		for key := range w.header {
			require.Equal(t, http.CanonicalHeaderKey(key), key, r.name)
		}
	}
}
