package mirror_test

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
)

// TestABlobAfterItsManifestWasMissing asks for a digest as containerd does: as a manifest, and after
// the 404 as a blob. What the mirror remembers of the first request says nothing about the second.
func TestABlobAfterItsManifestWasMissing(t *testing.T) {
	r := newRig(t, nil)
	d := r.up.Blob("a/app", random(1000)).Digest
	for range 2 {
		_, err := r.m.GetManifest(t.Context(), repo, byDigest(d))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	require.Equal(t, [3]int{0, 1, 0}, r.requests())
	_, err := r.m.StatBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	_, err = read(t.Context(), r.m, repo, d)
	require.NoError(t, err)

	missing := r.up.Manifest("a/app", "", "application/vnd.oci.image.index.v1+json",
		[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)).Digest
	_, err = read(t.Context(), r.m, repo, missing)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = r.m.GetManifest(t.Context(), repo, byDigest(missing))
	require.NoError(t, err)
}

// imageOf adds an image with these layers to a repository of the upstream.
func (r *rig) imageOf(name, tag string, layers ...ocispec.Descriptor) {
	config := r.up.Blob(name, []byte(`{"architecture":"amd64","os":"linux"}`))
	config.MediaType = ocispec.MediaTypeImageConfig
	content, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers})
	require.NoError(r.t, err)
	r.up.Manifest(name, tag, ocispec.MediaTypeImageManifest, content)
}

// TestNamesThatProveNothing: a registry accepts a manifest that names a blob which the repository
// lacks, if the media type is that of a foreign layer, or if an index names it. Such a manifest gives
// no access to the blob of another repository.
func TestNamesThatProveNothing(t *testing.T) {
	for _, mediaType := range []string{
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/x-anything",
	} {
		t.Run(mediaType, func(t *testing.T) {
			r := newRig(t, nil)
			private, evil := upName+"/private/app", upName+"/evil/app"
			layer := r.up.Blob("private/app", random(5000))
			r.imageOf("private/app", "v1", layer)
			_, err := r.pull(t.Context(), private, "v1")
			require.NoError(t, err)

			layer.MediaType = mediaType
			if mediaType == "application/x-anything" {
				r.up.Index("evil/app", "v1", layer)
			} else {
				r.imageOf("evil/app", "v1", layer)
			}
			_, err = r.m.GetManifest(t.Context(), evil, byTag("v1"))
			require.NoError(t, err)
			_, err = r.m.StatBlob(t.Context(), evil, layer.Digest, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
			_, err = read(t.Context(), r.m, evil, layer.Digest)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)

			layer.MediaType = ocispec.MediaTypeImageLayerGzip
			r.imageOf("evil/app", "v2", layer) // the upstream has it here, too, now
			_, err = r.m.GetManifest(t.Context(), evil, byTag("v2"))
			require.NoError(t, err)
			_, err = read(t.Context(), r.m, evil, layer.Digest)
			require.NoError(t, err)
		})
	}
}

// TestAWrongSizeConcernsItsRepository: a manifest that states a wrong size for a layer cannot be
// pulled. That says nothing about the same layer in another repository.
func TestAWrongSizeConcernsItsRepository(t *testing.T) {
	for _, wrong := range []int64{-1000, 1000} {
		r := newRig(t, nil)
		layer := random(5000)
		good := r.up.Blob("a/app", layer)
		bad := r.up.Blob("evil/app", layer)
		bad.Size += wrong
		r.imageOf("a/app", "v1", good)
		r.imageOf("evil/app", "v1", bad)
		_, err := r.pull(t.Context(), upName+"/evil/app", "v1")
		require.Error(t, err)
		_, err = r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
	}
}

// TestStalledRangesBlockNobody: clients that ask for small parts and do not read them leave requests to
// the upstream for others.
func TestStalledRangesBlockNobody(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.Requests = 8 })
	large, small := r.up.Blob("a/app", random(4<<20)), r.up.Blob("a/app", random(1000))
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		first := int64(2<<20 + i*10_000)
		blob, err := r.m.OpenBlob(ctx, repo, large.Digest,
			&registry.OpenOptions{Range: &registry.ByteRange{First: first, Length: 10_000}})
		require.NoError(t, err, "%d", i)
		defer func() { require.NoError(t, blob.Body.Close()) }()
		_, err = blob.Body.Seek(first, io.SeekStart)
		require.NoError(t, err)
		_, err = io.ReadFull(blob.Body, make([]byte, 10))
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := read(ctx, r.m, repo, small.Digest)
	require.NoError(t, err)
	require.LessOrEqual(t, r.up.Count("GET", upstreamtest.Blob), 4+2, "the parts, the fill, and the other blob")
}
