package registry_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// files is a Backend that serves the same blobs from every repository, and nothing else.
// Unimplemented provides the other operations, which return ErrUnsupported.
type files struct {
	registry.Unimplemented
	content map[digest.Digest][]byte
}

func (f *files) StatBlob(_ context.Context, repo string, d digest.Digest,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	// Over HTTP, name and digest are valid. Go code may pass any value.
	if err := cmp.Or(registry.CheckName(repo), registry.CheckDigest(d)); err != nil {
		return ocispec.Descriptor{}, err
	}
	content, ok := f.content[d]
	if !ok {
		return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
	}
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}, nil
}

func (f *files) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	_ *registry.OpenOptions) (*registry.Blob, error) {
	desc, err := f.StatBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	return &registry.Blob{Descriptor: desc, Body: body{bytes.NewReader(f.content[d])}}, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// A Backend embeds Unimplemented and defines the methods that it serves.
func ExampleBackend() {
	d := digest.FromString("hello")
	reg, err := registry.New(&files{content: map[digest.Digest][]byte{d: []byte("hello")}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	for _, path := range []string{
		"/v2/any/name/blobs/" + string(d), "/v2/app/blobs/" + string(digest.FromString("")), "/v2/app/tags/list",
	} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Printf("%d %.33s\n", res.StatusCode, body)
	}
	// Output:
	// 200 hello
	// 404 {"errors":[{"code":"BLOB_UNKNOWN"
	// 405 {"errors":[{"code":"UNSUPPORTED",
}

// errQuota is an error of the host. WithMessage adds the repository in each response.
var errQuota = registry.NewError("QUOTA_EXCEEDED", http.StatusForbidden, "the quota is used up")

// An interceptor refuses uploads to a repository that has used up its quota.
func ExampleNewError() {
	ctx := context.Background()
	b := registry.Intercept(newMemory(), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		if op.Kind == registry.OpCreateUpload && op.Repository == "full" {
			return errQuota.WithMessage("the quota of " + op.Repository + " is used up")
		}
		return next(ctx)
	})
	_, err := registry.PushBlob(ctx, b, "full", "", strings.NewReader("hello"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, errQuota), errors.Is(err, registry.ErrDenied))
	// Output:
	// QUOTA_EXCEEDED: the quota of full is used up
	// true false
}

func ExampleCheckName() {
	err := registry.CheckName("a/../b")
	fmt.Println(errors.Is(err, registry.ErrNameInvalid))
	fmt.Println(err)
	// Output:
	// true
	// NAME_INVALID: invalid repository name: "a/../b": misplaced separator "." at byte 2
}
