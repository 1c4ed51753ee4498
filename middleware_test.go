package registry_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// removesLength is middleware that removes the length from every response. Middleware that changes
// bodies must do this.
func removesLength(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&lengthRemover{w}, r)
	})
}

type lengthRemover struct{ http.ResponseWriter }

func (w *lengthRemover) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *lengthRemover) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

// compresses is middleware that compresses every body. Like some real middleware, it sets the
// encoding before the handler runs.
func compresses(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || r.Header.Get("Accept-Encoding") != "gzip" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close() // also after a panic
		next.ServeHTTP(&compressor{lengthRemover{w}, z}, r)
	})
}

type compressor struct {
	lengthRemover
	z *gzip.Writer
}

func (w *compressor) Write(p []byte) (int, error) { return w.z.Write(p) }

// recovers is middleware that recovers from every panic, including http.ErrAbortHandler.
func recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		next.ServeHTTP(w, r)
	})
}

// hidesDeadline is middleware that hides the deadlines of HTTP/1.1, but not the Hijack method of
// the connection.
func hidesDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := w.(http.Hijacker); ok {
			w = struct {
				http.ResponseWriter
				http.Hijacker
			}{w, h}
		}
		next.ServeHTTP(w, r)
	})
}

// hides is middleware whose ResponseWriter has only the required methods.
func hides(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

// middlewares are the kinds of middleware that hosts put around a registry.
var middlewares = map[string]func(http.Handler) http.Handler{
	"removes the length":              removesLength,
	"compresses":                      compresses,
	"hides":                           hides,
	"removes the length and hides":    func(h http.Handler) http.Handler { return removesLength(hides(h)) },
	"removes the length and recovers": func(h http.Handler) http.Handler { return recovers(removesLength(h)) },
	"hides the deadline and recovers": func(h http.Handler) http.Handler {
		return recovers(
			hidesDeadline(removesLength(h)))
	},
	"compresses and recovers": func(h http.Handler) http.Handler { return recovers(compresses(h)) },
}

// behind serves a handler behind middleware, over a version of HTTP, to a client that decompresses
// bodies.
func behind(t *testing.T, middleware func(http.Handler) http.Handler, proto int, h http.Handler) *client {
	s := httptest.NewUnstartedServer(middleware(h))
	s.EnableHTTP2 = proto == 2
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL)
	c.http.Transport = s.Client().Transport
	return c
}

// TestMiddlewareKeepsBlobsWhole: a blob or a range of it arrives complete behind every correct
// ResponseWriter.
func TestMiddlewareKeepsBlobsWhole(t *testing.T) {
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	for name, middleware := range middlewares {
		for _, proto := range []int{1, 2} {
			t.Run(fmt.Sprint(name, proto), func(t *testing.T) {
				c := behind(t, middleware, proto, reg)
				for _, size := range []int{0, 1, 100_000, 1 << 20} {
					content := registrytest.RandomBytes(uint64(size), size)
					path := "/v2/a/blobs/" + string(c.pushBlob("a", content))
					a := c.want(200, "GET", path, nil)
					require.Equal(t, proto, a.ProtoMajor)
					require.Equal(t, string(content), string(a.body))
					c.want(200, "HEAD", path, nil)
					if size > 10 {
						require.Equal(t, content[10:], c.want(206, "GET", path, nil, "Range: bytes=10-").body)
						c.want(206, "GET", path, nil, "Range: bytes=0-1,5-9")
						c.want(416, "GET", path, nil, "Range: bytes=9999999-")
					}
				}
				c.push("a", registrytest.RandomImage(1, 1, 100), "v1")
				c.want(200, "GET", "/v2/a/manifests/v1", nil)
				c.want(404, "GET", "/v2/a/manifests/v2", nil)
			})
		}
	}
}

// TestMiddlewareKeepsCutsVisible: a blob that cannot be read completely never looks complete,
// behind any middleware.
func TestMiddlewareKeepsCutsVisible(t *testing.T) {
	content := registrytest.RandomBytes(1, 300_000)
	path := "/v2/a/blobs/" + string(digest.FromBytes(content))
	reg, err := registry.New(&blobs{size: 300_000, open: func() io.ReadSeekCloser {
		return failingBody{bytes.NewReader(content), 200_000, errors.New("disk on fire")}
	}}, nil)
	require.NoError(t, err)
	for name, middleware := range middlewares {
		for _, proto := range []int{1, 2} {
			for _, header := range []string{"Accept: */*", "Range: bytes=1-299998", "Range: bytes=0-0,10-299999"} {
				t.Run(fmt.Sprint(name, proto, header), func(t *testing.T) {
					c := behind(t, middleware, proto, reg)
					req, err := http.NewRequest("GET", c.base+path, nil)
					require.NoError(t, err)
					if header[:5] == "Range" {
						req.Header.Set("Range", header[7:])
					}
					res, err := c.http.Do(req)
					if err == nil { // the response may be cut off before its header
						_, err = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					require.Error(t, err)
				})
			}
		}
	}
}
