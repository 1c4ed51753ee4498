package mirror_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// small keeps the kit short: the large sizes are the business of the members.
var small = &registrytest.Options{Writers: 6, Appends: 50, LargeSize: 1 << 20}

func TestGroupIsABackend(t *testing.T) {
	for name, opts := range map[string]*mirror.GroupOptions{
		"plain": {Write: "local"},
		"mixed": {Write: "local", Mixed: []string{"**"}},
	} {
		t.Run(name, func(t *testing.T) {
			registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
				return newGroup(t, opts, mirror.Member{Name: "local", Backend: registrytest.NewStore(t)})
			}, small)
		})
	}
}

// TestGroupWithEmptyMember: a second, empty member changes nothing, before or after the member for writes.
func TestGroupWithEmptyMember(t *testing.T) {
	for _, first := range []bool{false, true} {
		registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
			members := []mirror.Member{
				{Name: "local", Backend: registrytest.NewStore(t)}, {Name: "empty", Backend: newStore(t)},
			}
			if first {
				slices.Reverse(members)
			}
			return newGroup(t, &mirror.GroupOptions{Write: "local", Mixed: []string{"**"}}, members...)
		}, small)
	}
}

func TestGroupOnDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("long on a slow disk")
	}
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		d, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		s, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		return newGroup(t, &mirror.GroupOptions{Write: "local"},
			mirror.Member{Name: "local", Backend: s},
			mirror.Member{Name: "other", Backend: newStore(t), Repositories: []string{"other.example/**"}})
	}, small)
}

// TestGroupOwnsNames: without Mixed, each name is that of one member, whatever the others have.
func TestGroupOwnsNames(t *testing.T) {
	ctx := t.Context()
	local, hub := newStore(t), newStore(t)
	ours, theirs := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	for _, repo := range []string{"acme/app", "docker.io/library/app"} {
		require.NoError(t, ours.Push(ctx, local, repo, "v1", "ours"))
		require.NoError(t, theirs.Push(ctx, hub, repo, "v1", "theirs"))
	}
	g := newGroup(t, &mirror.GroupOptions{Write: "local"},
		mirror.Member{Name: "local", Backend: local},
		mirror.Member{Name: "hub", Backend: hub, Repositories: []string{"docker.io/**", "!docker.io/acme/**"}})

	requireTag(t, g, "acme/app", "v1", ours)
	requireNoTag(t, g, "acme/app", "theirs")
	requireTag(t, g, "docker.io/library/app", "v1", theirs)
	requireNoTag(t, g, "docker.io/library/app", "ours")
	require.Equal(t, []string{"acme/app", "docker.io/library/app"}, all(t, g.Repositories(ctx, nil)))
	require.Equal(t, []string{"theirs", "v1"}, all(t, g.Tags(ctx, "docker.io/library/app", nil)))
	_, err := g.GetManifest(ctx, "docker.io/acme/app", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)

	// Nothing is written to a name that is read elsewhere, and nothing is mounted from there.
	err = ours.Push(ctx, g, "docker.io/library/app", "v2")
	require.ErrorIs(t, err, registry.ErrDenied)
	require.ErrorIs(t, g.DeleteRepository(ctx, "docker.io/library/app", nil), registry.ErrDenied)
	_, err = g.MountBlob(ctx, "acme/new", digestOf(ours), &registry.MountOptions{From: "docker.io/library/app"})
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.NoError(t, local.DeleteRepository(ctx, "acme/app", nil))
	_, err = g.MountBlob(ctx, "acme/new", digestOf(ours), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// TestGroupMixes: in a mixed repository, the first member that has something serves it.
func TestGroupMixes(t *testing.T) {
	ctx := t.Context()
	local, hub := newStore(t), newStore(t)
	ours, theirs, old := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10),
		registrytest.RandomImage(3, 1, 10)
	require.NoError(t, ours.Push(ctx, local, "app", "b", "both"))
	require.NoError(t, theirs.Push(ctx, hub, "app", "a", "both", "c"))
	require.NoError(t, old.Push(ctx, hub, "only", "x"))
	g := newGroup(t, &mirror.GroupOptions{Write: "local", Mixed: []string{"**"}},
		mirror.Member{Name: "local", Backend: local}, mirror.Member{Name: "hub", Backend: hub})

	requireTag(t, g, "app", "both", ours)
	requireTag(t, g, "app", "c", theirs)
	requireTag(t, g, "only", "x", old)
	require.Equal(t, []string{"a", "b", "both", "c"}, all(t, g.Tags(ctx, "app", nil)))
	require.Equal(t, []string{"both", "c"}, all(t, g.Tags(ctx, "app", &registry.ListOptions{After: "b"})))
	require.Equal(t, []string{"x"}, all(t, g.Tags(ctx, "only", nil)))
	require.Equal(t, []string{"app", "only"}, all(t, g.Repositories(ctx, nil)))
	for range g.Tags(ctx, "app", nil) {
		break // a list can be left
	}
	_, err := first(g.Tags(ctx, "none", nil))
	require.ErrorIs(t, err, registry.ErrNameUnknown)

	// Deletes go to the member for writes only.
	require.ErrorIs(t, g.DeleteManifest(ctx, "app", reference.Ref{Tag: "c"}, nil), registry.ErrManifestUnknown)
	require.NoError(t, g.DeleteManifest(ctx, "app", reference.Ref{Tag: "both"}, nil))
	requireTag(t, g, "app", "both", theirs)

	// A pusher learns what the member for writes lacks; others learn what they can read.
	blob := digestOf(theirs)
	desc, err := g.StatBlob(ctx, "app", blob, nil)
	require.NoError(t, err)
	require.Equal(t, blob, desc.Digest)
	mayNot := &registry.StatOptions{Renew: func(context.Context) bool { return false }}
	_, err = g.StatBlob(ctx, "app", blob, mayNot)
	require.NoError(t, err)
	may := &registry.StatOptions{Renew: func(context.Context) bool { return true }}
	_, err = g.StatBlob(ctx, "app", blob, may)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.NoError(t, theirs.Push(ctx, g, "app", "pushed"))
	requireTag(t, local, "app", "pushed", theirs)
}

func TestGroupMergesReferrers(t *testing.T) {
	ctx := t.Context()
	local, hub := newStore(t), newStore(t)
	subject := registrytest.RandomImage(1, 1, 10)
	var want []digest.Digest
	for i, to := range [][]*storage.Store{{local}, {hub}, {local, hub}, {hub}, {local}} {
		a := registrytest.Artifact("text/sig", subject.Descriptor, map[string]string{"n": string(rune('a' + i))})
		for _, s := range to {
			require.NoError(t, a.Push(ctx, s, "app"))
		}
		want = append(want, a.Descriptor.Digest)
	}
	slices.Sort(want)
	g := newGroup(t, &mirror.GroupOptions{Mixed: []string{"app"}},
		mirror.Member{Name: "local", Backend: local}, mirror.Member{Name: "hub", Backend: hub})
	var got []digest.Digest
	scan := func(digest.Digest, int64) bool { t.Fatal("out of order"); return false }
	for desc, err := range g.Referrers(ctx, "app", subject.Descriptor.Digest, &registry.ReferrersOptions{Scan: scan}) {
		require.NoError(t, err)
		got = append(got, desc.Digest)
	}
	require.Equal(t, want, got)
}

// TestGroupFailures: what a failure of the first member means for each kind of read.
func TestGroupFailures(t *testing.T) {
	ctx := t.Context()
	image := registrytest.RandomImage(1, 1, 10)
	hub := newStore(t)
	require.NoError(t, image.Push(ctx, hub, "app", "v1"))
	broken := errors.New("broken")
	for _, c := range []struct {
		name              string
		err               error
		skip              bool
		tag, digest, tags bool // whether the second member is asked
	}{
		{"unavailable", registry.ErrUnavailable, false, false, true, false},
		{"unknown failure", broken, false, false, true, false},
		{"skipped", broken, true, true, true, true},
		{"denied", registry.ErrDenied, false, false, false, false},
		{"denied, skipped", registry.ErrDenied, true, false, false, false},
		{"unknown name", registry.ErrNameUnknown, false, true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails := registry.Intercept(newStore(t), func(context.Context, *registry.Op,
				func(context.Context) error) error {
				return c.err
			})
			g := newGroup(t, &mirror.GroupOptions{Mixed: []string{"**"}, SkipFailing: c.skip},
				mirror.Member{Name: "fails", Backend: fails}, mirror.Member{Name: "hub", Backend: hub})
			check := func(goesOn bool, err error) {
				t.Helper()
				if goesOn {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.err)
				}
			}
			_, err := g.GetManifest(ctx, "app", reference.Ref{Tag: "v1"})
			check(c.tag, err)
			_, err = g.StatManifest(ctx, "app", reference.Ref{Tag: "v1"}, nil)
			check(c.tag, err)
			_, err = g.GetManifest(ctx, "app", reference.Ref{Digest: image.Descriptor.Digest})
			check(c.digest, err)
			_, err = g.StatBlob(ctx, "app", digestOf(image), nil)
			check(c.digest, err)
			blob, err := g.OpenBlob(ctx, "app", digestOf(image), nil)
			check(c.digest, err)
			if err == nil {
				require.NoError(t, blob.Body.Close())
			}
			_, err = first(g.Tags(ctx, "app", nil))
			check(c.tags, err)
			// What nobody has is not missing while a member fails.
			_, err = g.GetManifest(ctx, "app", reference.Ref{Digest: digest.FromString("none")})
			require.Error(t, err)
			require.Equal(t, errors.Is(c.err, registry.ErrNameUnknown), errors.Is(err, registry.ErrManifestUnknown))
		})
	}
}

// TestGroupListFails: a list that fails in the middle fails the union, and an element before stays.
func TestGroupListFails(t *testing.T) {
	ctx := t.Context()
	broken := errors.New("broken")
	image := registrytest.RandomImage(1, 1, 10)
	local, hub := newStore(t), newStore(t)
	require.NoError(t, image.Push(ctx, local, "app", "a", "c"))
	require.NoError(t, image.Push(ctx, hub, "app", "b", "d"))
	g := newGroup(t, &mirror.GroupOptions{Mixed: []string{"**"}},
		mirror.Member{Name: "local", Backend: local}, mirror.Member{Name: "hub", Backend: cutTags{hub, 1, broken}})
	var got []string
	var last error
	for tag, err := range g.Tags(ctx, "app", nil) {
		if err != nil {
			last = err
			break
		}
		got = append(got, tag)
	}
	require.Equal(t, []string{"a", "b"}, got)
	require.ErrorIs(t, last, broken)
	require.ErrorContains(t, last, "hub")
}

// cutTags ends the lists of tags with an error after n elements.
type cutTags struct {
	registry.Backend
	n   int
	err error
}

func (c cutTags) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		n := 0
		for tag, err := range c.Backend.Tags(ctx, repo, opts) {
			if n++; n > c.n {
				yield("", c.err)
				return
			}
			if !yield(tag, err) {
				return
			}
		}
	}
}

func TestGroupReadOnly(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	image := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, image.Push(ctx, s, "app", "v1"))
	g := newGroup(t, nil, mirror.Member{Name: "s", Backend: s})
	requireTag(t, g, "app", "v1", image)
	ref := reference.Ref{Tag: "v1"}
	for _, do := range []func() error{
		func() error { return image.Push(ctx, g, "app", "v2") },
		func() error { return g.DeleteManifest(ctx, "app", ref, nil) },
		func() error { return g.DeleteBlob(ctx, "app", digestOf(image), nil) },
		func() error { return g.DeleteRepository(ctx, "app", nil) },
		func() error { _, err := g.Restore(ctx, "app", ref, nil); return err },
		func() error { _, err := g.ResumeUpload(ctx, "app", "x", nil); return err },
		func() error { _, err := g.MountBlob(ctx, "app", digestOf(image), nil); return err },
		func() error { _, err := first(g.History(ctx, "app", nil)); return err },
	} {
		require.ErrorIs(t, do(), registry.ErrDenied)
	}
}

func TestNewGroupErrors(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		want    string
		members []mirror.Member
		opts    *mirror.GroupOptions
	}{
		{"without members", nil, nil},
		{"no name", []mirror.Member{{Backend: s}}, nil},
		{"no Backend", []mirror.Member{{Name: "a"}}, nil},
		{"named", []mirror.Member{{Name: "a", Backend: s}, {Name: "a", Backend: s, Repositories: []string{"x"}}}, nil},
		{"nothing is mixed", []mirror.Member{{Name: "a", Backend: s}, {Name: "b", Backend: s}}, nil},
		{"pattern", []mirror.Member{{Name: "a", Backend: s, Repositories: []string{"["}}}, nil},
		{"Mixed", []mirror.Member{{Name: "a", Backend: s}}, &mirror.GroupOptions{Mixed: []string{"["}}},
		{"Write", []mirror.Member{{Name: "a", Backend: s}}, &mirror.GroupOptions{Write: "b"}},
	} {
		_, err := mirror.NewGroup(c.members, c.opts)
		require.ErrorContains(t, err, c.want)
	}
}

// TestGroupOfManyTags: a union of long lists is streamed.
func TestGroupOfManyTags(t *testing.T) {
	many := func(odd int) registry.Backend { return numbers{odd: odd} }
	g := newGroup(t, &mirror.GroupOptions{Mixed: []string{"**"}},
		mirror.Member{Name: "a", Backend: many(0)}, mirror.Member{Name: "b", Backend: many(1)})
	n, last := 0, ""
	for tag, err := range g.Tags(t.Context(), "app", nil) {
		require.NoError(t, err)
		require.Less(t, last, tag)
		last = tag
		if n++; n == 10_000 {
			break
		}
	}
	require.Equal(t, 10_000, n)
}

// numbers is a Backend with an endless list of tags.
type numbers struct {
	registry.Unimplemented
	odd int
}

func (n numbers) Tags(context.Context, string, *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := n.odd; ; i += 2 {
			if !yield(tagNumber(i), nil) {
				return
			}
		}
	}
}

func tagNumber(i int) string {
	const width = 9
	s := []byte(strings.Repeat("0", width))
	for j := width - 1; i > 0; j-- {
		s[j] = byte('0' + i%10)
		i /= 10
	}
	return string(s)
}

func newStore(t *testing.T) *storage.Store {
	t.Helper()
	return storeOn(t, memory.New(nil), nil)
}

func storeOn(t *testing.T, d driver.Driver, opts *storage.Options) *storage.Store {
	t.Helper()
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return s
}

func newGroup(t *testing.T, opts *mirror.GroupOptions, members ...mirror.Member) *mirror.Group {
	t.Helper()
	g, err := mirror.NewGroup(members, opts)
	require.NoError(t, err)
	return g
}

// digestOf returns the digest of a blob of an image.
func digestOf(c *registrytest.Content) digest.Digest { return digest.FromBytes(c.Blobs[0]) }

func requireTag(t *testing.T, b registry.Backend, repo, tag string, want *registrytest.Content) {
	t.Helper()
	for _, ref := range []reference.Ref{{Tag: tag}, {Digest: want.Descriptor.Digest}} {
		m, err := b.GetManifest(t.Context(), repo, ref)
		require.NoError(t, err)
		require.Equal(t, want.Descriptor.Digest, m.Descriptor.Digest)
		desc, err := b.StatManifest(t.Context(), repo, ref, nil)
		require.NoError(t, err)
		require.Equal(t, want.Descriptor.Digest, desc.Digest)
	}
	var opened ocispec.Descriptor
	blob, err := b.OpenBlob(t.Context(), repo, digestOf(want), nil)
	require.NoError(t, err)
	opened = blob.Descriptor
	require.NoError(t, blob.Body.Close())
	require.Equal(t, digestOf(want), opened.Digest)
}

func requireNoTag(t *testing.T, b registry.Backend, repo, tag string) {
	t.Helper()
	_, err := b.GetManifest(t.Context(), repo, reference.Ref{Tag: tag})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

func all[T any](t *testing.T, list iter.Seq2[T, error]) []T {
	t.Helper()
	var found []T
	for v, err := range list {
		require.NoError(t, err)
		found = append(found, v)
	}
	return found
}

func first[T any](list iter.Seq2[T, error]) (T, error) {
	for v, err := range list {
		return v, err
	}
	var zero T
	return zero, nil
}
