package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestReferrersTypes: several types select the union of their referrers, and each page keeps the
// types. A plus in a type need not be escaped.
func TestReferrersTypes(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{PageSize: 4})
	subject := registrytest.RandomImage(1, 1, 10).Descriptor
	types := []string{"application/spdx+json", "application/b", "application/c", "a b"}
	for i := range 20 {
		artifact := registrytest.Artifact(types[i%4], subject, map[string]string{"i": fmt.Sprint(i)})
		require.NoError(t, artifact.Push(t.Context(), s.Store, "a"))
	}
	for query, want := range map[string]int{
		"?artifactType=application/spdx+json":                              5,
		"?artifactType=application/spdx%2Bjson":                            5,
		"?artifactType=application/b&artifactType=application/c":           10,
		"?artifactType=application/spdx+json&artifactType=application%2Fc": 10,
		"?artifactType=application/b&artifactType=application/b":           5,
		"?artifactType=application/b&artifactType=application/none":        5,
		"?artifactType=application/b&artifactType=":                        5,
		"?artifactType=a+b": 5,
		"?artifactType=":    20,
	} {
		path := "/v2/a/referrers/" + string(subject.Digest) + query
		applied := ""
		if want < 20 {
			applied = "artifactType"
		}
		require.Equal(t, applied, c.want(200, "GET", path, nil).Header.Get("OCI-Filters-Applied"), query)
		seen := map[string]bool{}
		for _, page := range c.referrers(path) {
			require.LessOrEqual(t, len(page), 4)
			for _, desc := range page {
				seen[string(desc.Digest)] = true
			}
		}
		require.Len(t, seen, want, query)
	}
}

// largeReferrers is a memory driver with n referrers of about size bytes in the repository a.
func largeReferrers(t *testing.T, n, size int) (driver.Driver, ocispec.Descriptor) {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	subject := registrytest.RandomImage(1, 1, 10).Descriptor
	for i := range n {
		artifact := registrytest.Artifact("a/large", subject, map[string]string{"i": fmt.Sprint(i),
			"x": strings.Repeat("x", size)})
		require.NoError(t, artifact.Push(t.Context(), s, "a"))
	}
	return d, subject
}

// atOnce sends n concurrent GETs to a registry over the driver. The registry starts with an empty
// cache.
func atOnce(t *testing.T, d driver.Driver, path string, n int) {
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	c := serve(t, s, nil)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			res, err := c.http.Get(c.base + path)
			if err == nil {
				defer res.Body.Close()
			}
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%v %v", res, err)
			}
		})
	}
	wg.Wait()
}

// TestReferrersFilteredCostsNoMemory: 40 referrers of 1 MiB that a filter skips once took 80 MiB
// for each request.
func TestReferrersFilteredCostsNoMemory(t *testing.T) {
	d, subject := largeReferrers(t, 40, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	atOnce(t, d, "/v2/a/referrers/"+string(subject.Digest)+"?artifactType=a/small", 32)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
}

// TestReferrersReadAtOnceAreBounded: all concurrent requests together read at most 32 MiB at a
// time.
func TestReferrersReadAtOnceAreBounded(t *testing.T) {
	const size = 1 << 20
	d, subject := largeReferrers(t, 20, size)
	var mu sync.Mutex
	reading, most := 0, 0
	slow := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if c.Op != "Open" || !strings.Contains(c.Key, "/f/") {
			return nil
		}
		mu.Lock()
		reading++
		most = max(most, reading)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		reading--
		mu.Unlock()
		return nil
	}})
	atOnce(t, slow, "/v2/a/referrers/"+string(subject.Digest), 100)
	require.Positive(t, most)
	require.LessOrEqual(t, most*size, 32<<20)
}

// TestReferrersSlowStorageEndsPages: a page ends after some seconds, and its Link continues from
// there.
func TestReferrersSlowStorageEndsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, subject := largeReferrers(t, 200, 1)
		for _, types := range []string{"", "?artifactType=" + url.QueryEscape("a/large"), "?artifactType=none"} {
			s, err := storage.New(t.Context(), drivertest.NewFaulty(d, &drivertest.FaultyOptions{
				Before: func(_ context.Context, c drivertest.Call) error {
					if c.Op == "Open" && strings.Contains(c.Key, "/f/") {
						time.Sleep(time.Second)
					}
					return nil
				},
			}), nil)
			require.NoError(t, err)
			r, err := registry.New(s, nil)
			require.NoError(t, err)
			path, pages, n := "/v2/a/referrers/"+string(subject.Digest)+types, 0, 0
			for path != "" {
				started := time.Now()
				w := httptest.NewRecorder()
				r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				a := &response{Response: w.Result(), body: w.Body.Bytes()}
				require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
				require.Less(t, time.Since(started), 10*time.Second)
				pages++
				n += strings.Count(w.Body.String(), `"digest"`)
				path = a.next(t)
			}
			if strings.HasSuffix(types, "none") {
				require.Zero(t, n)
				require.Equal(t, 1, pages)
			} else {
				require.Equal(t, 200, n)
				require.Greater(t, pages, 1)
			}
		}
	})
}
