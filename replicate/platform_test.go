package replicate_test

import (
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

func TestCopyPlatforms(t *testing.T) {
	order := []string{"linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "windows/amd64", "none"}
	images := map[string]*registrytest.Content{}
	for i, name := range order {
		images[name] = registrytest.RandomImage(uint64(10*i+1), 1, 1000)
	}
	for _, mediaType := range []string{
		ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json",
	} {
		src := registrytest.NewStore(t)
		index := platformIndex(t, mediaType, images, order...)
		push(t, src, "r", index, "v1")
		push(t, src, "r", registrytest.Index(index), "nested")
		for _, row := range []struct {
			platforms []string
			want      []string
		}{
			{[]string{"linux/amd64"}, []string{"linux/amd64"}},
			{[]string{"Linux/AMD64/v1", "windows/amd64"}, []string{"linux/amd64", "windows/amd64"}},
			{[]string{"linux/arm"}, []string{"linux/arm/v6", "linux/arm/v7"}},
			{[]string{"linux/arm/7"}, []string{"linux/arm/v7"}},
			{[]string{"linux/arm64"}, []string{"linux/arm64/v8"}},
			{[]string{"linux/arm64/8", "linux/arm64"}, []string{"linux/arm64/v8"}},
			{[]string{"linux/amd64/v2"}, nil}, {[]string{"linux/amd64", "linux/s390x"}, nil},
			{[]string{"windows(10)/amd64"}, nil},
		} {
			for _, tag := range []string{"v1", "nested"} {
				dst := registrytest.NewStore(t)
				opts := &replicate.Options{Platforms: row.platforms}
				res, err := replicate.Copy(t.Context(), dst, src, "r:"+tag, opts)
				if row.want == nil {
					require.ErrorContains(t, err, "linux/arm64/v8", "the error lists what there is")
					requireTag(t, dst, "r", tag, "")
					continue
				}
				require.NoError(t, err)
				require.Equal(t, 2*(len(row.want)+1), res.Progress.Blobs)
				requireTag(t, dst, "r", tag, res.Descriptor.Digest)
				m, err := dst.GetManifest(t.Context(), "r", reference.Ref{Digest: index.Descriptor.Digest})
				require.NoError(t, err)
				require.Equal(t, index.Manifest, m.Content)
				for _, name := range append(row.want, "none") {
					requireImage(t, dst, "r", images[name])
				}
				missing, err := replicate.Verify(t.Context(), dst, "r:"+tag, opts)
				require.NoError(t, err)
				require.Empty(t, missing)
				missing, err = replicate.Verify(t.Context(), dst, "r:"+tag, nil)
				require.NoError(t, err)
				require.Len(t, missing, 5-len(row.want))
			}
		}
	}
}

// TestCopyOfAnImageIgnoresPlatforms: the caller has chosen already.
func TestCopyOfAnImageIgnoresPlatforms(t *testing.T) {
	p := pairs(t)["remote to store"]
	image := registrytest.RandomImage(1, 1, 1000)
	push(t, p.src, "r", image, "v1")
	_, err := replicate.Copy(t.Context(), p.dst, p.src, "r:v1", &replicate.Options{Platforms: []string{"plan9/mips"}})
	require.NoError(t, err)
	requireImage(t, p.dst, "r", image)
}

func TestCopyPlatformsWithAttestations(t *testing.T) {
	amd, arm := registrytest.RandomImage(1, 1, 100), registrytest.RandomImage(11, 1, 100)
	ofAMD, ofARM := registrytest.RandomImage(21, 1, 100), registrytest.RandomImage(31, 1, 100)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	all := map[*registrytest.Content]*registrytest.Content{amd: nil, arm: nil, ofAMD: amd, ofARM: arm}
	for _, c := range []*registrytest.Content{amd, arm, ofAMD, ofARM} {
		desc := c.Descriptor
		desc.Platform = &ocispec.Platform{OS: "linux", Architecture: map[bool]string{true: "amd64", false: "arm64"}[c == amd]}
		if about := all[c]; about != nil {
			desc.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
			desc.Annotations = map[string]string{
				"vnd.docker.reference.type":   "attestation-manifest",
				"vnd.docker.reference.digest": string(about.Descriptor.Digest),
			}
		}
		index.Manifests = append(index.Manifests, desc)
	}
	content := sealed(t, index.MediaType, index)
	content.Children = []*registrytest.Content{amd, arm, ofAMD, ofARM}
	src := registrytest.NewStore(t)
	push(t, src, "r", content, "v1")
	for _, referrers := range []bool{false, true} {
		dst := registrytest.NewStore(t)
		_, err := replicate.Copy(t.Context(), dst, src, "r:v1",
			&replicate.Options{Platforms: []string{"linux/amd64"}, Referrers: referrers})
		require.NoError(t, err)
		requireImage(t, dst, "r", amd)
		_, err = dst.StatManifest(t.Context(), "r", reference.Ref{Digest: ofAMD.Descriptor.Digest}, nil)
		require.Equal(t, referrers, err == nil)
		_, err = dst.StatManifest(t.Context(), "r", reference.Ref{Digest: ofARM.Descriptor.Digest}, nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
}

// TestCopyPlatformsToARegistryThatWantsAll: the error says what to do.
func TestCopyPlatformsToARegistryThatWantsAll(t *testing.T) {
	src := registrytest.NewStore(t)
	images := map[string]*registrytest.Content{
		"linux/amd64": registrytest.RandomImage(1, 1, 100), "linux/arm64": registrytest.RandomImage(11, 1, 100),
	}
	push(t, src, "r", platformIndex(t, ocispec.MediaTypeImageIndex, images, "linux/amd64", "linux/arm64"), "v1")
	dst, _ := remote(t)
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Platforms: []string{"linux/amd64"}})
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	require.ErrorContains(t, err, "the destination refuses an index of which not all platforms are copied")
	requireTag(t, dst, "r", "v1", "")
}

// TestCopyAllAfterSomePlatforms: what was left out comes later, and then nothing is missing.
func TestCopyAllAfterSomePlatforms(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	images := map[string]*registrytest.Content{
		"linux/amd64": registrytest.RandomImage(1, 1, 100), "linux/arm64": registrytest.RandomImage(11, 1, 100),
	}
	nested := registrytest.Index(platformIndex(t, ocispec.MediaTypeImageIndex, images, "linux/amd64", "linux/arm64"))
	push(t, src, "r", nested, "v1")
	for _, platforms := range [][]string{{"linux/amd64"}, {"linux/arm64"}, nil} {
		_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Platforms: platforms})
		require.NoError(t, err)
		requireTag(t, dst, "r", "v1", nested.Descriptor.Digest)
	}
	missing, err := replicate.Verify(t.Context(), dst, "r:v1", nil)
	require.NoError(t, err)
	require.Empty(t, missing)

	// An image whose layers came after its manifest counts as missing to an index, until it is pushed again.
	_, err = dst.PutManifest(t.Context(), "s", ocispec.MediaTypeImageManifest, images["linux/amd64"].Manifest,
		&registry.PutOptions{Sparse: true})
	require.NoError(t, err)
	_, err = replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{To: "s"})
	require.NoError(t, err)
	requireImage(t, dst, "s", nested)
}
