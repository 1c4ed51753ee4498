package storage_test

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

func TestBlobRoundTrip(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		for _, n := range []int{0, 1, storage.InlineSize - 1, storage.InlineSize, storage.InlineSize + 1, 300_000} {
			content := random(uint64(n), n)
			desc := pushBlob(t, s, "a/b", content)
			require.Equal(t, int64(n), desc.Size)
			got, err := readBlob(t.Context(), s, "a/b", desc.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got), "size %d", n)
			_, err = s.StatBlob(t.Context(), "a/c", desc.Digest, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown, "a blob belongs to the repository that it was pushed to")
			again := pushBlob(t, s, "a/b", content)
			require.Equal(t, desc, again)
			require.NoError(t, s.DeleteBlob(t.Context(), "a/b", desc.Digest, nil))
			require.ErrorIs(t, s.DeleteBlob(t.Context(), "a/b", desc.Digest, nil), registry.ErrBlobUnknown)
			require.Equal(t, desc, pushBlob(t, s, "a/b", content))
		}
	})
}

func TestBlobOfManyChunks(t *testing.T) {
	for _, size := range []int{1, 700, 5000, 20_000, 50_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := newMemory(t)
			s := newStore(t, d, nil)
			chunks := 3000
			if size > 5000 {
				chunks = 200
			}
			content := random(7, size*chunks)
			u, err := s.CreateUpload(t.Context(), "r", nil)
			require.NoError(t, err)
			for i := range chunks {
				// An unknown length must not matter.
				n, err := u.Append(t.Context(), int64(i*size), -1, bytes.NewReader(content[i*size:(i+1)*size]))
				require.NoError(t, err)
				require.EqualValues(t, size, n)
				if i%100 == 0 {
					u, err = s.ResumeUpload(t.Context(), "r", u.ID(), nil)
					require.NoError(t, err)
				}
			}
			desc, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
			require.NoError(t, err)
			got, err := readBlob(t.Context(), s, "r", desc.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
			objects, stored := 0, int64(0)
			for info, err := range d.List(t.Context(), "data/", nil) {
				require.NoError(t, err)
				objects++
				stored += info.Size
			}
			require.LessOrEqual(t, objects, 16, "segments of a blob of small chunks")
			require.LessOrEqual(t, stored, int64(len(content)), "no superfluous data remain")
			for info, err := range d.List(t.Context(), "r/", nil) {
				require.NoError(t, err)
				require.Less(t, info.Size, int64(storage.InlineSize+4096), "%s", info.Key)
			}
			for info := range d.List(t.Context(), "u/", nil) {
				require.Fail(t, "an upload remains", info.Key)
			}
		})
	}
}

func TestBlobSeek(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	content := random(1, 200_000)
	u, err := s.CreateUpload(t.Context(), "r", nil)
	require.NoError(t, err)
	for _, cut := range [][2]int{{0, 100_000}, {100_000, 150_000}, {150_000, 199_990}, {199_990, 200_000}} {
		_, err := u.Append(t.Context(), int64(cut[0]), int64(cut[1]-cut[0]), bytes.NewReader(content[cut[0]:cut[1]]))
		require.NoError(t, err)
	}
	desc, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
	require.NoError(t, err)
	blob, err := s.OpenBlob(t.Context(), "r", desc.Digest, nil)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at := r.Int64N(200_001)
		n := r.IntN(70_000)
		_, err := blob.Body.Seek(at, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(blob.Body, int64(n)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[at:min(int(at)+n, 200_000)], got))
	}
	require.NoError(t, blob.Body.Close())
}

func TestSHA512(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		for _, announced := range []digest.Algorithm{"", digest.SHA512} {
			content := random(uint64(len(announced)), 100_000)
			u, err := s.CreateUpload(t.Context(), "r", &registry.UploadOptions{Algorithm: announced})
			require.NoError(t, err)
			_, err = u.Append(t.Context(), 0, -1, bytes.NewReader(content))
			require.NoError(t, err)
			want := digest.NewDigestFromBytes(digest.SHA512, sum512(content))
			desc, err := u.Commit(t.Context(), want, nil)
			require.NoError(t, err)
			got, err := readBlob(t.Context(), s, "r", desc.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
		}
		_, err := s.CreateUpload(t.Context(), "r", &registry.UploadOptions{Algorithm: "md5"})
		require.ErrorIs(t, err, registry.ErrDigestInvalid)
	})
}

func sum512(b []byte) []byte { h := sha512.Sum512(b); return h[:] }

func TestManifest(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		config, layer := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", random(1, 50_000))
		content := image("1", nil, config, layer)
		_, err := s.GetManifest(ctx, "r", byDigest(digest.FromBytes(content)))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		require.Error(t, firstError(s.Tags(ctx, "r", nil)), "a repository exists once it has a manifest")

		desc := putImage(t, s, "r", content, tags("v1", "latest"))
		for _, ref := range []reference.Ref{byTag("v1"), byTag("latest"), byDigest(desc.Digest)} {
			m, err := s.GetManifest(ctx, "r", ref)
			require.NoError(t, err)
			require.Equal(t, content, m.Content)
			require.Equal(t, desc, m.Descriptor)
			got, err := s.StatManifest(ctx, "r", ref, nil)
			require.NoError(t, err)
			require.Equal(t, desc, got)
		}
		require.Equal(t, []string{"latest", "v1"}, collect(t, s.Tags(ctx, "r", nil)))
		require.Equal(t, []string{"v1"}, collect(t, s.Tags(ctx, "r", &registry.ListOptions{After: "latest"})))
		require.Equal(t, []string{"r"}, collect(t, s.Repositories(ctx, nil)))

		other := putImage(t, s, "r", image("2", nil, config, layer), tags("latest"))
		require.NoError(t, s.DeleteManifest(ctx, "r", byDigest(desc.Digest), nil))
		require.Equal(t, []string{"latest"}, collect(t, s.Tags(ctx, "r", nil)), "a tag that was moved away stays")
		got, err := s.StatManifest(ctx, "r", byTag("latest"), nil)
		require.NoError(t, err)
		require.Equal(t, other, got)
		require.ErrorIs(t, s.DeleteManifest(ctx, "r", byDigest(desc.Digest), nil), registry.ErrManifestUnknown)
		require.NoError(t, s.DeleteManifest(ctx, "r", byTag("latest"), nil))
		require.ErrorIs(t, s.DeleteManifest(ctx, "r", byTag("latest"), nil), registry.ErrManifestUnknown)
		require.Empty(t, collect(t, s.Tags(ctx, "r", nil)))
		_, err = s.GetManifest(ctx, "r", byDigest(other.Digest))
		require.NoError(t, err, "deleting a tag leaves the manifest")
		require.Equal(t, desc, putImage(t, s, "r", content, tags("v1")))
	})
}

func TestManifestRefusals(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	ctx := t.Context()
	config := pushBlob(t, s, "r", []byte("{}"))
	absent := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("x"), Size: 1}
	absent2 := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("y"), Size: 1}
	content := image("", nil, config, absent, absent2)
	_, err := s.PutManifest(ctx, "r", ocispec.MediaTypeImageManifest, content, tags("t"))
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	var e *registry.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []digest.Digest{absent.Digest, absent2.Digest}, e.Detail())
	_, err = s.GetManifest(ctx, "r", byDigest(digest.FromBytes(content)))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Empty(t, collect(t, s.Repositories(ctx, nil)), "a refused push leaves nothing")

	wrong := config
	wrong.Size++
	_, err = s.PutManifest(ctx, "r", ocispec.MediaTypeImageManifest, image("", nil, wrong), nil)
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	_, err = s.PutManifest(ctx, "r", ocispec.MediaTypeImageManifest, image("", nil, config),
		&registry.PutOptions{Digest: digest.FromString("else")})
	require.ErrorIs(t, err, registry.ErrDigestInvalid)
	_, err = s.PutManifest(ctx, "r", ocispec.MediaTypeImageIndex, image("", nil, config), nil)
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	_, err = s.PutManifest(ctx, "R!", ocispec.MediaTypeImageIndex, image("", nil, config), nil)
	require.ErrorIs(t, err, registry.ErrNameInvalid)

	sparse := newStore(t, newMemory(t), &storage.Options{Sparse: true})
	putImage(t, sparse, "r", content, tags("t"))
}

func TestTagIfAbsent(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		once := &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1", IfAbsent: true}}}
		first := image("1", nil, config)
		putImage(t, s, "r", first, once)
		putImage(t, s, "r", first, once)
		_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, image("2", nil, config), once)
		require.ErrorIs(t, err, registry.ErrTagExists)
		putImage(t, s, "r", image("2", nil, config), tags("v1"))
	})
}

func TestMount(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		for _, n := range []int{100, 100_000} {
			content := random(uint64(n), n)
			desc := pushBlob(t, s, "secret/one", content)
			refuse := func(string) error { return registry.ErrDenied }
			for _, opts := range []*registry.MountOptions{{From: "secret/one", Allow: refuse}, {Allow: refuse},
				{From: "other"}} {
				_, err := s.MountBlob(ctx, "to", desc.Digest, opts)
				require.ErrorIs(t, err, registry.ErrBlobUnknown)
			}
			_, err := s.StatBlob(ctx, "to", desc.Digest, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
			for i, opts := range []*registry.MountOptions{{From: "secret/one"}, nil} {
				repo := fmt.Sprint("to", i)
				got, err := s.MountBlob(ctx, repo, desc.Digest, opts)
				require.NoError(t, err)
				require.Equal(t, desc, got)
				require.NoError(t, s.DeleteBlob(ctx, "secret/one", desc.Digest, nil))
				b, err := readBlob(ctx, s, repo, desc.Digest)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, b))
				pushBlob(t, s, "secret/one", content)
			}
		}
		objects := 0
		for _, err := range d.List(ctx, "data/", nil) {
			require.NoError(t, err)
			objects++
		}
		require.Equal(t, 1, objects, "the same content in several repositories is stored once")
	})
}

func TestDeleteRepository(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "a/b", []byte("{}"))
		desc := putImage(t, s, "a/b", image("", nil, config), tags("v1", "v2"))
		putImage(t, s, "a/b", image("ref", &desc, config), nil)
		pushBlob(t, s, "a/b-c", []byte("{}"))
		putImage(t, s, "a/b-c", image("", nil, config), tags("v1"))
		require.NoError(t, s.DeleteRepository(ctx, "a/b", nil))
		require.ErrorIs(t, s.DeleteRepository(ctx, "a/b", nil), registry.ErrNameUnknown)
		require.Equal(t, []string{"a/b-c"}, collect(t, s.Repositories(ctx, nil)))
		for info, err := range d.List(ctx, "r/a.~b/", nil) {
			require.NoError(t, err)
			require.Fail(t, "an object remains", info.Key)
		}
		require.ErrorIs(t, firstError(s.Tags(ctx, "a/b", nil)), registry.ErrNameUnknown)
	})
}

func TestRepositoryAndTagNames(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		long := strings.Repeat("a/", 127) + "b"
		names := []string{"a", "a-b", "a.b", "a/b", "a/b/c", "a/b0", "a0", "a__b", "a_b", "b", strings.Repeat("x", 255), long}
		for _, name := range names {
			config := pushBlob(t, s, name, []byte("{}"))
			putImage(t, s, name, image("", &config, config), tags("V1", "v1", strings.Repeat("T", 128)))
			require.Equal(t, []string{strings.Repeat("T", 128), "V1", "v1"}, collect(t, s.Tags(t.Context(), name, nil)))
			require.Len(t, collect(t, s.Referrers(t.Context(), name, config.Digest, nil)), 1)
		}
		got := collect(t, s.Repositories(t.Context(), nil))
		require.ElementsMatch(t, names, got)
		require.IsIncreasing(t, got)
		for i, name := range got {
			require.Equal(t, got[i+1:], collect(t, s.Repositories(t.Context(), &registry.ListOptions{After: name})))
		}
	})
}

func TestLayoutVersion(t *testing.T) {
	d := newMemory(t)
	newStore(t, d, nil)
	_, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	for _, content := range []string{`{"version":2}`, `{"version":0}`, `nonsense`, ``} {
		_, err := d.Put(t.Context(), "layout", strings.NewReader(content), nil)
		require.NoError(t, err)
		_, err = storage.New(t.Context(), d, nil)
		require.ErrorContains(t, err, "layout")
	}
}
