package libraries

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/registrykit/registry"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, ref string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	return r
}

func TestContainerRegistryImage(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		img, err := random.Image(100_000, 3)
		require.NoError(t, err)
		want, err := img.Digest()
		require.NoError(t, err)
		one := parse(t, r.Host+"/a/image:one")
		require.NoError(t, remote.Write(one, img))

		got, err := remote.Image(one)
		require.NoError(t, err)
		require.NoError(t, validate.Image(got)) // reads all of it, and compares digests and sizes
		require.NoError(t, remote.Tag(one.Context().Tag("two"), img))
		head, err := remote.Head(one.Context().Tag("two"))
		require.NoError(t, err)
		require.Equal(t, want, head.Digest)
		tags, err := remote.List(one.Context(), remote.WithPageSize(1))
		require.NoError(t, err)
		require.Equal(t, []string{"one", "two"}, tags)
		names, err := remote.Catalog(t.Context(), one.Context().Registry)
		require.NoError(t, err)
		require.Equal(t, []string{"a/image"}, names)

		require.NoError(t, remote.Delete(one))
		_, err = remote.Head(one)
		requireStatus(t, err, http.StatusNotFound)
		require.NoError(t, remote.Delete(one.Context().Digest(want.String())))
		_, err = remote.Image(one.Context().Tag("two"))
		requireStatus(t, err, http.StatusNotFound)
	})
}

// requireStatus requires an error of the registry whose status the library has understood.
func requireStatus(t *testing.T, err error, status int) {
	t.Helper()
	var response *transport.Error
	require.ErrorAs(t, err, &response)
	require.Equal(t, status, response.StatusCode)
}

// TestContainerRegistryMount copies between repositories: the library mounts blobs that it knows to
// be in the registry.
func TestContainerRegistryMount(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		img, err := random.Image(10_000, 3)
		require.NoError(t, err)
		require.NoError(t, remote.Write(parse(t, r.Host+"/mount/from:latest"), img))
		pushed, appended := r.Done(registry.OpCommit), r.Done(registry.OpAppend)
		require.Equal(t, 4, pushed) // the config and three layers

		from, err := remote.Image(parse(t, r.Host+"/mount/from:latest"))
		require.NoError(t, err)
		require.NoError(t, remote.Write(parse(t, r.Host+"/mount/to:latest"), from))
		require.Equal(t, 4, r.Done(registry.OpMountBlob))
		require.Equal(t, pushed, r.Done(registry.OpCommit))
		require.Equal(t, appended, r.Done(registry.OpAppend))
		to, err := remote.Image(parse(t, r.Host+"/mount/to:latest"))
		require.NoError(t, err)
		require.NoError(t, validate.Image(to))
	})
}

func TestContainerRegistryIndex(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		index, err := random.Index(1000, 2, 3)
		require.NoError(t, err)
		ref := parse(t, r.Host+"/a/index:latest")
		require.NoError(t, remote.WriteIndex(ref, index))
		got, err := remote.Index(ref)
		require.NoError(t, err)
		require.NoError(t, validate.Index(got))

		// An index of an index, and several tags in one call.
		outer := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: got})
		require.NoError(t, remote.MultiWrite(map[name.Reference]remote.Taggable{
			ref.Context().Tag("outer"): outer, ref.Context().Tag("again"): index,
		}))
		got, err = remote.Index(ref.Context().Tag("outer"))
		require.NoError(t, err)
		require.NoError(t, validate.Index(got))
	})
}

func TestContainerRegistryReferrers(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		subject, err := random.Image(1000, 1)
		require.NoError(t, err)
		ref := parse(t, r.Host+"/a/subject:latest")
		require.NoError(t, remote.Write(ref, subject))
		descriptor, err := partial.Descriptor(subject)
		require.NoError(t, err)

		var want []v1.Hash
		for _, kind := range []string{"application/vnd.example.signature", "application/vnd.example.parts"} {
			artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(kind))
			artifact, err := mutate.AppendLayers(artifact, static.NewLayer([]byte(kind), "text/plain"))
			require.NoError(t, err)
			attached := mutate.Subject(artifact, *descriptor).(v1.Image)
			digest, err := attached.Digest()
			require.NoError(t, err)
			require.NoError(t, remote.Write(ref.Context().Digest(digest.String()), attached))
			want = append(want, digest)
		}
		find := func(opts ...remote.Option) (found []v1.Hash) {
			index, err := remote.Referrers(ref.Context().Digest(descriptor.Digest.String()), opts...)
			require.NoError(t, err)
			manifest, err := index.IndexManifest()
			require.NoError(t, err)
			for _, m := range manifest.Manifests {
				found = append(found, m.Digest)
			}
			return found
		}
		require.ElementsMatch(t, want, find())
		require.Equal(t, want[1:], find(remote.WithFilter("artifactType", "application/vnd.example.parts")))
		require.Positive(t, r.Done(registry.OpReferrers))

		// Without the referrers API the library would keep a tag of its own.
		tags, err := remote.List(ref.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"latest"}, tags)
	})
}
