package mirror_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestLocalRepositoriesAreThoseOfTheStore runs the kit of backends over the local part of a mirror.
func TestLocalRepositoriesAreThoseOfTheStore(t *testing.T) {
	for name, history := range map[string]time.Duration{"plain": 0, "history": time.Hour} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && history == 0 {
				t.Skip("the kit takes ten seconds")
			}
			registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
				d := memory.New(nil)
				store, err := storage.New(t.Context(), d, &storage.Options{History: history})
				require.NoError(t, err)
				m, err := mirror.New(t.Context(), store, d, several(), &mirror.Options{Offline: true})
				require.NoError(t, err)
				return m
			}, &registrytest.Options{History: history > 0})
		})
	}
}

// TestMirroredRepositoriesAreReadOnly: every write but a delete is refused, and causes no request.
func TestMirroredRepositoriesAreReadOnly(t *testing.T) {
	r := newRig(t, nil)
	content := []byte("content")
	d := digest.FromBytes(content)
	_, err := r.m.CreateUpload(t.Context(), repo, nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	require.ErrorContains(t, err, upName)
	local, err := r.m.CreateUpload(t.Context(), "mine/app", nil)
	require.NoError(t, err)
	_, err = r.m.ResumeUpload(t.Context(), repo, local.ID(), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.PutManifest(t.Context(), repo, "", []byte("{}"), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = registry.PushBlob(t.Context(), r.m, "mine/app", d, bytes.NewReader(content))
	require.NoError(t, err)
	_, err = r.m.MountBlob(t.Context(), repo, d, &registry.MountOptions{From: "mine/app"})
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = r.m.Restore(t.Context(), repo, byTag("v1"), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	require.Zero(t, r.up.Count("", ""))

	base := r.serve(nil)
	for _, url := range []string{"/v2/" + repo + "/blobs/uploads/", "/v2/a/app/blobs/uploads/?ns=" + upName} {
		res, body := do(t, "POST", base+url)
		require.GreaterOrEqual(t, res.StatusCode, 400, body)
		require.Less(t, res.StatusCode, 404)
	}
}

// TestDeletesAreOfTheCache: what is deleted is fetched again.
func TestDeletesAreOfTheCache(t *testing.T) {
	r := newRig(t, nil)
	desc, man := r.image("v1")
	pull := func(requests [3]int) {
		t.Helper()
		r.up.Forget()
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, requests, r.requests())
	}
	pull([3]int{1, 1, 3})
	require.NoError(t, r.m.DeleteBlob(t.Context(), repo, man.Layers[0].Digest, nil))
	pull([3]int{0, 0, 1})
	require.NoError(t, r.m.DeleteManifest(t.Context(), repo, byTag("v1"), nil))
	pull([3]int{1, 0, 0})
	require.NoError(t, r.m.DeleteManifest(t.Context(), repo, byDigest(desc.Digest), nil))
	pull([3]int{1, 1, 0})
	require.NoError(t, r.m.DeleteRepository(t.Context(), repo, nil))
	pull([3]int{1, 1, 3})
	require.ErrorIs(t, r.m.DeleteRepository(t.Context(), upName+"/b/other", nil), registry.ErrNameUnknown)
}

// TestMountFromAMirroredRepository: an image that is pushed with layers of a mirrored one need not
// send them, if the mirror serves them to everybody.
func TestMountFromAMirroredRepository(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*mirror.Upstream, *mirror.Options)
		ok     bool
	}{
		"public":       {nil, true},
		"denied later": {func(u *mirror.Upstream, _ *mirror.Options) { u.Deny = []string{"a/**"} }, false},
		"pass-through": {func(u *mirror.Upstream, _ *mirror.Options) { u.PassThrough = true }, false},
		"not admitted": {func(_ *mirror.Upstream, o *mirror.Options) {
			o.Admit = func(context.Context, *mirror.Image) error { return auth.ErrDenied }
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			_, man := r.image("v1")
			_, err := r.pull(t.Context(), repo, "v1")
			require.NoError(t, err)
			r.restart(memory.New(nil), row.change)
			for _, opts := range []*registry.MountOptions{{From: repo}, nil} {
				_, err = r.m.MountBlob(t.Context(), "mine/app", man.Layers[0].Digest, opts)
				if row.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, registry.ErrBlobUnknown)
				}
			}
		})
	}
}
