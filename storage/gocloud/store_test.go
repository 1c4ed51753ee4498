package gocloud_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
)

// image is an image that tests push: blobs and the manifest that references them.
type image struct {
	blobs    [][]byte
	manifest []byte
}

func newImage(seed uint64, sizes ...int) image {
	img := image{blobs: [][]byte{[]byte("{}")}}
	for i, size := range sizes {
		b := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(i)}).Read(b)
		img.blobs = append(img.blobs, b)
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	m.Annotations = map[string]string{"seed": fmt.Sprint(seed)}
	for i, b := range img.blobs {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b), Size: int64(len(b))}
		if m.Layers = append(m.Layers, desc); i == 0 {
			desc.MediaType, m.Config, m.Layers = ocispec.MediaTypeImageConfig, desc, nil
		}
	}
	img.manifest, _ = json.Marshal(m)
	return img
}

func pushBlob(ctx context.Context, b registry.Backend, repo string, content []byte, pieces int) error {
	u, err := b.CreateUpload(ctx, repo, nil)
	if err != nil {
		return err
	}
	for i := range pieces {
		part := content[len(content)*i/pieces : len(content)*(i+1)/pieces]
		if _, err := u.Append(ctx, u.Size(), int64(len(part)), bytes.NewReader(part)); err != nil {
			return err
		}
	}
	_, err = u.Commit(ctx, digest.FromBytes(content), nil)
	return err
}

func push(ctx context.Context, b registry.Backend, repo, tag string, img image, pieces int) error {
	for _, content := range img.blobs {
		if err := pushBlob(ctx, b, repo, content, pieces); err != nil {
			return err
		}
	}
	_, err := b.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, img.manifest,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	return err
}

// pull reads the manifest of a tag or digest and everything that it references.
func pull(ctx context.Context, b registry.Backend, repo string, ref reference.Ref) ([]byte, error) {
	m, err := b.GetManifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	var parsed ocispec.Manifest
	if err := json.Unmarshal(m.Content, &parsed); err != nil {
		return nil, err
	}
	for _, desc := range append(parsed.Layers, parsed.Config) {
		blob, err := b.OpenBlob(ctx, repo, desc.Digest, nil)
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(blob.Body)
		if err = errors.Join(err, blob.Body.Close()); err != nil {
			return nil, err
		}
		if digest.FromBytes(content) != desc.Digest {
			return nil, fmt.Errorf("%d bytes are not those of %s", len(content), desc.Digest)
		}
	}
	return m.Content, nil
}

// replicas returns Stores on a bucket, each on a driver of its own. On a local bucket, the drivers
// share their locks.
func (b bucket) replicas(t *testing.T, n int) []*storage.Store { return b.replicasWith(t, n, nil) }

func (b bucket) replicasWith(t *testing.T, n int, opts *storage.Options) (stores []*storage.Store) {
	on, locks := b.open(t), gocloud.NewLocks()
	t.Cleanup(func() { require.NoError(t, on.Close()) })
	for range n {
		s, err := storage.New(t.Context(), b.on(t, on, locks), opts)
		require.NoError(t, err)
		stores = append(stores, s)
	}
	return stores
}

// TestBackend runs the suite for Backends on the different kinds of buckets. A reopened Store has a
// driver of its own.
func TestBackend(t *testing.T) {
	for _, kind := range []struct {
		name    string
		history time.Duration
	}{{"mem", 0}, {"file", 0}, {"mem", time.Hour}} {
		t.Run(fmt.Sprint(kind.name, " history ", kind.history), func(t *testing.T) {
			t.Parallel()
			b := buckets[slices.IndexFunc(buckets, func(b bucket) bool { return b.name == kind.name })]
			var second registry.Backend
			registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
				stores := b.replicasWith(t, 2, &storage.Options{History: kind.history})
				second = stores[1]
				return stores[0]
			}, &registrytest.Options{
				LargeSize: 4 << 20, Appends: 200, Writers: 8, History: kind.history > 0,
				Reopen: func(*testing.T, registry.Backend) registry.Backend { return second },
			})
		})
	}
}

func TestStore(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		ctx := t.Context()
		s := b.replicas(t, 2)
		img := newImage(1, 100, 20_000, 3<<20)
		for i, tag := range []string{"v1.0..", "a__0x41__b", "Latest"} {
			require.NoError(t, push(ctx, s[i%2], "library/a__b.c", tag, img, 1+3*i))
		}
		for _, tag := range []string{"v1.0..", "a__0x41__b", "Latest"} {
			content, err := pull(ctx, s[1], "library/a__b.c", reference.Ref{Tag: tag})
			require.NoError(t, err)
			require.Equal(t, string(img.manifest), string(content))
		}
		var tags []string
		for tag, err := range s[0].Tags(ctx, "library/a__b.c", nil) {
			require.NoError(t, err)
			tags = append(tags, tag)
		}
		require.Equal(t, []string{"Latest", "a__0x41__b", "v1.0.."}, tags)
		require.NoError(t, s[0].DeleteManifest(ctx, "library/a__b.c", reference.Ref{Digest: digest.FromBytes(img.manifest)},
			nil))
		_, err := pull(ctx, s[1], "library/a__b.c", reference.Ref{Tag: "Latest"})
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		require.NoError(t, s[1].DeleteRepository(ctx, "library/a__b.c", nil))
		for repo, err := range s[0].Repositories(ctx, nil) {
			t.Error(repo, err)
		}
	})
}

// TestPushBesideDelete: while two replicas push and delete the same images, every visible image is
// complete.
func TestPushBesideDelete(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		s := b.replicas(t, 2)
		images := []image{newImage(1, 20_000, 100), newImage(2, 20_000, 200)}
		const repo = "a/b"
		expected := func(err error) bool {
			return err == nil || errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrNameUnknown) ||
				errors.Is(err, registry.ErrManifestBlobUnknown)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			wg.Go(func() {
				for range 15 {
					img, tag := images[r.IntN(2)], fmt.Sprint("t", r.IntN(3))
					var err error
					switch {
					case i < 5:
						err = push(t.Context(), s[i%2], repo, tag, img, 1)
					case i == 5:
						err = s[1].DeleteManifest(t.Context(), repo, reference.Ref{Digest: digest.FromBytes(img.manifest)}, nil)
					case i == 6:
						err = s[0].DeleteManifest(t.Context(), repo, reference.Ref{Tag: tag}, nil)
					default:
						err = s[1].DeleteRepository(t.Context(), repo, nil)
					}
					if !expected(err) {
						t.Error(i, err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, push(t.Context(), s[0], repo, "last", images[0], 1))
		for tag, err := range s[1].Tags(t.Context(), repo, nil) {
			require.NoError(t, err)
			_, err = pull(t.Context(), s[1], repo, reference.Ref{Tag: tag})
			require.NoError(t, err, tag)
		}
	})
}

// TestPushOfSameBlobByMany: many clients push the same image concurrently, each under a tag of its
// own.
func TestPushOfSameBlobByMany(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		s := b.replicas(t, 2)
		img := newImage(7, 50_000)
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				if err := push(t.Context(), s[i%2], "r", fmt.Sprint("t", i), img, 2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for tag, err := range s[0].Tags(t.Context(), "r", nil) {
			require.NoError(t, err)
			_, err = pull(t.Context(), s[1], "r", reference.Ref{Tag: tag})
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 24, n)
	})
}

// TestServeOverHTTP: clients can read a blob over HTTP completely and in part.
func TestServeOverHTTP(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		s := b.replicas(t, 1)[0]
		img := newImage(3, 1<<20)
		require.NoError(t, push(t.Context(), s, "r", "t", img, 1))
		r, err := registry.New(s, nil)
		require.NoError(t, err)
		server := httptest.NewServer(r)
		defer server.Close()
		req := httptest.NewRequestWithContext(t.Context(), "GET",
			server.URL+"/v2/r/blobs/"+digest.FromBytes(img.blobs[1]).String(), nil)
		req.RequestURI = ""
		for _, c := range []struct {
			ranges string
			want   []byte
		}{{"", img.blobs[1]}, {"bytes=500000-", img.blobs[1][500_000:]}, {"bytes=10-99", img.blobs[1][10:100]}} {
			if c.ranges != "" {
				req.Header.Set("Range", c.ranges)
			}
			resp, err := server.Client().Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.True(t, bytes.Equal(c.want, got), "range %q: %d bytes, status %d", c.ranges, len(got), resp.StatusCode)
		}
	})
}
