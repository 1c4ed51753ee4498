package filter_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

func immutable(t *testing.T, b registry.Backend, patterns ...string) registry.Backend {
	protects, err := glob.Tags(patterns...)
	require.NoError(t, err)
	return filter.Immutable(b, &filter.ImmutableOptions{Protects: protects})
}

// stores returns n stores on one storage, as replicas have them, with a history.
func stores(t *testing.T, n int) (all []registry.Backend) {
	d := memory.New(nil)
	for range n {
		s, err := storage.New(t.Context(), d, &storage.Options{History: time.Hour})
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

// TestImmutable checks that unprotected content behaves as without the filter, including the
// caller's own conditions.
func TestImmutable(t *testing.T) {
	kit(t, func(t *testing.T, b registry.Backend) registry.Backend {
		return immutable(t, b, "**:release-*", "never/**")
	}, registrytest.Options{})
}

// TestImmutableTags checks that a protected tag is set once, by whatever operation, and that what
// it reaches is not deleted.
func TestImmutableTags(t *testing.T) {
	below := stores(t, 1)[0]
	b := immutable(t, below, "apps/*:v*", "!apps/*:v0*", "!apps/scratch")
	ctx := t.Context()
	img, other := registrytest.RandomImage(1, 1, 100), registrytest.RandomImage(10, 1, 100)
	index := registrytest.Index(img)
	require.NoError(t, index.Push(ctx, b, "apps/a", "v1", "v0.1", "latest"))
	require.NoError(t, index.Push(ctx, b, "apps/a", "v1"), "the same again")

	err := other.Push(ctx, b, "apps/a", "latest", "v1")
	require.ErrorIs(t, err, registry.ErrTagExists)
	require.ErrorContains(t, err, "the tag v1 is immutable")
	for _, ref := range []reference.Ref{{Tag: "v1"}, {Digest: index.Descriptor.Digest}, {Digest: img.Descriptor.Digest}} {
		err := b.DeleteManifest(ctx, "apps/a", ref, nil)
		require.ErrorIs(t, err, registry.ErrDenied, "%v", ref)
		require.ErrorContains(t, err, "v1")
	}
	require.ErrorIs(t, b.DeleteBlob(ctx, "apps/a", digest.FromBytes(img.Blobs[0]), nil), registry.ErrDenied)
	require.ErrorIs(t, b.DeleteRepository(ctx, "apps/a", nil), registry.ErrDenied)

	require.NoError(t, other.Push(ctx, b, "apps/a", "v0.1", "latest"), "an exception, and no pattern")
	require.NoError(t, b.DeleteManifest(ctx, "apps/a", reference.Ref{Tag: "v0.1"}, nil))
	require.NoError(t, b.DeleteManifest(ctx, "apps/a", reference.Ref{Digest: other.Descriptor.Digest}, nil))
	for _, repo := range []string{"apps/scratch", "other", "apps/a/b"} {
		require.NoError(t, index.Push(ctx, b, repo, "v1"))
		require.NoError(t, other.Push(ctx, b, repo, "v1"))
		require.NoError(t, b.DeleteRepository(ctx, repo, nil))
	}
	m, err := b.GetManifest(ctx, "apps/a", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	require.Equal(t, index.Manifest, m.Content)

	// A caller of the wrapped backend can move the tag and move it back; a restore through the
	// filter cannot.
	require.NoError(t, other.Push(ctx, below, "apps/a", "v1"))
	_, err = b.Restore(ctx, "apps/a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrTagExists)
	require.ErrorContains(t, err, "immutable")
	_, err = below.Restore(ctx, "apps/a", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.NoError(t, below.DeleteRepository(ctx, "apps/a", nil))
	_, err = b.Restore(ctx, "apps/a", reference.Ref{}, nil)
	require.NoError(t, err)
	require.ErrorIs(t, b.DeleteRepository(ctx, "apps/a", nil), registry.ErrDenied)
}

// TestImmutableLeavesSubject checks that the subject of a protected manifest can be deleted, and
// that what the tag reaches stays.
func TestImmutableLeavesSubject(t *testing.T) {
	b := immutable(t, registrytest.NewStore(t), "a:v*")
	ctx, subject := t.Context(), registrytest.RandomImage(1, 1, 100)
	art := registrytest.Artifact("application/x.test", subject.Descriptor, nil)
	require.NoError(t, subject.Push(ctx, b, "a", "latest"))
	require.NoError(t, art.Push(ctx, b, "a", "v1"))
	require.NoError(t, b.DeleteManifest(ctx, "a", reference.Ref{Digest: subject.Descriptor.Digest}, nil))
	m, err := b.GetManifest(ctx, "a", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	require.Equal(t, art.Manifest, m.Content)
	require.ErrorIs(t, b.DeleteManifest(ctx, "a", reference.Ref{Digest: art.Descriptor.Digest}, nil), registry.ErrDenied)

	// A protected tag on the subject keeps both.
	require.NoError(t, subject.Push(ctx, b, "a", "v0"))
	require.ErrorIs(t, b.DeleteManifest(ctx, "a", reference.Ref{Digest: subject.Descriptor.Digest}, nil),
		registry.ErrDenied)
}

// TestImmutableRace checks that of 100 callers that set a protected tag on two replicas, each with
// its own filter, exactly one succeeds.
func TestImmutableRace(t *testing.T) {
	var replicas []registry.Backend
	for _, s := range stores(t, 2) {
		replicas = append(replicas, immutable(t, s, "**"))
	}
	errs := make([]error, 100)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = registrytest.Index(registrytest.RandomImage(uint64(i), 0, 0)).Push(t.Context(), replicas[i%2], "a", "v1")
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, registry.ErrTagExists)
	}
	require.Equal(t, 1, won)
}

// TestImmutableClient checks that a backend without the conditions changes nothing that is
// protected.
func TestImmutableClient(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	c, err := client.New(s.URL, nil)
	require.NoError(t, err)
	b := immutable(t, c, "a:v*")
	require.ErrorIs(t, registrytest.Index().Push(t.Context(), b, "a", "v1"), registry.ErrUnsupported)
	require.NoError(t, registrytest.Index().Push(t.Context(), b, "a", "latest"))
	require.ErrorIs(t, b.DeleteManifest(t.Context(), "a", reference.Ref{Digest: registrytest.Index().Descriptor.Digest},
		nil), registry.ErrUnsupported)
	require.NoError(t, b.DeleteManifest(t.Context(), "a", reference.Ref{Tag: "latest"}, nil))
}

// TestImmutableAll checks that without options all tags are protected.
func TestImmutableAll(t *testing.T) {
	b := filter.Immutable(registrytest.NewStore(t), nil)
	require.NoError(t, registrytest.Index().Push(t.Context(), b, "a", "latest"))
	require.ErrorIs(t, registrytest.RandomImage(1, 0, 0).Push(t.Context(), b, "a", "latest"), registry.ErrTagExists)
	require.ErrorIs(t, filter.Immutable(nil, nil).DeleteRepository(t.Context(), "a", nil), registry.ErrUnsupported)
}

// TestSwitch checks that all backends of a Switch reject writes with the message while it is on,
// and that unfinished uploads continue afterwards.
func TestSwitch(t *testing.T) {
	var sw filter.Switch
	store := registrytest.NewStore(t)
	one, two := sw.ReadOnly(store), sw.ReadOnly(store)
	ctx, img := t.Context(), registrytest.RandomImage(1, 1, 100)
	require.NoError(t, img.Push(ctx, one, "a", "v1"))
	u, err := one.CreateUpload(ctx, "a", nil)
	require.NoError(t, err)
	for _, message := range []string{"back at noon", ""} {
		sw.On(message)
		shown, on := sw.Get()
		require.True(t, on)
		for _, b := range []registry.Backend{one, two} {
			for _, err := range []error{
				img.Push(ctx, b, "b", "v1"), b.DeleteManifest(ctx, "a", reference.Ref{Tag: "v1"}, nil),
				b.DeleteRepository(ctx, "a", nil),
				u.Cancel(ctx), func() error { _, err := b.Restore(ctx, "a", reference.Ref{}, nil); return err }(),
			} {
				var e *registry.Error
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, registry.ErrUnsupported)
				require.Equal(t, shown, e.Message())
			}
			_, err = b.GetManifest(ctx, "a", reference.Ref{Tag: "v1"})
			require.NoError(t, err)
		}
	}
	sw.Off()
	_, on := sw.Get()
	require.False(t, on)
	require.NoError(t, u.Cancel(ctx))
	require.NoError(t, img.Push(ctx, two, "b", "v1"))

	// While the switch toggles, each concurrent push either succeeds or is rejected.
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { errs[i] = img.Push(ctx, one, fmt.Sprint("r", i), "v1") })
		if i%2 == 0 {
			sw.On("")
		} else {
			sw.Off()
		}
	}
	wg.Wait()
	for i, err := range errs {
		_, gerr := store.GetManifest(ctx, fmt.Sprint("r", i), reference.Ref{Tag: "v1"})
		require.Equal(t, err == nil, gerr == nil)
		require.True(t, err == nil || errors.Is(err, registry.ErrUnsupported))
	}
}
