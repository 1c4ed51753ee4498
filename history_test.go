package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// historyPrincipals have the access that their names say. Only "mover" can overwrite a tag.
// "narrow" can push only the tag "v1".
func historyPrincipals(_ context.Context, identity auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		ok := false
		switch identity.Name {
		case "reader":
			ok = a.Action == auth.Pull
		case "pusher":
			ok = a.Action == auth.Pull || a.Action == auth.Push
		case "narrow":
			ok = a.Action == auth.Pull || a.Action == auth.Push && (a.Tag == "" || a.Tag == "v1")
		case "mover":
			ok = true
		}
		if !ok {
			return auth.ErrDenied
		}
	}
	return nil
}

func newHistoryRegistry(t *testing.T, sink notification.Sink) func(name string) registry.Backend {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, &storage.Options{History: time.Hour})
	require.NoError(t, err)
	r, err := registry.New(store, &registry.Options{Authorizer: auth.AuthorizerFunc(historyPrincipals), Sink: sink})
	require.NoError(t, err)
	return func(name string) registry.Backend { return r.Backend(auth.Identity{Name: name}) }
}

// TestHistoryShowsNamesToPushers: the history records the authenticated name, whatever name the
// caller states. It shows names only to callers with push access.
func TestHistoryShowsNamesToPushers(t *testing.T) {
	as := newHistoryRegistry(t, nil)
	ctx, tag := t.Context(), reference.Ref{Tag: "v1"}
	one := registrytest.Index()
	_, err := as("pusher").PutManifest(ctx, "a", one.Descriptor.MediaType, one.Manifest,
		&registry.PutOptions{By: "mover", Tags: []registry.TagPut{{Name: "v1"}}})
	require.NoError(t, err)
	require.NoError(t, as("mover").DeleteManifest(ctx, "a", tag, &registry.DeleteOptions{By: "pusher"}))
	_, err = as("pusher").Restore(ctx, "a", tag, &registry.RestoreOptions{By: "mover"})
	require.NoError(t, err)
	require.NoError(t, as("mover").DeleteManifest(ctx, "a", reference.Ref{Digest: one.Descriptor.Digest}, nil))
	require.NoError(t, as("mover").DeleteRepository(ctx, "a", nil))
	names := func(who string, opts *registry.HistoryOptions) (names []string) {
		for e, err := range as(who).History(ctx, "a", opts) {
			require.NoError(t, err)
			names = append(names, e.By)
		}
		return names
	}
	all := []string{"mover", "mover", "pusher", "mover", "pusher"}
	require.Equal(t, all, names("mover", nil))
	require.Equal(t, all, names("pusher", nil))
	require.Equal(t, make([]string, 5), names("reader", nil))
	require.Equal(t, all[1:], names("narrow", &registry.HistoryOptions{Tag: "v1"}))
	for _, err := range as("").History(ctx, "a", nil) {
		require.ErrorIs(t, err, registry.ErrUnauthorized)
	}
}

// TestRestoreAccess: a restore needs push access, and moves tags only with overwrite access.
func TestRestoreAccess(t *testing.T) {
	var events []notification.Event
	as := newHistoryRegistry(t, notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		events = append(events, e)
		return nil
	}))
	ctx, tag := t.Context(), reference.Ref{Tag: "v1"}
	one, two := registrytest.Index(), registrytest.RandomImage(1, 0, 0)
	require.NoError(t, one.Push(ctx, as("mover"), "a", "v1", "v2"))
	require.NoError(t, two.Push(ctx, as("mover"), "a", "v1"))
	for _, ref := range []reference.Ref{{}, tag, {Digest: one.Descriptor.Digest}} {
		_, err := as("reader").Restore(ctx, "a", ref, nil)
		require.ErrorIs(t, err, registry.ErrDenied)
		_, err = as("").Restore(ctx, "a", ref, nil)
		require.ErrorIs(t, err, registry.ErrUnauthorized)
	}
	_, err := as("pusher").Restore(ctx, "a", tag, nil)
	require.ErrorIs(t, err, registry.ErrTagExists)
	_, err = as("narrow").Restore(ctx, "a", reference.Ref{Tag: "v2"}, nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = as("mover").Restore(ctx, "a", reference.Ref{Tag: "v1", Digest: one.Descriptor.Digest}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = as("mover").Restore(ctx, "a", tag, &registry.RestoreOptions{To: "x"})
	require.ErrorIs(t, err, registry.ErrDigestInvalid)
	events = nil
	res, err := as("mover").Restore(ctx, "a", tag, nil)
	require.NoError(t, err)
	require.Equal(t, one.Descriptor.Digest, res.Manifests[0].Descriptor.Digest)
	require.Len(t, events, 2)
	require.Equal(t, notification.Restore, events[0].Action)
	require.Equal(t, "mover", events[0].Actor)
	require.Equal(t, []string{"v1"}, events[0].Tags)
	require.Equal(t, notification.Move, events[1].Action)
	require.Equal(t, two.Descriptor.Digest, events[1].Previous)

	require.NoError(t, as("mover").DeleteRepository(ctx, "a", nil))
	res, err = as("narrow").Restore(ctx, "a", reference.Ref{}, nil)
	require.NoError(t, err)
	require.Len(t, res.Manifests, 2)
	var tags []string
	for name, err := range as("reader").Tags(ctx, "a", nil) {
		require.NoError(t, err)
		tags = append(tags, name)
	}
	require.Equal(t, []string{"v1"}, tags, "the other one may not be pushed")
}

// TestInterceptorSeesHistoryAndRestore: interceptors see both operations, and whether each of them
// writes.
func TestInterceptorSeesHistoryAndRestore(t *testing.T) {
	var seen []registry.Op
	b := registry.Intercept(registrytest.NewStore(t), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		seen = append(seen, *op)
		return next(ctx)
	})
	for _, err := range b.History(t.Context(), "a", &registry.HistoryOptions{Tag: "v1"}) {
		require.ErrorIs(t, err, registry.ErrUnsupported)
	}
	_, err := b.Restore(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrUnsupported)
	require.Len(t, seen, 2)
	require.Equal(t, registry.OpHistory, seen[0].Kind)
	require.False(t, seen[0].Write())
	require.Equal(t, []auth.Access{{Type: auth.TypeRepository, Name: "a", Action: auth.Pull, Tag: "v1"}}, seen[0].Access())
	require.Equal(t, registry.OpRestore, seen[1].Kind)
	require.True(t, seen[1].Write())
	require.Equal(t, []auth.Access{
		{Type: auth.TypeRepository, Name: "a", Action: auth.Push},
		{Type: auth.TypeRepository, Name: "a", Action: auth.Push, Tag: "v1"},
	}, seen[1].Access())
}

// TestHistoryHidesTagsWithoutPull: a history does not contain tags that the caller cannot pull.
func TestHistoryHidesTagsWithoutPull(t *testing.T) {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, &storage.Options{History: time.Hour})
	require.NoError(t, err)
	one := registrytest.Index()
	require.NoError(t, one.Push(t.Context(), store, "r", "open", "closed"))
	require.NoError(t, store.DeleteManifest(t.Context(), "r", reference.Ref{Digest: one.Descriptor.Digest}, nil))
	r, err := registry.New(store, &registry.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context,
		_ auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if a.Tag == "closed" {
				return auth.ErrDenied
			}
		}
		return nil
	})})
	require.NoError(t, err)
	told := map[registry.Change]int{}
	for e, err := range r.Backend(auth.Identity{}).History(t.Context(), "r", nil) {
		require.NoError(t, err)
		require.NotEqual(t, "closed", e.Tag)
		require.NotContains(t, e.Tags, "closed")
		told[e.Change]++
	}
	require.Equal(t, map[registry.Change]int{registry.ChangeTag: 1, registry.ChangeDelete: 1}, told)
}
