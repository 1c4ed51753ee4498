package mirror_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
)

// TestPullsCostTheUpstreamOnce counts the requests of pulls as containerd makes them.
func TestPullsCostTheUpstreamOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		desc, man := r.image("v1")
		got, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, desc.Digest, got.Digest)
		require.Equal(t, [3]int{1, 1, 3}, r.requests(), "the first pull")

		r.up.Forget()
		for range 50 {
			_, err := r.pull(t.Context(), repo, "v1")
			require.NoError(t, err)
			_, err = r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.NoError(t, err)
			_, err = r.m.StatBlob(t.Context(), repo, man.Layers[0].Digest, nil)
			require.NoError(t, err)
		}
		require.Zero(t, r.up.Count("", ""), "within the TTL")

		time.Sleep(mirror.DefaultTagTTL)
		for range 50 {
			_, err := r.pull(t.Context(), repo, "v1")
			require.NoError(t, err)
		}
		require.Equal(t, [3]int{1, 0, 0}, r.requests(), "after the TTL")

		time.Sleep(mirror.DefaultTagTTL)
		r.up.Forget()
		r.up.Break(upstreamtest.Match{}, upstreamtest.Delay(time.Second))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := r.pull(t.Context(), repo, "v1")
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.Equal(t, [3]int{1, 0, 0}, r.requests(), "after the TTL, all at once")
	})
}

// TestColdPullsShareRequests: many clients pull the same new image at once.
func TestColdPullsShareRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		r.up.Break(upstreamtest.Match{Kind: upstreamtest.Manifest}, upstreamtest.Delay(time.Second))
		desc, _ := r.image("v1")
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
				require.NoError(t, err)
				require.Equal(t, desc.Digest, man.Descriptor.Digest)
			})
		}
		wg.Wait()
		require.Equal(t, [3]int{1, 1, 0}, r.requests())
	})
}

// TestHeadsCostHeads: a client that only wants to know whether something changed costs no GET, which
// Docker Hub counts.
func TestHeadsCostHeads(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.TagTTL = -1 })
	desc, man := r.image("v1")
	for range 3 {
		got, err := r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
		require.NoError(t, err)
		require.Equal(t, desc.Digest, got.Digest)
		require.Equal(t, desc.Size, got.Size)
		require.Equal(t, desc.MediaType, got.MediaType)
	}
	got, err := r.m.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil)
	require.NoError(t, err)
	require.Equal(t, desc.Digest, got.Digest)
	require.Equal(t, [3]int{4, 0, 0}, r.requests())

	// The size of a blob is asked for only if no manifest states it.
	_, err = r.m.StatBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.NoError(t, err)
	require.Equal(t, 1, r.up.Count("HEAD", upstreamtest.Blob))
	_, err = r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest))
	require.NoError(t, err)
	for _, part := range append(man.Layers, man.Config) {
		got, err := r.m.StatBlob(t.Context(), repo, part.Digest, nil)
		require.NoError(t, err)
		require.Equal(t, part.Size, got.Size)
	}
	require.Equal(t, 1, r.up.Count("HEAD", upstreamtest.Blob))
	require.Zero(t, r.up.Count("GET", upstreamtest.Blob))
}

// TestTagFollowsTheUpstream: a tag that moves is noticed after its TTL, and its manifest is fetched
// once. Both manifests stay available by digest.
func TestTagFollowsTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		first, _ := r.image("v1")
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		second, _ := r.image("v1")
		got, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, first.Digest, got.Digest, "within the TTL")
		time.Sleep(mirror.DefaultTagTTL)
		r.up.Forget()
		for range 5 {
			man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.NoError(t, err)
			require.Equal(t, second.Digest, man.Descriptor.Digest)
		}
		require.Equal(t, [3]int{1, 1, 0}, r.requests())
		stored, err := r.store.StatManifest(t.Context(), repo, byTag("v1"), nil)
		require.NoError(t, err)
		require.Equal(t, second.Digest, stored.Digest)

		// The tag moves back: nothing is fetched.
		r.up.Tag("a/app", "v1", first.Digest)
		time.Sleep(mirror.DefaultTagTTL)
		r.up.Forget()
		man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.NoError(t, err)
		require.Equal(t, first.Digest, man.Descriptor.Digest)
		require.Equal(t, [3]int{1, 0, 0}, r.requests())
	})
}

// TestTagTTLs: the first pattern that matches decides; Forever means that the upstream is asked at
// most once, also over restarts.
func TestTagTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ttls := func(u *mirror.Upstream, _ *mirror.Options) {
			u.TagTTLs = []mirror.TagTTL{
				{Pattern: "a/app:v*", TTL: mirror.Forever}, {Pattern: "a/*:edge", TTL: -1}, {Pattern: "**", TTL: time.Hour},
			}
		}
		r := newRigInMemory(t, ttls)
		for _, tag := range []string{"v1", "edge", "latest"} {
			r.image(tag)
			_, err := r.pull(t.Context(), repo, tag)
			require.NoError(t, err)
		}
		for _, row := range []struct {
			sleep time.Duration
			tag   string
			heads int
		}{
			{0, "v1", 0}, {0, "edge", 1}, {0, "latest", 0},
			{50 * time.Minute, "latest", 0}, {11 * time.Minute, "latest", 1}, {1000 * time.Hour, "v1", 0},
		} {
			time.Sleep(row.sleep)
			r.up.Forget()
			_, err := r.pull(t.Context(), repo, row.tag)
			require.NoError(t, err)
			require.Equal(t, [3]int{row.heads, 0, 0}, r.requests(), "%v", row)
		}
	})
}

// TestManifestKeepsTheTagOfAnEarlierHead: containerd asks HEAD by tag and GET by digest. The store
// has both afterwards, so that the tag can be served when the upstream is gone.
func TestManifestKeepsTheTagOfAnEarlierHead(t *testing.T) {
	r := newRig(t, nil)
	desc, _ := r.image("v1")
	r.up.Tag("a/app", "latest", desc.Digest)
	for _, tag := range []string{"v1", "latest"} {
		_, err := r.m.StatManifest(t.Context(), repo, byTag(tag), nil)
		require.NoError(t, err)
	}
	require.NoError(t, r.pullDigest(t.Context(), repo, desc.Digest))
	for _, tag := range []string{"v1", "latest"} {
		stored, err := r.store.StatManifest(t.Context(), repo, byTag(tag), nil)
		require.NoError(t, err)
		require.Equal(t, desc.Digest, stored.Digest)
	}
}

// TestMissingIsRememberedShortly: what does not exist is asked for once in a while, and at once
// after Refresh.
func TestMissingIsRememberedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		absent := digest.FromString("absent")
		ask := func() {
			_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			_, err = r.m.GetManifest(t.Context(), repo, byDigest(absent))
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			_, err = r.m.OpenBlob(t.Context(), repo, absent, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
		}
		for range 10 {
			ask()
		}
		n := r.up.Count("", "")
		require.LessOrEqual(t, n, 3)
		time.Sleep(mirror.DefaultNegativeTTL)
		ask()
		require.Equal(t, 2*n, r.up.Count("", ""))

		desc, _ := r.image("v1")
		_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.ErrorIs(t, err, registry.ErrManifestUnknown, "still remembered")
		changed, err := r.m.Refresh(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, 1, changed)
		man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.NoError(t, err)
		require.Equal(t, desc.Digest, man.Descriptor.Digest)
	})
}

// TestNegativeTTLCanBeOff: a negative NegativeTTL remembers nothing.
func TestNegativeTTLCanBeOff(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.NegativeTTL = -1 })
	for range 3 {
		_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	require.Equal(t, [3]int{3, 0, 0}, r.requests())
}

// TestIndexIsWholeAndSparse: an index is served byte for byte, and only the images that are pulled
// are stored.
func TestIndexIsWholeAndSparse(t *testing.T) {
	r := newRig(t, nil)
	one, _ := r.image("")
	two, _ := r.image("")
	index := r.up.Index("a/app", "v1", one, two)
	man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)
	require.Equal(t, index.Digest, man.Descriptor.Digest)
	var got struct{ Manifests []any }
	require.NoError(t, json.Unmarshal(man.Content, &got))
	require.Len(t, got.Manifests, 2)
	require.NoError(t, r.pullDigest(t.Context(), repo, one.Digest))
	_, err = r.store.StatManifest(t.Context(), repo, byDigest(two.Digest), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Equal(t, [3]int{1, 2, 3}, r.requests())
}

// TestSharedLayersAreLinked: a layer that another repository of the same upstream has is not fetched
// again, but never linked from a repository of the store.
func TestSharedLayersAreLinked(t *testing.T) {
	r := newRig(t, nil)
	layer, local := random(100_000), random(100_000)
	r.up.Image("a/app", "v1", layer)
	other, _ := r.up.Image("b/other", "v1", layer, local)
	_, err := registry.PushBlob(t.Context(), r.m, "mine/app", digest.FromBytes(local), bytes.NewReader(local))
	require.NoError(t, err)
	_, err = r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	r.up.Forget()
	require.NoError(t, r.pullDigest(t.Context(), upName+"/b/other", other.Digest))
	require.Equal(t, [3]int{0, 1, 1}, r.requests(), "the configuration and the layer are linked, the local blob is not")
}

// TestRefresh: the number of changes is right, and a TTL does not count.
func TestRefresh(t *testing.T) {
	r := newRig(t, nil)
	r.image("v1")
	r.image("v2")
	for _, tag := range []string{"v1", "v2"} {
		_, err := r.pull(t.Context(), repo, tag)
		require.NoError(t, err)
	}
	changed, err := r.m.Refresh(t.Context(), repo, "")
	require.NoError(t, err)
	require.Zero(t, changed)
	desc, _ := r.image("v2")
	r.up.Delete("a/app", "v1")
	changed, err = r.m.Refresh(t.Context(), repo, "")
	require.NoError(t, err)
	require.Equal(t, 2, changed)
	got, err := r.m.StatManifest(t.Context(), repo, byTag("v2"), nil)
	require.NoError(t, err)
	require.Equal(t, desc.Digest, got.Digest)
	_, err = r.m.StatManifest(t.Context(), repo, byTag("v1"), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)

	r.up.SetDown(true)
	_, err = r.m.Refresh(t.Context(), repo, "v2")
	require.ErrorIs(t, err, registry.ErrUnavailable)
	_, err = r.m.Refresh(t.Context(), "mine/app", "v2")
	require.ErrorIs(t, err, registry.ErrNameUnknown)
}

// TestViaDoesNotMultiplyRequests: whatever clients send as Via, they share one request.
func TestViaDoesNotMultiplyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		r.image("v1")
		r.up.Break(upstreamtest.Match{}, upstreamtest.Delay(time.Second))
		h := r.handler(nil)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "/v2/"+repo+"/manifests/v1", nil)
				require.NoError(t, err)
				req.Header.Set("Via", fmt.Sprintf("1.1 proxy, 1.1 proxy-%d", i))
				require.Equal(t, http.StatusOK, record(h, req).Code)
			})
		}
		all.Wait()
		require.Equal(t, [3]int{1, 1, 0}, r.requests())
	})
}

// TestMissingListsAreRemembered: the list of tags of a repository that does not exist costs one request.
func TestMissingListsAreRemembered(t *testing.T) {
	r := newRig(t, nil)
	for range 5 {
		_, err := collect(r.m.Tags(t.Context(), upName+"/no/such", nil))
		require.ErrorIs(t, err, registry.ErrNameUnknown)
	}
	require.Equal(t, 1, r.up.Count("GET", upstreamtest.Tags))
	r.up.Image("no/such", "v1")
	_, err := r.m.Refresh(t.Context(), upName+"/no/such", "v1")
	require.NoError(t, err)
	tags, err := collect(r.m.Tags(t.Context(), upName+"/no/such", nil))
	require.NoError(t, err)
	require.Equal(t, []string{"v1"}, tags)
}

// TestMissingContentIsRememberedForACaller: so does a tag, manifest or blob that does not exist, for a
// caller who has not proved anything yet.
func TestMissingContentIsRememberedForACaller(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.PassThrough = true })
	r.image("v1")
	d := digest.FromString("missing")
	for range 5 {
		_, err := r.m.GetManifest(t.Context(), repo, byTag("none"))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, err = r.m.GetManifest(t.Context(), repo, byDigest(d))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, err = r.m.OpenBlob(t.Context(), repo, d, nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	require.Equal(t, 3, r.up.Count("", ""))
	_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)
}
