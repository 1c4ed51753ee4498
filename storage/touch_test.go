package storage_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestTouchHeadRenewsOldContent checks that a HEAD delays the collection of old content, but
// only if the caller has push access, and never in a read-only registry.
func TestTouchHeadRenewsOldContent(t *testing.T) {
	const grace = 400 * time.Millisecond
	d := newMemory(t)
	s := newStore(t, d, &storage.Options{Grace: grace})
	users := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		return auth.Identity{Name: r.Header.Get("X-User")}, nil
	})
	rules := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if a.Action != auth.Pull && who.Name != "pusher" {
				return auth.ErrDenied
			}
		}
		return nil
	})
	var audited []auth.Decision
	opts := &registry.Options{Authenticator: users, Authorizer: rules,
		Audit: func(_ context.Context, d auth.Decision) { audited = append(audited, d) }}
	reg, err := registry.New(s, opts)
	require.NoError(t, err)
	var locked filter.Switch
	locked.On("")
	readOnly, err := registry.New(locked.ReadOnly(s), opts)
	require.NoError(t, err)
	head := func(h http.Handler, user, path string) {
		r := httptest.NewRequest(http.MethodHead, path, nil)
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
	}
	var paths []string
	var keysOf []string
	for i := range 2 {
		blob := pushBlob(t, s, "r", random(uint64(i), 20_000))
		m := putImage(t, s, "q", image("x", nil, pushBlob(t, s, "q", []byte("{}"))), nil)
		paths = append(paths, "/v2/r/blobs/"+string(blob.Digest), "/v2/q/manifests/"+string(m.Digest))
		keysOf = append(keysOf, "r/r/b/sha256/"+blob.Digest.Encoded(), "r/q/m/sha256/"+m.Digest.Encoded())
	}
	version := func(key string) string {
		info, err := d.Stat(t.Context(), key)
		require.NoError(t, err)
		return info.Version
	}
	for i, path := range paths[:2] {
		before := version(keysOf[i])
		head(reg, "pusher", path)
		require.Equal(t, before, version(keysOf[i]), "young content is not touched")
	}
	time.Sleep(grace/2 + 10*time.Millisecond)
	for i, path := range paths[:2] {
		before := version(keysOf[i])
		head(reg, "reader", path)
		head(readOnly, "pusher", path)
		require.Equal(t, before, version(keysOf[i]), "neither caller has push access")
		audited = nil
		head(reg, "pusher", path)
		require.Len(t, audited, 1, "only the HEAD is audited")
		after := version(keysOf[i])
		require.NotEqual(t, before, after)
		head(reg, "pusher", path)
		require.Equal(t, after, version(keysOf[i]), "content is touched once in half a grace period")
	}
	time.Sleep(grace / 2)
	require.EqualValues(t, 1, collected(t, s, nil).Blobs, "the blob without a HEAD")
}

// TestTouchHeadOfMarkedContentKeepsIt checks that what a HEAD of a caller with push access has
// found exists for its push, even if a collection has marked it.
func TestTouchHeadOfMarkedContentKeepsIt(t *testing.T) {
	const grace = 100 * time.Millisecond
	opts := &storage.Options{Grace: grace}
	for _, refresh := range []bool{true, false} {
		d := newMemory(t)
		s := newStore(t, d, opts)
		m := putImage(t, s, "r", image("x", nil, pushBlob(t, s, "r", []byte("{}"))), nil)
		time.Sleep(grace + 10*time.Millisecond)
		marked := false
		collector := newStore(t, drivertest.NewFaulty(d,
			&drivertest.FaultyOptions{After: func(ctx context.Context, c drivertest.Call, err error) error {
				if !marked && c.Op == "Put" && strings.HasPrefix(c.Key, "r/r/m/") {
					marked = true
					_, err := s.StatManifest(ctx, "r", byDigest(m.Digest),
						&registry.StatOptions{Renew: func(context.Context) bool { return refresh }})
					require.NoError(t, err)
				}
				return err
			}}), opts)
		removed := collected(t, collector, &storage.CollectOptions{Untagged: true}).Untagged
		require.True(t, marked)
		_, err := s.StatManifest(t.Context(), "r", byDigest(m.Digest), nil)
		if refresh {
			require.NoError(t, err)
			require.Zero(t, removed)
		} else {
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		}
	}
}

// TestTouchOfCollectionIsNoPush checks that a collection which writes a manifest again does not change
// the time of its push, and that a push or HEAD after it does, although the record is young.
func TestTouchOfCollectionIsNoPush(t *testing.T) {
	const grace = 10 * time.Hour
	content := image("x", nil, ocispec.Descriptor{
		MediaType: "application/octet-stream", Digest: digest.FromString("{}"), Size: 2,
	})
	d := digest.FromBytes(content)
	for name, c := range map[string]struct {
		marked bool // a delete of the manifest has died after its mark
		renew  func(s *storage.Store) error
	}{
		"no request": {false, nil},
		"push": {false, func(s *storage.Store) error {
			_, err := s.PutManifest(t.Context(), "r", "", content, nil)
			return err
		}},
		"HEAD":              {false, func(s *storage.Store) error { return renew(t, s, d) }},
		"HEAD after a mark": {true, func(s *storage.Store) error { return renew(t, s, d) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below := newMemory(t)
				s := newStore(t, below, &storage.Options{Grace: grace})
				pushBlob(t, s, "r", []byte("{}"))
				putImage(t, s, "r", content, tags("v1"))
				pushed := time.Now()
				time.Sleep(2 * grace)
				require.NoError(t, s.DeleteManifest(t.Context(), "r", byTag("v1"), nil))
				require.EqualValues(t, 1, collected(t, s, nil).Pointers)
				r, err := s.Inventory().Record(t.Context(), "r", d)
				require.NoError(t, err)
				require.WithinDuration(t, time.Now(), r.Time, time.Second)
				require.WithinDuration(t, pushed, r.Pushed, time.Second)
				decided := time.Now()
				time.Sleep(time.Minute)
				opts := &registry.DeleteOptions{IfUnused: true, NotSetAfter: decided}
				if c.marked {
					dying := drivertest.NewFaulty(below, nil)
					dying.CutAfter(1)
					require.Error(t, newStore(t, dying, nil).DeleteManifest(t.Context(), "r", byDigest(d), opts))
				}
				if c.renew == nil {
					require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(d), opts))
					return
				}
				require.NoError(t, c.renew(s))
				r, err = s.Inventory().Record(t.Context(), "r", d)
				require.NoError(t, err)
				require.Equal(t, storage.ManifestVisible, r.State)
				require.False(t, r.Marked)
				require.WithinDuration(t, time.Now(), r.Pushed, time.Second)
				require.ErrorIs(t, s.DeleteManifest(t.Context(), "r", byDigest(d), opts), registry.ErrPreconditionFailed)
			})
		})
	}
}

// renew looks for a manifest like a HEAD request of a caller with push access.
func renew(t *testing.T, s *storage.Store, d digest.Digest) error {
	_, err := s.StatManifest(t.Context(), "r", byDigest(d),
		&registry.StatOptions{Renew: func(context.Context) bool { return true }})
	return err
}
