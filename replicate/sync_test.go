package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// tagged pushes an image of its own under each of tags.
func tagged(t *testing.T, b registry.Writer, repo string, tags ...string) map[string]*registrytest.Content {
	t.Helper()
	all := map[string]*registrytest.Content{}
	for _, tag := range tags {
		h := fnv.New64a()
		fmt.Fprint(h, repo, tag)
		all[tag] = registrytest.RandomImage(h.Sum64(), 1, 100)
		push(t, b, repo, all[tag], tag)
	}
	return all
}

func tagsOf(t *testing.T, b registry.Backend, repo string) []string {
	t.Helper()
	var tags []string
	for tag, err := range b.Tags(t.Context(), repo, nil) {
		if errors.Is(err, registry.ErrNameUnknown) {
			return nil
		}
		require.NoError(t, err)
		tags = append(tags, tag)
	}
	return tags
}

func TestSyncSelects(t *testing.T) {
	src := registrytest.NewStore(t)
	versions := []string{"1.0.0", "v1.2", "1.2.3", "1.3.0-rc1", "1.10", "2.0.0", "2.1_build", "latest", "nightly"}
	tagged(t, src, "team/app", versions...)
	tagged(t, src, "team/web", "v1")
	tagged(t, src, "other", "v1")
	for name, row := range map[string]struct {
		rule replicate.Rule
		want map[string][]string
	}{
		"all": {replicate.Rule{Repositories: []string{"**"}}, map[string][]string{
			"team/app": versions, "team/web": {"v1"}, "other": {"v1"}}},
		"pattern": {replicate.Rule{Repositories: []string{"team/*", "!team/app"}}, map[string][]string{"team/web": {"v1"}}},
		"names": {replicate.Rule{Repositories: []string{"other", "team/web"}}, map[string][]string{
			"team/web": {"v1"}, "other": {"v1"}}},
		"tags": {replicate.Rule{Repositories: []string{"team/app"}, Tags: []string{"1.2*", "latest"}},
			map[string][]string{"team/app": {"1.2.3", "latest"}}},
		"all tags but": {replicate.Rule{Repositories: []string{"team/app"}, Tags: []string{"![0-9v]*"}},
			map[string][]string{"team/app": {"latest", "nightly"}}},
		"semver": {replicate.Rule{Repositories: []string{"team/app"}, Semver: ">=1.2 <2"},
			map[string][]string{"team/app": {"v1.2", "1.2.3", "1.10"}}},
		"semver with pre-releases": {replicate.Rule{Repositories: []string{"team/app"}, Semver: ">=1.3-0 <1.4"},
			map[string][]string{"team/app": {"1.3.0-rc1"}}},
		"semver and tags": {replicate.Rule{
			Repositories: []string{"team/app"}, Semver: "2.x || ~1.2", Tags: []string{"latest", "!v*"}},
			map[string][]string{"team/app": {"1.2.3", "2.0.0", "2.1_build", "latest"}}},
		"newest versions": {replicate.Rule{Repositories: []string{"team/app"}, Newest: 3},
			map[string][]string{"team/app": {"2.1_build", "2.0.0", "1.10"}}},
		"newest of others": {replicate.Rule{Repositories: []string{"team/app"}, Tags: []string{"[a-z]*", "!v*"}, Newest: 1},
			map[string][]string{"team/app": {"nightly"}}},
		"to": {replicate.Rule{Repositories: []string{"other"}, To: func(repo string) string { return "copy/" + repo }},
			map[string][]string{"copy/other": {"v1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dst := registrytest.NewStore(t)
			res, err := replicate.Sync(t.Context(), dst, src, []replicate.Rule{row.rule})
			require.NoError(t, err)
			count := 0
			for _, repo := range []string{"team/app", "team/web", "other", "copy/other"} {
				want := slices.Sorted(slices.Values(row.want[repo]))
				require.Equal(t, want, tagsOf(t, dst, repo))
				count += len(want)
			}
			require.Equal(t, count, res.Copied)
			require.Len(t, res.Changes, count)
			require.Positive(t, res.Bytes)
			require.True(t, slices.IsSortedFunc(res.Changes, func(a, b replicate.Change) int {
				return strings.Compare(a.Repository+":"+a.Tag, b.Repository+":"+b.Tag)
			}))
		})
	}
}

func TestSyncRefusesInvalidRules(t *testing.T) {
	s := registrytest.NewStore(t)
	for _, r := range []replicate.Rule{
		{}, {Repositories: []string{""}}, {Repositories: []string{"["}}, {Repositories: []string{"a"}, Tags: []string{"!"}},
		{Repositories: []string{"a"}, Semver: "newer than 1"}, {Repositories: []string{"a"}, Newest: -1},
		{Repositories: []string{"a"}, Options: &replicate.Options{Platforms: []string{"x"}}},
	} {
		rules := []replicate.Rule{{Repositories: []string{"ok"}}, r}
		_, err := replicate.Sync(t.Context(), registrytest.NewStore(t), s, rules)
		require.ErrorContains(t, err, "rule 2")
	}
}

// TestSyncChangesOnlyWhatDiffers: an unchanged tag costs one HEAD at each side.
func TestSyncChangesOnlyWhatDiffers(t *testing.T) {
	var requests atomic.Int64
	counted := func() (registry.Backend, registry.Backend) {
		s := registrytest.NewServer(t, nil)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/tags/list") {
				requests.Add(1)
			}
			s.Registry.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		return newClient(t, front.URL, &client.Options{Conditional: true}), s.Store
	}
	src, behindSrc := counted()
	dst, behindDst := counted()
	images := tagged(t, behindSrc, "r", "a", "b", "c")
	rules := []replicate.Rule{{Repositories: []string{"r"}, Delete: true}}
	res, err := replicate.Sync(t.Context(), dst, src, rules)
	require.NoError(t, err)
	require.Equal(t, 3, res.Copied)

	requests.Store(0)
	res, err = replicate.Sync(t.Context(), dst, src, rules)
	require.NoError(t, err)
	require.Equal(t, replicate.SyncResult{Unchanged: 3, Took: res.Took}, res)
	require.EqualValues(t, 6, requests.Load())

	// A moved tag, a new one, and one that the source does not have.
	push(t, behindSrc, "r", images["a"], "b")
	push(t, behindSrc, "r", images["a"], "new")
	push(t, behindDst, "r", images["a"], "old")
	dry := []replicate.Rule{{Repositories: []string{"r"}, Delete: true, DryRun: true}}
	res, err = replicate.Sync(t.Context(), dst, src, dry)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "old"}, tagsOf(t, behindDst, "r"))
	changes := res.Changes
	require.Equal(t, []replicate.Change{
		{Repository: "r", Tag: "b", From: images["b"].Descriptor.Digest, To: images["a"].Descriptor.Digest},
		{Repository: "r", Tag: "new", To: images["a"].Descriptor.Digest},
		{Repository: "r", Tag: "old", From: images["a"].Descriptor.Digest, Deleted: true},
	}, changes)
	res, err = replicate.Sync(t.Context(), dst, src, rules)
	require.NoError(t, err)
	require.Equal(t, changes, res.Changes)
	require.Equal(t, []int{2, 2, 1, 0}, []int{res.Copied, res.Unchanged, res.Deleted, res.Failed})
	require.Equal(t, []string{"a", "b", "c", "new"}, tagsOf(t, behindDst, "r"))
	requireTag(t, behindDst, "r", "b", images["a"].Descriptor.Digest)

	// The other direction is the same with swapped arguments.
	tagged(t, behindDst, "r", "mine")
	_, err = replicate.Sync(t.Context(), src, dst, []replicate.Rule{{Repositories: []string{"r"}}})
	require.NoError(t, err)
	require.Contains(t, tagsOf(t, behindSrc, "r"), "mine")
}

func TestSyncDeletesOnlyWhatTheRuleSelects(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	tagged(t, src, "r", "v1", "v2", "v3")
	tagged(t, dst, "r", "v0", "keep")
	tagged(t, dst, "gone", "v1")
	rule := replicate.Rule{Repositories: []string{"r", "gone"}, Tags: []string{"v*"}, Newest: 1, Delete: true}
	res, err := replicate.Sync(t.Context(), dst, src, []replicate.Rule{rule})
	require.ErrorIs(t, err, registry.ErrNameUnknown, "a repository that the source does not have is no reason to delete")
	require.Equal(t, 1, res.Deleted)
	require.Equal(t, 1, res.Failed)
	require.Equal(t, []string{"keep", "v3"}, tagsOf(t, dst, "r"))
	require.Equal(t, []string{"v1"}, tagsOf(t, dst, "gone"))

	// A registry that knows no conditions is not asked to delete.
	s := registrytest.NewServer(t, nil)
	tagged(t, s.Store, "r", "v0")
	_, err = replicate.Sync(t.Context(), newClient(t, s.URL, nil), src,
		[]replicate.Rule{{Repositories: []string{"r"}, Delete: true}})
	require.ErrorIs(t, err, registry.ErrUnsupported)
	require.Equal(t, []string{"v0", "v1", "v2", "v3"}, tagsOf(t, s.Store, "r"))
}

// TestSyncDeleteKeepsAMovedTag: a tag that moves after Sync has seen it is not deleted.
func TestSyncDeleteKeepsAMovedTag(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	tagged(t, src, "r", "v1")
	other := tagged(t, dst, "r", "old", "other")["other"]
	racing := registry.Intercept(dst, func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		if op.Kind == registry.OpDeleteTag && op.Ref.Tag == "old" {
			push(t, dst, "r", other, "old")
		}
		return next(ctx)
	})
	_, err := replicate.Sync(t.Context(), racing, src,
		[]replicate.Rule{{Repositories: []string{"r"}, Tags: []string{"[ov]*", "!other"}, Delete: true}})
	require.ErrorIs(t, err, registry.ErrPreconditionFailed)
	require.Equal(t, []string{"old", "other", "v1"}, tagsOf(t, dst, "r"))
}

// TestSyncGoesOnAfterFailures: a broken tag does not end the others.
func TestSyncGoesOnAfterFailures(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	var tags []string
	for i := range 15 {
		tags = append(tags, fmt.Sprintf("bad%02d", i))
	}
	for _, c := range tagged(t, src, "r", tags...) {
		require.NoError(t, src.DeleteBlob(t.Context(), "r", digest.FromBytes(c.Blobs[1]), nil))
	}
	tagged(t, src, "r", "good")
	tagged(t, src, "s", "good")
	res, err := replicate.Sync(t.Context(), dst, src, []replicate.Rule{{Repositories: []string{"*"}}})
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.Equal(t, 10, strings.Count(err.Error(), "copying r:bad"))
	require.Equal(t, []int{2, 15}, []int{res.Copied, res.Failed})
	require.Equal(t, []string{"good"}, tagsOf(t, dst, "r"))
	require.Error(t, res.Changes[0].Err)
}

func TestSyncWithReferrers(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	image := tagged(t, src, "r", "v1")["v1"]
	push(t, src, "r", registrytest.RandomImage(9, 1, 100), cosignTag(image, ".sig"))
	push(t, src, "r", registrytest.Artifact("x/y", image.Descriptor, nil))
	res, err := replicate.Sync(t.Context(), dst, src,
		[]replicate.Rule{{Repositories: []string{"r"}, Options: &replicate.Options{Referrers: true}}})
	require.NoError(t, err)
	require.Equal(t, 1, res.Copied)
	require.Equal(t, []string{cosignTag(image, ".sig"), "v1"}, tagsOf(t, dst, "r"))
	require.Len(t, referrersOf(t, dst, "r", image.Descriptor.Digest), 1)
}

func TestSyncEndsWithItsContext(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	tagged(t, src, "r", "a", "b", "c")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := replicate.Sync(ctx, dst, src, []replicate.Rule{{Repositories: []string{"*"}, Options: &replicate.Options{
		Progress: func(p replicate.Progress) {
			if p.Done {
				cancel()
			}
		},
	}}})
	require.ErrorIs(t, err, context.Canceled)
	_, err = dst.GetManifest(t.Context(), "r", reference.Ref{Tag: "c"})
	require.Error(t, err)
}
