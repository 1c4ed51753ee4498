package scrub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// onDrivers runs a test on each native driver.
func onDrivers(t *testing.T, test func(t *testing.T, d driver.Driver)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.New(nil)) })
	t.Run("disk", func(t *testing.T) {
		d, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		test(t, d)
	})
}

func newStore(t testing.TB, d driver.Driver, opts *storage.Options) *storage.Store {
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return s
}

// repairing are options of a run that repairs objects of any age.
var repairing = &scrub.Options{Repair: true, Settle: -1}

// reporting are options of a run that only reports, on objects of any age.
var reporting = &scrub.Options{Settle: -1}

// random returns n bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// tryBlob pushes a blob in chunks of a size.
func tryBlob(ctx context.Context, b registry.Backend, repo string, content []byte, chunk int) (ocispec.Descriptor,
	error) {
	u, err := b.CreateUpload(ctx, repo, nil)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for at := 0; at < len(content); at += chunk {
		part := content[at:min(at+chunk, len(content))]
		if _, err := u.Append(ctx, int64(at), int64(len(part)), bytes.NewReader(part)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	desc, err := u.Commit(ctx, digest.FromBytes(content), nil)
	desc.MediaType = ocispec.MediaTypeImageLayer
	return desc, err
}

func pushBlob(t testing.TB, b registry.Backend, repo string, content []byte) ocispec.Descriptor {
	t.Helper()
	desc, err := tryBlob(t.Context(), b, repo, content, 1<<30)
	require.NoError(t, err)
	return desc
}

func readBlob(ctx context.Context, b registry.Backend, repo string, d digest.Digest) ([]byte, error) {
	blob, err := b.OpenBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(blob.Body)
	return content, errors.Join(err, blob.Body.Close())
}

// image returns an image manifest. The first blob is the config.
func image(annotation string, subject *ocispec.Descriptor, blobs ...ocispec.Descriptor) []byte {
	b, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: blobs[0], Layers: blobs[1:], Subject: subject, Annotations: map[string]string{"a": annotation},
	})
	if err != nil {
		panic(err)
	}
	return b
}

func index(children ...ocispec.Descriptor) []byte {
	b, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
	if err != nil {
		panic(err)
	}
	return b
}

func put(t testing.TB, b registry.Backend, repo, mediaType string, content []byte, tags ...string) ocispec.Descriptor {
	t.Helper()
	o := &registry.PutOptions{}
	for _, n := range tags {
		o.Tags = append(o.Tags, registry.TagPut{Name: n})
	}
	res, err := b.PutManifest(t.Context(), repo, mediaType, content, o)
	require.NoError(t, err)
	return res.Descriptor
}

func putImage(t testing.TB, b registry.Backend, repo string, content []byte, tags ...string) ocispec.Descriptor {
	t.Helper()
	return put(t, b, repo, ocispec.MediaTypeImageManifest, content, tags...)
}

func byTag(t string) reference.Ref { return reference.Ref{Tag: t} }

func byDigest(d digest.Digest) reference.Ref { return reference.Ref{Digest: d} }

// pathOf returns the part of a key that stands for a digest.
func pathOf(d digest.Digest) string { return strings.Replace(string(d), ":", "/", 1) }

// collect returns the values of a sequence, which must have no error.
func collect[T any](t testing.TB, seq func(func(T, error) bool)) []T {
	t.Helper()
	all := []T{}
	for v, err := range seq {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// keys returns the keys of the objects below a prefix.
func keys(t testing.TB, d driver.Driver, prefix string) []string {
	var all []string
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		all = append(all, info.Key)
	}
	return all
}

// load returns the content of an object.
func load(t testing.TB, d driver.Driver, key string) []byte {
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

// store replaces an object, as damage or an older version would.
func store(t testing.TB, d driver.Driver, key string, content []byte) {
	_, err := d.Put(t.Context(), key, bytes.NewReader(content), nil)
	require.NoError(t, err)
}

// change replaces an object by what f makes of it.
func change(t testing.TB, d driver.Driver, key string, f func([]byte) []byte) {
	store(t, d, key, f(load(t, d, key)))
}

func remove(t testing.TB, d driver.Driver, key string) {
	require.NoError(t, d.Delete(t.Context(), key, ""))
}

// flip changes one bit in the middle.
func flip(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// flipLast changes one bit at the end, in the content of a record.
func flipLast(b []byte) []byte {
	b[len(b)-3] ^= 1
	return b
}

func truncate(b []byte) []byte { return b[:len(b)/2] }

// scrubbed runs a scrub, which must succeed.
func scrubbed(t testing.TB, s *storage.Store, d driver.Driver, opts *scrub.Options) *scrub.Report {
	t.Helper()
	r, err := scrub.Run(t.Context(), s, d, opts)
	require.NoError(t, err)
	require.NotContains(t, keys(t, d, "z/"), "z/run", "a run that has finished leaves no record")
	return r
}

// kinds returns the kinds of findings.
func kinds(fs []scrub.Finding) []storage.DamageKind {
	var all []storage.DamageKind
	for _, f := range fs {
		all = append(all, f.Kind)
	}
	return all
}

// fixture is a storage with one of everything.
type fixture struct {
	driver driver.Driver
	store  *storage.Store

	config, layer, chunked    ocispec.Descriptor
	manifest, second, listing ocispec.Descriptor
	signature                 ocispec.Descriptor
	contents                  map[digest.Digest][]byte
}

// newFixture pushes to "team/app": the image v1, the image v2, an index of both, and a signature of v1.
// "team/copy" has the image v1, too, and shares its data.
func newFixture(t testing.TB, d driver.Driver, opts *storage.Options) *fixture {
	f := &fixture{driver: d, store: newStore(t, d, opts), contents: map[digest.Digest][]byte{}}
	layer, chunked := random(1, 40_000), random(2, 150_000)
	for _, repo := range []string{"team/app", "team/copy"} {
		f.config = pushBlob(t, f.store, repo, []byte("{}"))
		f.layer = pushBlob(t, f.store, repo, layer)
		var err error
		f.chunked, err = tryBlob(t.Context(), f.store, repo, chunked, 70_000)
		require.NoError(t, err)
		first := image("1", nil, f.config, f.layer, f.chunked)
		f.manifest = putImage(t, f.store, repo, first, "v1", "latest")
		f.contents[f.manifest.Digest] = first
	}
	f.contents[f.config.Digest], f.contents[f.layer.Digest], f.contents[f.chunked.Digest] = []byte("{}"), layer, chunked
	second := image("2", nil, f.config, f.layer)
	f.second = putImage(t, f.store, "team/app", second, "v2")
	f.contents[f.second.Digest] = second
	list := index(f.manifest, f.second)
	f.listing = put(t, f.store, "team/app", ocispec.MediaTypeImageIndex, list, "all")
	f.contents[f.listing.Digest] = list
	signature := image("signature", &f.manifest, f.config)
	f.signature = putImage(t, f.store, "team/app", signature)
	f.contents[f.signature.Digest] = signature
	return f
}

// checkServed checks that nothing is served that does not have its digest, and that tags lead somewhere.
func (f *fixture) checkServed(t testing.TB) {
	t.Helper()
	checkServed(t, f.store, f.contents)
}

func checkServed(t testing.TB, s *storage.Store, contents map[digest.Digest][]byte) {
	t.Helper()
	ctx := t.Context()
	for repo, err := range s.Inventory().Repositories(ctx, "") {
		require.NoError(t, err)
		for d, want := range contents {
			got, err := readBlob(ctx, s, repo, d)
			if !errors.Is(err, registry.ErrBlobUnknown) {
				require.NoError(t, err, "%s@%s", repo, d)
				require.True(t, bytes.Equal(want, got), "%s@%s", repo, d)
			}
			m, err := s.GetManifest(ctx, repo, byDigest(d))
			if !errors.Is(err, registry.ErrManifestUnknown) {
				require.NoError(t, err, "%s@%s", repo, d)
				require.True(t, bytes.Equal(want, m.Content), "%s@%s", repo, d)
			}
		}
		for tag, err := range s.Tags(ctx, repo, nil) {
			if errors.Is(err, registry.ErrNameUnknown) {
				break
			}
			require.NoError(t, err)
			m, err := s.GetManifest(ctx, repo, byTag(tag))
			require.NoError(t, err, "%s:%s leads nowhere", repo, tag)
			require.Equal(t, m.Descriptor.Digest, digest.FromBytes(m.Content))
		}
	}
}

// pushAgain pushes everything again, as a client does: it pushes the blobs that a HEAD does not find, and
// then the manifests.
func (f *fixture) pushAgain(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	for _, repo := range []string{"team/app", "team/copy"} {
		for _, desc := range []ocispec.Descriptor{f.config, f.layer, f.chunked} {
			if _, err := f.store.StatBlob(ctx, repo, desc.Digest, nil); errors.Is(err, registry.ErrBlobUnknown) {
				pushBlob(t, f.store, repo, f.contents[desc.Digest])
			} else {
				require.NoError(t, err)
			}
		}
		putImage(t, f.store, repo, f.contents[f.manifest.Digest], "v1", "latest")
	}
	putImage(t, f.store, "team/app", f.contents[f.second.Digest], "v2")
	put(t, f.store, "team/app", ocispec.MediaTypeImageIndex, f.contents[f.listing.Digest], "all")
	putImage(t, f.store, "team/app", f.contents[f.signature.Digest])
}
