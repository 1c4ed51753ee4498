package mirror_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/storage/memory"
)

// imageOf adds an image with a configuration to the upstream.
func imageOf(up *upstreamtest.Server, tag, config string, layer []byte) (ocispec.Descriptor, ocispec.Manifest) {
	man := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: up.Blob("a/app", []byte(config)), Layers: []ocispec.Descriptor{up.Blob("a/app", layer)}}
	man.Config.MediaType = ocispec.MediaTypeImageConfig
	content, _ := json.Marshal(man)
	return up.Manifest("a/app", tag, ocispec.MediaTypeImageManifest, content), man
}

// TestRulesHoldForEverything: a repository that is not allowed has nothing: no manifest, blob, list
// or referrer, cached or not, and the upstream is not asked.
func TestRulesHoldForEverything(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) {
		u.Allow, u.Deny = []string{"a/**"}, []string{"a/secret", "**:edge"}
	})
	for _, name := range []string{"a/secret", "b/app"} {
		desc, man := r.up.Image(name, "v1", random(100))
		repo := upName + "/" + name
		_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.StatBlob(t.Context(), repo, man.Layers[0].Digest, nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = collect(r.m.Tags(t.Context(), repo, nil))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = collect(r.m.Referrers(t.Context(), repo, desc.Digest, nil))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = collect(r.m.History(t.Context(), repo, nil))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.Refresh(t.Context(), repo, "v1")
		require.ErrorIs(t, err, registry.ErrDenied)
	}
	require.Zero(t, r.up.Count("", ""))

	desc, _ := r.image("v1")
	r.up.Tag("a/app", "edge", desc.Digest)
	_, err := r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	_, err = r.pull(t.Context(), repo, "edge")
	require.ErrorIs(t, err, registry.ErrDenied)
	tags, err := collect(r.m.Tags(t.Context(), repo, nil))
	require.NoError(t, err)
	require.Equal(t, []string{"v1"}, tags)

	base := r.serve(nil)
	res, body := do(t, "GET", base+"/v2/"+upName+"/b/app/manifests/v1")
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, body, "DENIED")
	require.Contains(t, body, "a rule of this mirror does not allow the repository b/app")
}

// TestRulesAboutPlatforms: an index is served whole; its images only of allowed platforms, by digest
// and by tag, by HEAD and GET, also when they were pulled before.
func TestRulesAboutPlatforms(t *testing.T) {
	d := memory.New(nil)
	linux := func(u *mirror.Upstream, _ *mirror.Options) { u.Platforms = []string{"linux/amd64", "linux/arm64/v8"} }
	r := newRig(t, linux)
	r.restart(d, linux)
	amd, _ := imageOf(r.up, "amd", `{"os":"linux","architecture":"amd64"}`, random(100))
	arm, _ := imageOf(r.up, "", `{"os":"linux","architecture":"arm64"}`, random(100))
	win, _ := imageOf(r.up, "win", `{"os":"windows","architecture":"amd64"}`, random(100))
	lie, _ := imageOf(r.up, "", `{"os":"windows","architecture":"amd64"}`, random(100))
	attestation, _ := imageOf(r.up, "", `{"os":"unknown","architecture":"unknown"}`, random(100))
	arm.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	amd.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	win.Platform = &ocispec.Platform{OS: "windows", Architecture: "amd64"}
	index := r.up.Index("a/app", "v1", amd, arm, win, attestation)
	artifact := r.up.Referrer("a/app", index, "application/vnd.test")
	check := func() {
		t.Helper()
		for _, desc := range []ocispec.Descriptor{index, amd, arm, attestation, artifact} {
			_, err := r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest))
			require.NoError(t, err)
			_, err = r.m.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil)
			require.NoError(t, err)
		}
		for _, desc := range []ocispec.Descriptor{win, lie} {
			_, err := r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest))
			require.ErrorIs(t, err, registry.ErrDenied)
			require.ErrorContains(t, err, "windows/amd64")
			_, err = r.m.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil)
			require.ErrorIs(t, err, registry.ErrDenied)
		}
		_, err := r.m.GetManifest(t.Context(), repo, byTag("win"))
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.StatManifest(t.Context(), repo, byTag("win"), nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
		require.NoError(t, err)
	}
	check()
	r.settle()
	check()
	r.restart(d, linux)
	check()
}

// TestRulesAboutSize: neither the blob nor an image with it is served.
func TestRulesAboutSize(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.MaxBlobSize = 10_000 })
	small, large := random(10_000), random(10_001)
	r.up.Image("a/app", "small", small)
	_, man := r.up.Image("a/app", "large", large)
	_, err := r.pull(t.Context(), repo, "small")
	require.NoError(t, err)
	_, err = r.m.StatBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.ErrorIs(t, err, registry.ErrDenied, "the size is that of the upstream")
	_, err = r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.GetManifest(t.Context(), repo, byTag("large"))
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.ErrorIs(t, err, registry.ErrDenied, "the size is that of a manifest")
	require.ErrorContains(t, err, "10001")
}

// TestRulesAboutAge: a young image is refused until it is old enough.
func TestRulesAboutAge(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.MinAge = time.Hour })
	config := func(age time.Duration) string {
		created := time.Now().Add(-age).Format(time.RFC3339Nano)
		return fmt.Sprintf(`{"os":"linux","architecture":"amd64","created":%q}`, created)
	}
	imageOf(r.up, "old", config(2*time.Hour), random(100))
	imageOf(r.up, "young", config(time.Minute), random(100))
	_, err := r.pull(t.Context(), repo, "old")
	require.NoError(t, err)
	_, err = r.pull(t.Context(), repo, "young")
	require.ErrorIs(t, err, registry.ErrDenied)
	var visible *registry.Error
	require.ErrorAs(t, err, &visible)
	require.Greater(t, visible.RetryAfter(), 50*time.Minute)
}

// TestRulesReadEveryConfiguration: a configuration that rules cannot read does not make an image
// exempt from them.
func TestRulesReadEveryConfiguration(t *testing.T) {
	windows := `"architecture":"amd64","os":"windows"`
	for name, config := range map[string]string{
		"large":     `{` + windows + `}` + strings.Repeat(" ", 4<<20),
		"bad time":  `{` + windows + `,"created":"yesterday"}`,
		"truncated": `{` + windows,
		"trailing":  `{` + windows + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.Platforms = []string{"linux/amd64"} })
			imageOf(r.up, "v1", config, random(10))
			for range 2 {
				_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
				require.ErrorIs(t, err, registry.ErrDenied)
				_, err = r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
				require.ErrorIs(t, err, registry.ErrDenied)
			}
		})
	}
}

// TestHeadAndGetAgreeAboutSizes: MaxBlobSize holds for a HEAD of a manifest, too.
func TestHeadAndGetAgreeAboutSizes(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.MaxBlobSize = 2000 })
	desc, _ := r.image("v1")
	_, err := r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.ErrorIs(t, err, registry.ErrDenied)
}
