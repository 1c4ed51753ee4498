package retention_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// interrupted is a Backend that calls do once, before the first delete of a manifest by its digest.
type interrupted struct {
	registry.Backend
	do   func()
	once sync.Once
}

func (i *interrupted) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	if ref.Digest != "" {
		i.once.Do(i.do)
	}
	return i.Backend.DeleteManifest(ctx, repo, ref, opts)
}

// removals are the two ways to remove what newestOne lets go, through a Backend.
var removals = map[string]func(w *world, b registry.Backend, plan []byte) error{
	"apply": func(w *world, b registry.Backend, plan []byte) error {
		_, err := w.applier().Apply(w.t.Context(), b, bytes.NewReader(plan), nil)
		return err
	},
	"job": func(w *world, b registry.Backend, _ []byte) error {
		_, err := w.planner(newestOne).Job(time.Hour, b).Run(w.t.Context(), &jobs.Progress{})
		return err
	},
}

// pushAgain pushes an image of the repository again, by its digest.
func (w *world) pushAgain(d ocispec.Descriptor) {
	w.t.Helper()
	m, err := w.store.GetManifest(w.t.Context(), app, reference.Ref{Digest: d.Digest})
	require.NoError(w.t, err)
	_, err = w.store.PutManifest(w.t.Context(), app, d.MediaType, m.Content, nil)
	require.NoError(w.t, err)
}

// TestPushedAgainBesideApply: a client pushes the images of an index before the index. Those that were
// there already, and were about to go, stay from their push on, although nothing names them yet.
func TestPushedAgainBesideApply(t *testing.T) {
	for name, do := range removals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &storage.Options{Grace: 2 * time.Millisecond, History: 30 * day})
			child, alone := w.image(), w.image("v1")
			w.index("v2", child)
			w.image("v3")
			time.Sleep(5 * time.Millisecond) // so that pushes renew the records
			plan := w.plan(newestOne)
			b := &interrupted{Backend: w.store, do: func() { w.pushAgain(child) }}
			require.NoError(t, do(w, b, plan))
			_, manifests := w.content()
			require.True(t, manifests[child.Digest], "its push was acknowledged")
			require.False(t, manifests[alone.Digest])
			w.index("v4", child)
			requireWhole(t, w.store)
		})
	}
}
