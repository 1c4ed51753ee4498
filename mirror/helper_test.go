package mirror_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// The upstream of a rig has this name, and its repositories this prefix in the mirror.
const (
	upName = "up.example"
	repo   = upName + "/a/app" // the repository a/app of the upstream
)

// rig is a mirror of one upstream.
type rig struct {
	t     testing.TB
	up    *upstreamtest.Server
	store *storage.Store
	m     *mirror.Mirror
}

// newRig returns a mirror of an upstream that misbehaves on request. change, unless nil, changes the
// options.
func newRig(t testing.TB, change func(u *mirror.Upstream, o *mirror.Options)) *rig {
	t.Helper()
	return newRigOf(t, upstreamtest.New(t), change)
}

// newRigInMemory is newRig without sockets, for testing/synctest.
func newRigInMemory(t testing.TB, change func(u *mirror.Upstream, o *mirror.Options)) *rig {
	t.Helper()
	up := upstreamtest.NewInMemory(t, "localhost") // a login accepts plain HTTP only there
	return newRigOf(t, up, func(u *mirror.Upstream, o *mirror.Options) {
		u.Transport = upstreamtest.Transport(t, up)
		if change != nil {
			change(u, o)
		}
	})
}

func newRigOf(t testing.TB, up *upstreamtest.Server, change func(u *mirror.Upstream, o *mirror.Options)) *rig {
	t.Helper()
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	r := &rig{t: t, up: up, store: store}
	r.restart(d, change)
	t.Cleanup(r.settle) // a fill that goes on logs
	return r
}

// restart replaces the mirror by a new one over the same storage.
func (r *rig) restart(d storage.Driver, change func(u *mirror.Upstream, o *mirror.Options)) {
	r.t.Helper()
	u := mirror.Upstream{Name: upName, URLs: []string{r.up.URL}}
	o := mirror.Options{Logger: slog.New(slog.NewTextHandler(r.t.Output(), nil))}
	if change != nil {
		change(&u, &o)
	}
	if r.m != nil {
		r.settle()
	}
	var err error
	r.m, err = mirror.New(r.t.Context(), r.store, d, []mirror.Upstream{u}, &o)
	require.NoError(r.t, err)
}

// image adds a random image with two layers to the repository a/app of the upstream.
func (r *rig) image(tag string) (ocispec.Descriptor, ocispec.Manifest) {
	return r.up.Image("a/app", tag, random(1000), random(50_000))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// requests returns the number of requests at the upstream: HEAD and GET of manifests, and GET of
// blobs.
func (r *rig) requests() [3]int {
	return [3]int{r.up.Count("HEAD", upstreamtest.Manifest), r.up.Count("GET", upstreamtest.Manifest),
		r.up.Count("GET", upstreamtest.Blob)}
}

func byTag(tag string) reference.Ref { return reference.Ref{Tag: tag} }

func byDigest(d digest.Digest) reference.Ref { return reference.Ref{Digest: d} }

// read reads a blob and verifies it.
func read(ctx context.Context, b registry.Backend, repo string, d digest.Digest) ([]byte, error) {
	blob, err := b.OpenBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(blob.Body)
	if err == nil {
		err = blob.Body.Close()
	}
	if err == nil && digest.FromBytes(content) != d {
		err = io.ErrUnexpectedEOF
	}
	return content, err
}

// pull pulls an image by tag as containerd does: HEAD of the tag, GET of the digest, GET of the
// blobs.
func (r *rig) pull(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	desc, err := r.m.StatManifest(ctx, repo, byTag(tag), nil)
	if err != nil {
		return desc, err
	}
	return desc, r.pullDigest(ctx, repo, desc.Digest)
}

// pullDigest pulls an image by digest.
func (r *rig) pullDigest(ctx context.Context, repo string, d digest.Digest) error {
	man, err := r.m.GetManifest(ctx, repo, byDigest(d))
	if err != nil {
		return err
	}
	for _, part := range partsOf(man.Content) {
		if _, err := read(ctx, r.m, repo, part.Digest); err != nil {
			return err
		}
	}
	r.settle()
	return nil
}

// settle waits until the store has what readers have got.
func (r *rig) settle() {
	for range 10_000 {
		if r.m.Stats().Fills == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Error("a fill does not end")
}

// handler returns a registry over the mirror.
func (r *rig) handler(opts *registry.Options) http.Handler {
	r.t.Helper()
	o := registry.Options{}
	if opts != nil {
		o = *opts
	}
	o.Resolve = r.m.Resolve
	reg, err := registry.New(r.m, &o)
	require.NoError(r.t, err)
	return r.m.Middleware(reg)
}

// serve starts a registry over the mirror.
func (r *rig) serve(opts *registry.Options) string {
	r.t.Helper()
	s := httptest.NewServer(r.handler(opts))
	r.t.Cleanup(s.Close)
	return s.URL
}

// record returns the response of a handler.
func record(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// do sends a request and returns the response with its body read.
func do(t testing.TB, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	var b strings.Builder
	_, err = io.Copy(&b, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, b.String()
}

// partsOf returns the configuration and the layers that an image names.
func partsOf(content []byte) []ocispec.Descriptor {
	var man ocispec.Manifest
	if json.Unmarshal(content, &man) != nil || man.Config.Digest == "" {
		return nil
	}
	return append([]ocispec.Descriptor{man.Config}, man.Layers...)
}
