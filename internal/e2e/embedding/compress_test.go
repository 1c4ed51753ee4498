package embedding

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// compressing are applications that mount a registry, each with the middleware for compression and
// for panics that is usual there.
func compressing(reg http.Handler) map[string]http.Handler {
	types := []string{"application/octet-stream", "application/json", "application/vnd.oci.image.manifest.v1+json"}
	e := echo.New()
	e.Use(echomiddleware.Recover(), echomiddleware.Gzip())
	e.Any("/v2/*", echo.WrapHandler(reg))

	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(gin.CustomRecoveryWithWriter(io.Discard, func(*gin.Context, any) {}), ginGzip)
	g.Any("/v2/*path", gin.WrapH(reg))

	c := chi.NewRouter()
	c.Use(chimiddleware.Recoverer, chimiddleware.Compress(5, types...))
	c.Mount("/v2", reg)
	return map[string]http.Handler{"gzhttp": gzhttp.GzipHandler(reg), "echo": e, "gin": g, "chi": c}
}

// ginGzip compresses like a hand-written gin middleware.
func ginGzip(c *gin.Context) {
	if !strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") || c.Request.Method == http.MethodHead {
		return
	}
	c.Header("Content-Encoding", "gzip")
	c.Header("Vary", "Accept-Encoding")
	z := gzip.NewWriter(c.Writer)
	defer z.Close()
	c.Writer = &ginGzipWriter{c.Writer, z}
	c.Next()
}

type ginGzipWriter struct {
	gin.ResponseWriter
	z *gzip.Writer
}

func (w *ginGzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *ginGzipWriter) Write(p []byte) (int, error) {
	w.Header().Del("Content-Length")
	return w.z.Write(p)
}

func (w *ginGzipWriter) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

// half is a backend whose blobs break off in the middle.
type half struct{ registry.Backend }

func (h half) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.OpenOptions) (*registry.Blob,
	error) {
	b, err := h.Backend.OpenBlob(ctx, repo, d, opts)
	if err == nil {
		b.Body = &halfBody{ReadSeekCloser: b.Body, left: b.Descriptor.Size / 2}
	}
	return b, err
}

type halfBody struct {
	io.ReadSeekCloser
	left int64
}

func (b *halfBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the disk is broken")
	}
	n, err := b.ReadSeekCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// TestCompressing pushes and pulls images through middleware that compresses, over each version of
// HTTP, with a client that accepts compressed responses and one that does not. A blob that breaks
// off must never look whole.
func TestCompressing(t *testing.T) {
	store := openStore(t, t.TempDir())
	broken := compressing(newRegistry(t, half{store}, nil))
	// Half of the blob is more than the buffers of all middleware, and compresses well.
	content := []byte(strings.Repeat("a blob that compresses well ", 100_000))
	d := digest.FromBytes(content)
	u, err := store.CreateUpload(t.Context(), "team/text", nil)
	require.NoError(t, err)
	_, err = u.Commit(t.Context(), d, &registry.Chunk{Length: int64(len(content)),
		Body: strings.NewReader(string(content))})
	require.NoError(t, err)

	for app, handler := range compressing(newRegistry(t, store, nil)) {
		for _, w := range wires() {
			t.Run(app+" "+w.name, func(t *testing.T) {
				server, transport := w.listen(t, handler)
				transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
				}
				var opts []name.Option
				if !w.tls {
					opts = append(opts, name.Insecure)
				}
				ref, err := name.ParseReference("example.com/team/app", opts...)
				require.NoError(t, err)
				img := randomImage(t)
				require.NoError(t, remote.Write(ref, img, remote.WithTransport(transport)))
				pull(t, ref, img, remote.WithTransport(transport))

				for _, encoding := range []string{"gzip", "identity"} {
					got, err := fetch(t, transport, server.URL, "team/text", d, encoding)
					require.NoError(t, err)
					require.Equal(t, d, digest.FromBytes(got))
				}
				server.Config.Handler = broken[app]
				for _, encoding := range []string{"gzip", "identity"} {
					_, err := fetch(t, transport, server.URL, "team/text", d, encoding)
					require.Error(t, err, "half of a blob looks whole")
				}
			})
		}
	}
}

// fetch gets a blob and expands it if it is compressed. It does not compare the content.
func fetch(t *testing.T, transport http.RoundTripper, base, repo string, d digest.Digest, encoding string) ([]byte,
	error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v2/"+repo+"/blobs/"+d.String(), nil)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	body, err := io.ReadAll(resp.Body) // as it was sent
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		return body, err
	}
	z, err := gzip.NewReader(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// TestCompressingPrograms has skopeo and docker push and pull through middleware that compresses.
func TestCompressingPrograms(t *testing.T) {
	docker, skopeo := harness.Docker(t), harness.NewProgram(t, "skopeo")
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	for app, handler := range compressing(newRegistry(t, nil, nil)) {
		t.Run(app, func(t *testing.T) {
			ref := serve(t, handler) + "/" + app + "/image:one"
			skopeo.Run(t, "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+ref)
			skopeo.Run(t, "copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+t.TempDir()+":back")
			docker.Run(t, "pull", ref)
			docker.Run(t, "tag", ref, ref+"-again")
			docker.Run(t, "push", ref+"-again")
			docker.Run(t, "rmi", ref, ref+"-again")
			docker.Run(t, "pull", ref+"-again")
		})
	}
}
