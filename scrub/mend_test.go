package scrub_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// endless yields zeros for ever, and counts them.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n += int64(len(p))
	return len(p), nil
}

func (e *endless) Close() error { return nil }

// TestMendRefusesWhatIsNotTheContent gives a run sources that lie.
func TestMendRefusesWhatIsNotTheContent(t *testing.T) {
	flood := &endless{}
	for name, source := range map[string]scrub.Source{
		"wrong bytes": func(context.Context, scrub.Loss) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte("wrong"))), nil
		},
		"nothing": func(context.Context, scrub.Loss) (io.ReadCloser, error) { return nil, errors.New("no such image") },
		"without end": func(context.Context, scrub.Loss) (io.ReadCloser, error) {
			return flood, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := memory.New(nil)
			f := newFixture(t, d, nil)
			change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
			change(t, d, "r/team.~app/m/"+pathOf(f.second.Digest), flipLast)
			scrubbed(t, f.store, d, repairing)
			r, err := scrub.Mend(t.Context(), f.store, d, source, nil)
			require.NoError(t, err)
			require.Equal(t, int64(3), r.Lost)
			require.Zero(t, r.Mended)
			require.Len(t, r.Errors, 3)
			require.Len(t, collect(t, scrub.Losses(t.Context(), d)), 3)
			f.checkServed(t)
		})
	}
	require.Less(t, flood.n, int64(20<<20), "an endless source is read up to the size that is known")
}

// TestMendOfManifestBringsItsBlobs loses a manifest, whose blobs are then collected.
func TestMendOfManifestBringsItsBlobs(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	small, large := random(1, 10), random(2, 20_000)
	content := image("", nil, pushBlob(t, s, "r", small), pushBlob(t, s, "r", large))
	putImage(t, s, "r", content, "v1", "v2")
	sets := setTimes(t, s)
	upstream := newStore(t, memory.New(nil), nil)
	image("", nil, pushBlob(t, upstream, "r", small), pushBlob(t, upstream, "r", large))
	putImage(t, upstream, "r", content)

	change(t, d, "r/r/m/"+pathOf(digest.FromBytes(content)), truncate)
	scrubbed(t, s, d, repairing)
	_, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	require.Empty(t, keys(t, d, "data/"))

	flood := &endless{}
	r, err := scrub.Mend(t.Context(), s, d, func(_ context.Context, l scrub.Loss) (io.ReadCloser, error) {
		if l.Manifest {
			return io.NopCloser(bytes.NewReader(content)), nil
		}
		return flood, nil
	}, nil)
	require.NoError(t, err)
	require.Zero(t, r.Mended)
	require.Less(t, flood.n, int64(1<<20), "an endless source is read up to the size that the manifest states")

	opts := *repairing
	opts.Source = scrub.FromBackend(upstream)
	r = scrubbed(t, s, d, &opts)
	require.Equal(t, int64(1), r.Mended)
	require.Empty(t, r.Errors)
	for _, tag := range []string{"v1", "v2"} {
		m, err := s.GetManifest(t.Context(), "r", byTag(tag))
		require.NoError(t, err)
		require.Equal(t, content, m.Content)
	}
	got, err := readBlob(t.Context(), s, "r", digest.FromBytes(large))
	require.NoError(t, err)
	require.Equal(t, large, got)
	require.Equal(t, sets, setTimes(t, s), "the tags have their age")
}

// setTimes returns when the tags of the repository r were set.
func setTimes(t *testing.T, s *storage.Store) map[string]time.Time {
	t.Helper()
	sets := map[string]time.Time{}
	for tag, err := range s.Inventory().Tags(t.Context(), "r") {
		require.NoError(t, err)
		sets[tag.Name] = tag.Set.UTC()
	}
	return sets
}

func TestForget(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	change(t, d, "r/team.~app/m/"+pathOf(f.second.Digest), flipLast)
	scrubbed(t, f.store, d, repairing)
	losses := collect(t, scrub.Losses(t.Context(), d))
	require.Len(t, losses, 1)
	require.Equal(t, []string{"v2"}, losses[0].Tags)
	require.True(t, losses[0].Manifest)
	require.NoError(t, scrub.Forget(t.Context(), d, losses[0]))
	require.NoError(t, scrub.Forget(t.Context(), d, losses[0]), "nothing to forget is no error")
	require.Empty(t, collect(t, scrub.Losses(t.Context(), d)))
	require.Error(t, scrub.Forget(t.Context(), d, scrub.Loss{Repository: "../x", Digest: f.second.Digest}))
	require.Error(t, scrub.Forget(t.Context(), d, scrub.Loss{Repository: "r", Digest: "sha256:x"}))
}
