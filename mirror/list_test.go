package mirror_test

import (
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
)

func collect[T any](list iter.Seq2[T, error]) (all []T, err error) {
	for v, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// TestTagsComeThrough: all tags of the upstream are listed, in order and in pages, for one list at
// the upstream within the TTL.
func TestTagsComeThrough(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"paged": nil, "unpaged": upstreamtest.Unpaged(), "absolute Link": upstreamtest.AbsoluteLink(),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			if fault != nil {
				r.up.Break(upstreamtest.Match{Kind: upstreamtest.Tags}, fault)
			}
			desc, _ := r.image("v0")
			for i := range 2500 {
				r.up.Tag("a/app", "v"+strconv.Itoa(i), desc.Digest)
			}
			base := r.serve(nil)
			var got []string
			next := "/v2/" + repo + "/tags/list?n=900"
			for next != "" {
				res, body := do(t, "GET", base+next)
				require.Equal(t, http.StatusOK, res.StatusCode, body)
				var page struct {
					Name string
					Tags []string
				}
				require.NoError(t, json.Unmarshal([]byte(body), &page))
				require.Equal(t, repo, page.Name)
				got = append(got, page.Tags...)
				next = ""
				if link := res.Header.Get("Link"); link != "" {
					next = strings.TrimPrefix(strings.SplitN(link, ">", 2)[0], "<")
					require.True(t, strings.HasPrefix(next, "/v2/"+repo+"/tags/list"), next)
				}
			}
			require.Len(t, got, 2500)
			require.IsIncreasing(t, got)
			require.LessOrEqual(t, r.up.Count("GET", upstreamtest.Tags), 4)
		})
	}
}

// TestTagsWhenTheUpstreamFails: the tags in the store are listed, with a warning.
func TestTagsWhenTheUpstreamFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		for _, tag := range []string{"v1", "v2", "v3"} {
			r.image(tag)
		}
		_, err := r.pull(t.Context(), repo, "v2")
		require.NoError(t, err)
		got, err := collect(r.m.Tags(t.Context(), repo, &registry.ListOptions{After: "v1"}))
		require.NoError(t, err)
		require.Equal(t, []string{"v2", "v3"}, got)
		for _, fault := range []upstreamtest.Fault{upstreamtest.Status(500), upstreamtest.Status(403),
			upstreamtest.Status(429, "Retry-After", "1")} {
			time.Sleep(mirror.DefaultTagTTL)
			repair := r.up.Break(upstreamtest.Match{}, fault)
			n := r.m.Stats().Stale
			got, err = collect(r.m.Tags(t.Context(), repo, nil))
			require.NoError(t, err)
			require.Equal(t, []string{"v2"}, got)
			require.Equal(t, n+1, r.m.Stats().Stale)
			_, err = collect(r.m.Tags(t.Context(), upName+"/b/other", nil))
			require.Error(t, err)
			repair()
		}
		time.Sleep(mirror.DefaultTagTTL)
		r.up.Delete("a/app", "v2")
		got, err = collect(r.m.Tags(t.Context(), repo, nil))
		require.NoError(t, err)
		require.Equal(t, []string{"v1", "v3"}, got)
		r.up.Break(upstreamtest.Match{}, upstreamtest.Status(404))
		_, err = collect(r.m.Tags(t.Context(), upName+"/b/other", nil))
		require.ErrorIs(t, err, registry.ErrNameUnknown)
	})
}

// TestTagsWithKeepDeleted: the tags in the store are among those of the upstream.
func TestTagsWithKeepDeleted(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.KeepDeleted = true })
	r.image("v1")
	r.image("v2")
	_, err := r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	r.up.Delete("a/app", "v1")
	got, err := collect(r.m.Tags(t.Context(), repo, nil))
	require.NoError(t, err)
	require.Equal(t, []string{"v1", "v2"}, got)
}

// TestReferrersComeThrough: the referrers of the upstream are listed with those in the store, in
// order, and filtered; when the upstream fails, those in the store.
func TestReferrersComeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		desc, _ := r.image("v1")
		var all []digest.Digest
		for i := range 10 {
			all = append(all, r.up.Referrer("a/app", desc, "application/vnd.test.sbom"+strconv.Itoa(i)).Digest)
		}
		signature := r.up.Referrer("a/app", desc, "application/vnd.test.signature")
		list := func(opts *registry.ReferrersOptions) []digest.Digest {
			t.Helper()
			descs, err := collect(r.m.Referrers(t.Context(), repo, desc.Digest, opts))
			require.NoError(t, err)
			var digests []digest.Digest
			for _, desc := range descs {
				digests = append(digests, desc.Digest)
			}
			require.IsIncreasing(t, append([]digest.Digest{""}, digests...))
			return digests
		}
		require.ElementsMatch(t, append(all, signature.Digest), list(nil))
		require.Equal(t, []digest.Digest{signature.Digest},
			list(&registry.ReferrersOptions{ArtifactTypes: []string{"application/vnd.test.signature"}}))
		_, err := r.m.GetManifest(t.Context(), repo, byDigest(signature.Digest))
		require.NoError(t, err)
		complete := list(nil)
		require.ElementsMatch(t, append(all, signature.Digest), complete)
		require.Equal(t, complete[4:], list(&registry.ReferrersOptions{After: complete[3]}))
		require.Equal(t, 1, r.up.Count("GET", upstreamtest.Referrers))

		time.Sleep(mirror.DefaultTagTTL)
		r.up.SetDown(true)
		require.Equal(t, []digest.Digest{signature.Digest}, list(nil))
		require.EqualValues(t, 1, r.m.Stats().Stale)
	})
}

// TestReferrersOfNothing: content without referrers, or that does not exist, has none.
func TestReferrersOfNothing(t *testing.T) {
	r := newRig(t, nil)
	desc, _ := r.image("v1")
	for _, d := range []digest.Digest{desc.Digest, digest.FromString("absent")} {
		got, err := collect(r.m.Referrers(t.Context(), repo, d, nil))
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

// TestRepositoriesAreThoseOfTheStore: pulled and pushed ones.
func TestRepositoriesAreThoseOfTheStore(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.Deny = []string{"secret/**"} })
	r.image("v1")
	_, err := r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	for _, name := range []string{"mine/app", "zzz", upName + "/secret/app"} { // the last was pulled under other rules
		_, err = r.store.PutManifest(t.Context(), name, ocispec.MediaTypeImageIndex, []byte(
			`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[]}`), nil)
		require.NoError(t, err)
	}
	got, err := collect(r.m.Repositories(t.Context(), nil))
	require.NoError(t, err)
	require.Equal(t, []string{"mine/app", repo, "zzz"}, got)
}
