package registry_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// fixed is a Backend that answers each operation at once, so that the cost of a request is that of
// the HTTP layer. It has every manifest and every blob but one.
type fixed struct{ registry.Unimplemented }

const (
	fixedBlob    = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
	fixedMissing = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

var fixedContent = bytes.Repeat([]byte("x"), 500)

var fixedDescriptor = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: fixedBlob, Size: 500}

func (fixed) StatBlob(_ context.Context, _ string, d digest.Digest, _ *registry.StatOptions) (ocispec.Descriptor,
	error) {
	if d == fixedMissing {
		return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
	}
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: 500}, nil
}

func (fixed) OpenBlob(_ context.Context, _ string, d digest.Digest, _ *registry.OpenOptions) (*registry.Blob, error) {
	return &registry.Blob{Descriptor: ocispec.Descriptor{Digest: d, Size: 500},
		Body: fixedBody{bytes.NewReader(fixedContent)}}, nil
}

func (fixed) StatManifest(context.Context, string, reference.Ref, *registry.StatOptions) (ocispec.Descriptor, error) {
	return fixedDescriptor, nil
}

func (fixed) GetManifest(context.Context, string, reference.Ref) (*registry.Manifest, error) {
	return &registry.Manifest{Descriptor: fixedDescriptor, Content: fixedContent}, nil
}

func (fixed) PutManifest(context.Context, string, string, []byte, *registry.PutOptions) (registry.PutResult, error) {
	return registry.PutResult{Descriptor: fixedDescriptor}, nil
}

func (fixed) MountBlob(_ context.Context, _ string, d digest.Digest, o *registry.MountOptions) (ocispec.Descriptor,
	error) {
	return ocispec.Descriptor{Digest: d}, o.Allow(o.From)
}

func (fixed) CreateUpload(context.Context, string, *registry.UploadOptions) (registry.Upload, error) {
	return fixedUpload{}, nil
}

func (fixed) ResumeUpload(context.Context, string, string, *registry.ResumeOptions) (registry.Upload, error) {
	return fixedUpload{}, nil
}

// fixedBody is the body of a blob of fixed.
type fixedBody struct{ *bytes.Reader }

func (fixedBody) Close() error { return nil }

// fixedUpload is an upload of fixed. It discards what it receives.
type fixedUpload struct{}

func (fixedUpload) ID() string                   { return "0123456789abcdef" }
func (fixedUpload) Name() string                 { return "name" }
func (fixedUpload) Size() int64                  { return 0 }
func (fixedUpload) Cancel(context.Context) error { return nil }

func (fixedUpload) Append(_ context.Context, _, _ int64, r io.Reader) (int64, error) {
	return io.Copy(io.Discard, r)
}

func (fixedUpload) Commit(_ context.Context, d digest.Digest, last *registry.Chunk,
	_ ...digest.Digest) (ocispec.Descriptor, error) {
	if last != nil {
		if _, err := io.Copy(io.Discard, last.Body); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	return ocispec.Descriptor{Digest: d}, nil
}

// discarding is an http.ResponseWriter with deadlines that keeps only the status.
type discarding struct {
	header http.Header
	status int
}

func (w *discarding) Header() http.Header              { return w.header }
func (w *discarding) WriteHeader(status int)           { w.status = status }
func (w *discarding) Write(p []byte) (int, error)      { return len(p), nil }
func (w *discarding) SetReadDeadline(time.Time) error  { return nil }
func (w *discarding) SetWriteDeadline(time.Time) error { return nil }

// smallRequests are the requests of a pull and a push of a small image, in both forms.
var smallRequests = []struct {
	name, method, path string
	body               []byte
	status             int
}{
	{"HEAD manifest by tag", "HEAD", "/v2/a/b/manifests/latest", nil, 200},
	{"HEAD manifest by digest", "HEAD", "/v2/a/b/manifests/" + fixedBlob, nil, 200},
	{"GET manifest by tag", "GET", "/v2/a/b/manifests/latest", nil, 200},
	{"GET manifest by digest", "GET", "/v2/a/b/manifests/" + fixedBlob, nil, 200},
	{"HEAD blob", "HEAD", "/v2/a/b/blobs/" + fixedBlob, nil, 200},
	{"GET blob", "GET", "/v2/a/b/blobs/" + fixedBlob, nil, 200},
	{"HEAD missing blob", "HEAD", "/v2/a/b/blobs/" + fixedMissing, nil, 404},
	{"mount", "POST", "/v2/a/b/blobs/uploads/?mount=" + fixedBlob + "&from=c", nil, 201},
	{"start upload", "POST", "/v2/a/b/blobs/uploads/", nil, 202},
	{"append", "PATCH", "/v2/a/b/blobs/uploads/0123456789abcdef", fixedContent, 202},
	{"finish upload", "PUT", "/v2/a/b/blobs/uploads/0123456789abcdef?digest=" + fixedBlob, nil, 201},
	{"PUT manifest", "PUT", "/v2/a/b/manifests/latest", fixedContent, 201},
}

// BenchmarkRequest measures what the registry adds to net/http for each small request: nothing is
// sent, and the Backend answers at once.
func BenchmarkRequest(b *testing.B) {
	allow := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	for _, access := range []struct {
		name string
		opts *registry.Options
	}{{"open", nil}, {"authorized", &registry.Options{Authorizer: allow, Authenticator: fixedIdentity{}}}} {
		reg, err := registry.New(fixed{}, access.opts)
		require.NoError(b, err)
		for _, r := range smallRequests {
			b.Run(r.name+"/"+access.name, func(b *testing.B) {
				body := bytes.NewReader(r.body)
				req := httptest.NewRequest(r.method, r.path, body)
				if r.body == nil {
					req.Body = http.NoBody
				}
				w := &discarding{header: make(http.Header)}
				b.ReportAllocs()
				for b.Loop() {
					clear(w.header)
					body.Reset(r.body)
					reg.ServeHTTP(w, req)
				}
				require.Equal(b, r.status, w.status)
			})
		}
	}
}

// fixedIdentity is an Authenticator for which every caller is ann.
type fixedIdentity struct{}

func (fixedIdentity) Authenticate(*http.Request) (auth.Identity, error) {
	return auth.Identity{Name: "ann", Groups: []string{"team"}}, nil
}

func (fixedIdentity) Challenge(*http.Request, []auth.Access) string { return "Basic" }
