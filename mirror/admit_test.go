package mirror_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/storage/memory"
)

// TestAdmitDecidesOnceBeforeTheFirstAnswer: nothing of an image is served before it is admitted.
func TestAdmitDecidesOnceBeforeTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var seen atomic.Pointer[mirror.Image]
		r := newRigInMemory(t, func(_ *mirror.Upstream, o *mirror.Options) {
			o.Admit = func(_ context.Context, image *mirror.Image) error {
				calls.Add(1)
				seen.Store(image)
				time.Sleep(10 * time.Second)
				return nil
			}
		})
		desc, man := r.image("v1")
		_, err := r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
		require.ErrorIs(t, err, registry.ErrDenied, "a blob of no admitted image")
		_, err = r.m.StatBlob(t.Context(), repo, man.Layers[0].Digest, nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		var wg sync.WaitGroup
		start := time.Now()
		for range 20 {
			wg.Go(func() {
				_, err := r.pull(t.Context(), repo, "v1")
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second)
		require.EqualValues(t, 1, calls.Load())
		image := seen.Load()
		require.Equal(t, []string{repo, upName, "a/app", "v1"},
			[]string{image.Repository, image.Upstream, image.Name, image.Tag})
		require.Equal(t, desc.Digest, image.Manifest.Descriptor.Digest)
		_, err = r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.EqualValues(t, 1, calls.Load())
	})
}

// TestAdmitThatTakesLong: the client gets 403 with a Retry-After, the decision goes on, and counts
// for the next client.
func TestAdmitThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		r := newRigInMemory(t, func(_ *mirror.Upstream, o *mirror.Options) {
			o.AdmitWait = 5 * time.Second
			o.Admit = func(context.Context, *mirror.Image) error {
				calls.Add(1)
				time.Sleep(time.Hour)
				return nil
			}
		})
		desc, _ := r.image("v1")
		for _, ask := range []func() error{
			func() error { _, err := r.m.GetManifest(t.Context(), repo, byTag("v1")); return err },
			func() error { _, err := r.m.StatManifest(t.Context(), repo, byTag("v1"), nil); return err },
			func() error { _, err := r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest)); return err },
			func() error { _, err := r.m.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil); return err },
		} {
			start := time.Now()
			err := ask()
			require.ErrorIs(t, err, registry.ErrDenied)
			var visible *registry.Error
			require.ErrorAs(t, err, &visible)
			require.Positive(t, visible.RetryAfter())
			require.Equal(t, 5*time.Second, time.Since(start))
		}
		time.Sleep(time.Hour)
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.EqualValues(t, 1, calls.Load())
		require.Equal(t, 1, r.up.Count("GET", upstreamtest.Manifest))
	})
}

// TestAdmitRefuses: a refusal is remembered, does not reveal its reason unless it is an error for
// clients, and leaves the earlier image of the tag alone.
func TestAdmitRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		licence := registry.NewError("LICENCE", http.StatusUnavailableForLegalReasons, "not licensed")
		var refuse atomic.Pointer[error]
		var calls atomic.Int64
		r := newRigInMemory(t, func(_ *mirror.Upstream, o *mirror.Options) {
			o.Admit = func(context.Context, *mirror.Image) error {
				calls.Add(1)
				if err := refuse.Load(); err != nil {
					return *err
				}
				return nil
			}
		})
		old, _ := r.image("v1")
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		for _, row := range []struct {
			err  error
			want *registry.Error
		}{{errors.New("CVE-2026-1"), registry.ErrDenied}, {licence, licence}} {
			refuse.Store(&row.err)
			desc, man := r.image("v1")
			time.Sleep(mirror.DefaultTagTTL)
			n := calls.Load()
			for range 3 {
				_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
				require.ErrorIs(t, err, row.want)
				_, err = r.m.GetManifest(t.Context(), repo, byDigest(desc.Digest))
				require.ErrorIs(t, err, row.want)
				_, err = r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
				require.ErrorIs(t, err, registry.ErrDenied)
			}
			require.EqualValues(t, 1, calls.Load()-n)
			_, err := r.store.StatManifest(t.Context(), repo, byDigest(desc.Digest), nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		}
		require.NoError(t, r.pullDigest(t.Context(), repo, old.Digest))

		// Later, the decision is made again.
		refuse.Store(nil)
		time.Sleep(time.Hour)
		_, err = r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
	})
}

// TestAdmitReadsThroughTheMirror: a scanner that pulls within Admit, with its context, is not held
// by its own decision, and what it has read is not served to others if it refuses.
func TestAdmitReadsThroughTheMirror(t *testing.T) {
	var m *mirror.Mirror
	var refuse atomic.Bool
	r := newRig(t, func(_ *mirror.Upstream, o *mirror.Options) {
		o.Admit = func(ctx context.Context, image *mirror.Image) error {
			man, err := m.GetManifest(ctx, image.Repository, byDigest(image.Manifest.Descriptor.Digest))
			if err != nil {
				return err
			}
			for _, part := range partsOf(man.Content) {
				if _, err := read(ctx, m, image.Repository, part.Digest); err != nil {
					return err
				}
			}
			if refuse.Load() {
				return errors.New("malware")
			}
			return nil
		}
	})
	m = r.m
	refuse.Store(true)
	_, man := r.image("v1")
	_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.ErrorIs(t, err, registry.ErrDenied)
	require.Equal(t, 1, r.up.Count("GET", upstreamtest.Manifest))
	r.settle()
	_, err = r.store.StatBlob(t.Context(), repo, man.Layers[1].Digest, nil)
	require.NoError(t, err, "the scanner has read it")
	for _, part := range append(man.Layers, man.Config) {
		_, err := r.m.OpenBlob(t.Context(), repo, part.Digest, nil)
		require.ErrorIs(t, err, registry.ErrDenied)
	}
	refuse.Store(false)
	r.image("v2")
	_, err = r.pull(t.Context(), repo, "v2")
	require.NoError(t, err)
}

// TestAdmittedSurvivesARestart: the store knows what was admitted.
func TestAdmittedSurvivesARestart(t *testing.T) {
	d := memory.New(nil)
	var calls atomic.Int64
	admit := func(_ *mirror.Upstream, o *mirror.Options) {
		o.Admit = func(context.Context, *mirror.Image) error { calls.Add(1); return nil }
	}
	r := newRig(t, admit)
	r.restart(d, admit)
	one, man := r.image("")
	r.up.Index("a/app", "v1", one)
	_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)
	require.NoError(t, r.pullDigest(t.Context(), repo, one.Digest))
	require.EqualValues(t, 2, calls.Load())
	r.restart(d, admit)
	_, err = read(t.Context(), r.m, repo, man.Layers[0].Digest)
	require.NoError(t, err)
	require.NoError(t, r.pullDigest(t.Context(), repo, one.Digest))
	require.EqualValues(t, 2, calls.Load())
}

// TestAdmitThatPanics is a refusal.
func TestAdmitThatPanics(t *testing.T) {
	r := newRig(t, func(_ *mirror.Upstream, o *mirror.Options) {
		o.Admit = func(context.Context, *mirror.Image) error { panic("oh") }
	})
	r.image("v1")
	_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.ErrorIs(t, err, registry.ErrDenied)
}
