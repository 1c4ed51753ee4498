package replicate_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

func TestCopyImage(t *testing.T) {
	for name, p := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			image := registrytest.RandomImage(1, 5, 100_000)
			push(t, p.src, "team/app", image, "v1")
			res, err := replicate.Copy(t.Context(), p.dst, p.src, "team/app:v1", nil)
			require.NoError(t, err)
			require.Equal(t, image.Descriptor.Digest, res.Descriptor.Digest)
			requireImage(t, p.dst, "team/app", image)
			requireTag(t, p.dst, "team/app", "v1", image.Descriptor.Digest)
			require.Equal(t, 6, res.Progress.Blobs)
			require.Equal(t, res.Progress.BytesTotal, res.Progress.Copied)

			// Again, nothing crosses the line.
			res, err = replicate.Copy(t.Context(), p.dst, p.src, "team/app:v1", nil)
			require.NoError(t, err)
			require.Zero(t, res.Progress.Copied)
			require.Equal(t, res.Progress.BytesTotal, res.Progress.Skipped)
		})
	}
}

func TestCopyReferences(t *testing.T) {
	src := registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 1, 1000)
	d := image.Descriptor.Digest
	push(t, src, "a", image, "latest", "v1")
	for ref, row := range map[string]struct{ to, repo, tag string }{
		"a":                       {"", "a", "latest"},
		"a:v1":                    {"b", "b", "v1"},
		"a@" + string(d):          {"c", "c", ""},
		"a:v1@" + string(d):       {"d", "d", "v1"},
		"a:latest":                {"e/f:x", "e/f", "x"},
		"a:latest@" + string(d):   {"g@" + string(d), "g", ""},
		"a:absent@" + string(d):   {"", "a", "absent"}, // the digest counts
		"a@" + string(d) + "\x00": {},
	} {
		dst := registrytest.NewStore(t)
		_, err := replicate.Copy(t.Context(), dst, src, ref, &replicate.Options{To: row.to})
		if row.repo == "" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, ref)
		requireImage(t, dst, row.repo, image)
		if row.tag != "" {
			requireTag(t, dst, row.repo, row.tag, d)
		}
		tags := 0
		for _, err := range dst.Tags(t.Context(), row.repo, nil) {
			require.NoError(t, err)
			tags++
		}
		require.Equal(t, map[bool]int{true: 1}[row.tag != ""], tags)
	}
}

func TestCopyRefusesInvalidArguments(t *testing.T) {
	s := registrytest.NewStore(t)
	push(t, s, "a", registrytest.RandomImage(1, 0, 0), "latest")
	other := "a@" + string(digest.FromString("other"))
	for _, row := range []struct {
		ref  string
		opts replicate.Options
	}{
		{ref: ""}, {ref: "A"}, {ref: "a:"}, {ref: "a@"}, {ref: "a@sha256:12"}, {ref: "a:t:u"}, {ref: "http://host/a"},
		{ref: "a", opts: replicate.Options{To: ":x"}}, {ref: "a", opts: replicate.Options{To: other}},
		{ref: other, opts: replicate.Options{To: "a@" + string(digest.FromString("third"))}},
		{ref: "a", opts: replicate.Options{Parallel: -1}}, {ref: "a", opts: replicate.Options{Platforms: []string{"linux"}}},
		{ref: "a", opts: replicate.Options{Platforms: []string{"linux//v8"}}},
		{ref: "a", opts: replicate.Options{MountFrom: []string{"A"}}},
	} {
		_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), s, row.ref, &row.opts)
		require.Error(t, err, row)
	}
}

func TestCopyIndexes(t *testing.T) {
	for name, p := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			shared := registrytest.RandomImage(1, 3, 1000)
			list := platformIndex(t, "application/vnd.docker.distribution.manifest.list.v2+json",
				map[string]*registrytest.Content{"linux/amd64": shared, "linux/s390x": registrytest.RandomImage(3, 3, 1000)},
				"linux/amd64", "linux/s390x")
			nested := registrytest.Index(registrytest.Index(shared, registrytest.RandomImage(2, 3, 1000)), list, shared)
			push(t, p.src, "r", nested, "t")
			res, err := replicate.Copy(t.Context(), p.dst, p.src, "r:t", &replicate.Options{Parallel: 5})
			require.NoError(t, err)
			requireImage(t, p.dst, "r", nested)
			require.Equal(t, 6, res.Progress.Manifests)
			// The layers of the seeds overlap, so each of them is copied once.
			require.Equal(t, res.Progress.BytesTotal, res.Progress.Copied)
			require.Equal(t, res.Progress.BlobsTotal, res.Progress.Blobs)
		})
	}
}

func TestCopyArtifactsAndOtherContent(t *testing.T) {
	p := pairs(t)["remote to store"]
	ctx := t.Context()
	foreign := descriptorOf("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("foreign"))
	config, layer := []byte(`{"os":"windows"}`), registrytest.RandomBytes(1, 1000)
	content := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descriptorOf(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{foreign, descriptorOf(ocispec.MediaTypeImageLayer, layer)},
	}
	nonDistributable := sealed(t, content.MediaType, content, config, layer)
	cache := registrytest.RandomBytes(5, 1000)
	buildkit := sealed(t, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{descriptorOf("application/vnd.oci.image.layer.v1.tar+gzip", cache)},
	}, cache)
	artifact := sealed(t, "application/vnd.oci.artifact.manifest.v1+json", map[string]any{
		"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "a/b",
		"blobs": []ocispec.Descriptor{descriptorOf("text/plain", layer)},
	}, layer)
	empty := registrytest.Artifact("application/x", registrytest.RandomImage(9, 0, 0).Descriptor, nil)
	for tag, c := range map[string]*registrytest.Content{
		"foreign": nonDistributable, "cache": buildkit, "artifact": artifact, "empty": empty,
	} {
		push(t, p.src, "r", c, tag)
		_, err := replicate.Copy(ctx, p.dst, p.src, "r:"+tag, nil)
		require.NoError(t, err, tag)
		requireImage(t, p.dst, "r", c)
		requireTag(t, p.dst, "r", tag, c.Descriptor.Digest)
	}
	_, err := p.dst.StatManifest(ctx, "r", reference.Ref{Digest: registrytest.RandomImage(9, 0, 0).Descriptor.Digest}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown, "a subject is not followed")
}

func TestCopySHA512(t *testing.T) {
	for name, p := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			layer := registrytest.RandomBytes(1, 300_000)
			desc := descriptorOf(ocispec.MediaTypeImageLayer, layer)
			desc.Digest = digest.SHA512.FromBytes(layer)
			pushBlob(t, p.src, "r", desc.Digest, layer)
			config := []byte("{}")
			pushBlob(t, p.src, "r", digest.FromBytes(config), config)
			c := sealed(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
				Config: descriptorOf(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{desc},
			})
			d := digest.SHA512.FromBytes(c.Manifest)
			_, err := p.src.PutManifest(ctx, "r", c.Descriptor.MediaType, c.Manifest,
				&registry.PutOptions{Digest: d, Tags: []registry.TagPut{{Name: "t"}}})
			require.NoError(t, err)
			res, err := replicate.Copy(ctx, p.dst, p.src, "r:t", nil)
			require.NoError(t, err)
			require.Equal(t, d, res.Descriptor.Digest)
			require.Equal(t, layer, readBlob(t, p.dst, "r", desc.Digest))
			requireTag(t, p.dst, "r", "t", d)
		})
	}
}

func TestCopyWithinOneBackendMounts(t *testing.T) {
	c, store := remote(t)
	for name, b := range map[string]registry.Backend{"store": registrytest.NewStore(t), "remote": c, "disk": onDisk(t)} {
		image := registrytest.RandomImage(1, 3, 100_000)
		push(t, b, "a", image, "v1")
		res, err := replicate.Copy(t.Context(), b, b, "a:v1", &replicate.Options{To: "b"})
		require.NoError(t, err, name)
		require.Equal(t, res.Progress.BytesTotal, res.Progress.Mounted, name)
		requireImage(t, b, "b", image)
		res, err = replicate.Copy(t.Context(), b, b, "a:v1", &replicate.Options{To: "a:v2"})
		require.NoError(t, err)
		require.Equal(t, res.Progress.BytesTotal, res.Progress.Skipped, name)
		requireTag(t, b, "a", "v2", image.Descriptor.Digest)
	}
	// Two clients of one registry: it searches by itself, or is told where.
	image := registrytest.RandomImage(2, 3, 100_000)
	push(t, store, "a", image, "v1")
	res, err := replicate.Copy(t.Context(), c, store, "a:v1", &replicate.Options{To: "c"})
	require.NoError(t, err)
	require.Equal(t, res.Progress.BytesTotal, res.Progress.Mounted)
	res, err = replicate.Copy(t.Context(), c, store, "a:v1", &replicate.Options{To: "d", MountFrom: []string{"none", "c"}})
	require.NoError(t, err)
	require.Equal(t, res.Progress.BytesTotal, res.Progress.Mounted)
}

// TestCopyBetweenFilters: any Backend will do, also one whose type cannot be compared.
func TestCopyBetweenFilters(t *testing.T) {
	store := registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 2, 1000)
	push(t, store, "team/a/app", image, "v1")
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	src, err := filter.Sub(store, "team/a")
	require.NoError(t, err)
	sub, err := filter.Sub(reg.Backend(auth.Identity{Name: "ann"}), "team/b")
	require.NoError(t, err)
	dst := uncomparable{sub, nil}
	_, err = replicate.Copy(t.Context(), dst, src, "app:v1", nil)
	require.NoError(t, err)
	requireImage(t, store, "team/b/app", image)
	_, err = replicate.Copy(t.Context(), dst, dst, "app:v1", &replicate.Options{To: "other"})
	require.NoError(t, err)
	requireImage(t, store, "team/b/other", image)
}

type uncomparable struct {
	registry.Backend
	_ []int
}
