// Package unwell runs a registry on a store that is slow, throttles, loses connections, stalls or
// is missing.
package unwell

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // the scheme of the URL

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// stall is how long the registry waits for a store that makes no progress.
const stall = 2 * time.Second

// serve starts a registry in this process, which reaches the store through addr.
func serve(t *testing.T, o *harness.ObjectStore, addr string) *harness.Client {
	t.Helper()
	for _, e := range o.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	bucket, err := blob.OpenBucket(t.Context(), o.URL(addr))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	d, err := gocloud.New(t.Context(), bucket, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)},
		StallTimeout: stall})
	require.NoError(t, err)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	return harness.NewClient(server.URL)
}

// unavailable requires a 503 response with Retry-After.
func unavailable(t *testing.T, r *harness.Response, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotNil(t, r, "%v", err)
	require.Equal(t, http.StatusServiceUnavailable, r.Status, "%v", err)
	require.NotEmpty(t, r.Header.Get("Retry-After"))
}

// content is what a test has pushed while the store worked.
type content struct {
	blob, manifest []byte
}

func push(t *testing.T, c *harness.Client, repo string, seed uint64, size int) content {
	t.Helper()
	b := harness.RandomBytes(seed, size)
	_, err := c.PushBlob(t.Context(), repo, b)
	require.NoError(t, err)
	m := harness.Manifest(fmt.Sprint(seed), b)
	require.NoError(t, c.PutManifest(t.Context(), repo, "latest", imagespec.MediaTypeImageManifest, m))
	return content{b, m}
}

func (p content) pull(t *testing.T, c *harness.Client, repo string) error {
	if err := c.PullManifest(t.Context(), repo, "latest", digest.FromBytes(p.manifest)); err != nil {
		return err
	}
	return c.PullBlob(t.Context(), repo, digest.FromBytes(p.blob))
}

// TestToxics puts toxiproxy in front of the store.
func TestToxics(t *testing.T) {
	store := harness.NewMinIO(t)
	proxy := harness.NewToxiproxy(t, store.Addr)
	c := serve(t, store, proxy.Listen)
	was := push(t, c, "unwell/image", 1, 24<<20)
	toxic := func(t *testing.T, kind, stream string, attributes toxiproxy.Attributes) (remove func()) {
		t.Helper()
		added, err := proxy.AddToxic("", kind, stream, 1, attributes)
		require.NoError(t, err)
		return sync.OnceFunc(func() { require.NoError(t, proxy.RemoveToxic(added.Name)) })
	}

	t.Run("slow", func(t *testing.T) {
		defer toxic(t, "latency", "downstream", toxiproxy.Attributes{"latency": 100, "jitter": 50})()
		p := push(t, c, "unwell/slow", 2, 9<<20)
		require.NoError(t, p.pull(t, c, "unwell/slow"))
	})

	t.Run("connections end in the middle", func(t *testing.T) {
		// Each connection breaks after 3 MiB. So a blob of 24 MiB needs several connections, and so does
		// a blob of several parts.
		defer toxic(t, "limit_data", "downstream", toxiproxy.Attributes{"bytes": 3 << 20})()
		for range 3 {
			require.NoError(t, was.pull(t, c, "unwell/image"))
		}
		p := push(t, c, "unwell/cut", 3, 20<<20)
		require.NoError(t, p.pull(t, c, "unwell/cut"))
	})

	t.Run("not there", func(t *testing.T) {
		location, err := c.Begin(t.Context(), "unwell/resumed")
		require.NoError(t, err)
		whole := harness.RandomBytes(4, 200_000)
		location, err = c.Patch(t.Context(), location, 0, whole[:100_000])
		require.NoError(t, err)

		require.NoError(t, proxy.Disable())
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, path := range []string{"/manifests/latest", "/manifests/none",
				"/blobs/" + digest.FromBytes(was.blob).String(), "/blobs/" + digest.FromString("x").String()} {
				r, err := c.Do(t.Context(), http.StatusOK, method, "/v2/unwell/image"+path, harness.Accept(), nil)
				unavailable(t, r, err)
			}
		}
		for _, path := range []string{"/v2/unwell/image/tags/list", "/v2/_catalog",
			"/v2/unwell/image/referrers/" + digest.FromBytes(was.manifest).String()} {
			r, err := c.Do(t.Context(), http.StatusOK, http.MethodGet, path, nil, nil)
			unavailable(t, r, err)
		}
		r, err := c.Do(t.Context(), http.StatusCreated, http.MethodPut, "/v2/unwell/image/manifests/new",
			http.Header{"Content-Type": {imagespec.MediaTypeImageManifest}}, was.manifest)
		unavailable(t, r, err)
		r, err = c.Do(t.Context(), http.StatusAccepted, http.MethodPatch, location,
			http.Header{"Content-Range": {"100000-199999"}}, whole[100_000:])
		unavailable(t, r, err)
		r, err = c.Do(t.Context(), http.StatusAccepted, http.MethodDelete, "/v2/unwell/image/manifests/latest", nil, nil)
		unavailable(t, r, err)
		require.NoError(t, proxy.Enable())

		require.NoError(t, was.pull(t, c, "unwell/image"))
		offset, location, err := c.Offset(t.Context(), location)
		require.NoError(t, err)
		require.EqualValues(t, 100_000, offset, "the upload goes on where it was")
		require.NoError(t, c.Commit(t.Context(), location, digest.FromBytes(whole), bytes.NewReader(whole[offset:]),
			int64(len(whole))-offset))
		require.NoError(t, c.PullBlob(t.Context(), "unwell/resumed", digest.FromBytes(whole)))
	})

	t.Run("stalls", func(t *testing.T) {
		before := runtime.NumGoroutine()
		// nothing comes back, and nothing ends
		remove := toxic(t, "timeout", "downstream", toxiproxy.Attributes{"timeout": 0})
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 50 {
			wg.Go(func() {
				own := harness.NewClient(c.Base)
				defer own.HTTP.CloseIdleConnections()
				if i%2 == 0 {
					r, err := own.Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/unwell/image/manifests/latest",
						harness.Accept(), nil)
					if err == nil || r == nil || r.Status != http.StatusServiceUnavailable {
						t.Errorf("GET: %v", err)
					}
					return
				}
				_, err := own.PushBlob(t.Context(), "unwell/stalled", harness.RandomBytes(uint64(100+i), 100_000))
				if err == nil {
					t.Error("a push succeeds on a store that stalls")
				}
			})
		}
		wg.Wait()
		require.Less(t, time.Since(start), 20*stall, "nobody waits for ever")
		remove()
		require.NoError(t, proxy.Disable()) // ends the connections that hang
		require.NoError(t, proxy.Enable())
		require.NoError(t, was.pull(t, c, "unwell/image"))
		c.HTTP.CloseIdleConnections()
		require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+40 }, 10*time.Second, 100*time.Millisecond,
			"goroutines do not pile up: %d before", before)
	})
}

// TestResponses uses a store that responds wrongly.
func TestResponses(t *testing.T) {
	store := harness.NewMinIO(t)
	proxy, err := harness.NewStoreProxy(store.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	c := serve(t, store, proxy.Addr)
	was := push(t, c, "unwell/image", 1, 100_000)

	t.Run("throttles", func(t *testing.T) {
		slowDown := func(*http.Request) int { // one time in ten
			if rand.IntN(10) == 0 {
				return http.StatusServiceUnavailable
			}
			return 0
		}
		proxy.SetFault(slowDown)
		defer proxy.SetFault(nil)
		done := 0
		for n := range 20 {
			repo := fmt.Sprintf("unwell/throttled-%d", n)
			p := content{blob: harness.RandomBytes(uint64(50+n), 50_000)}
			p.manifest = harness.Manifest(repo, p.blob)
			if _, err := c.PushBlob(t.Context(), repo, p.blob); err != nil {
				require.Contains(t, err.Error(), ": 503 ")
				continue
			}
			if err := c.PutManifest(t.Context(), repo, "latest", imagespec.MediaTypeImageManifest, p.manifest); err != nil {
				require.Contains(t, err.Error(), ": 503 ")
				continue
			}
			done++
			if err := p.pull(t, c, repo); err != nil {
				require.Contains(t, err.Error(), ": 503 ")
			}
			proxy.SetFault(nil)
			require.NoError(t, p.pull(t, c, repo), "what was acknowledged is there")
			proxy.SetFault(slowDown)
		}
		require.Greater(t, done, 10, "the client of the store tries again")
	})

	t.Run("refuses", func(t *testing.T) {
		proxy.SetFault(func(*http.Request) int { return http.StatusForbidden })
		defer proxy.SetFault(nil)
		for _, path := range []string{"/manifests/latest", "/manifests/none",
			"/blobs/" + digest.FromBytes(was.blob).String(), "/tags/list"} {
			r, err := c.Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/unwell/image"+path, harness.Accept(), nil)
			unavailable(t, r, err)
		}
	})

	t.Run("refuses the bytes of a blob", func(t *testing.T) {
		large := push(t, c, "unwell/large", 9, 12<<20)
		proxy.SetFault(func(r *http.Request) int {
			if strings.Contains(r.URL.Path, "/data/") {
				return http.StatusInternalServerError
			}
			return 0
		})
		defer proxy.SetFault(nil)
		resp, err := c.Send(t.Context(), http.MethodGet, "/v2/unwell/large/blobs/"+digest.FromBytes(large.blob).String(),
			nil, nil, 0)
		require.NoError(t, err)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode,
			"nothing has been sent yet, so there is still an answer")
	})
}

// TestNoBucket removes the bucket. No response may report content as missing.
func TestNoBucket(t *testing.T) {
	store := harness.NewMinIO(t)
	c := serve(t, store, "")
	was := push(t, c, "unwell/image", 1, 100_000)
	data := filepath.Join(filepath.Dir(store.Log), "data", store.Bucket)
	require.NoError(t, os.Rename(data, data+".away"))
	// do sends a request while there is no bucket. MinIO repairs the buckets that it knows: it may
	// create this one again, empty, and then objects really are missing. In that case do removes the
	// bucket again and repeats the request.
	do := func(want int, method, path string) (*harness.Response, error) {
		for range 10 {
			r, err := c.Do(t.Context(), want, method, "/v2/unwell/image"+path, harness.Accept(), nil)
			if rerr := os.Remove(data); os.IsNotExist(rerr) {
				return r, err
			} else {
				require.NoError(t, rerr)
			}
		}
		t.Fatal("the bucket comes back again and again")
		return nil, nil
	}
	for _, path := range []string{"/manifests/latest", "/manifests/none",
		"/blobs/" + digest.FromBytes(was.blob).String(), "/tags/list"} {
		r, err := do(http.StatusOK, http.MethodGet, path)
		unavailable(t, r, err)
	}
	r, err := do(http.StatusAccepted, http.MethodDelete, "/manifests/latest")
	unavailable(t, r, err)
	require.NoError(t, os.Rename(data+".away", data))
	require.NoError(t, was.pull(t, c, "unwell/image"))
}
