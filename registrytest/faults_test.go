package registrytest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestFaults checks that the selected operations fail as often as requested, and no others.
func TestFaults(t *testing.T) {
	var faults registrytest.Faults
	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{faults.Intercept}})
	b := s.Registry.Backend(auth.Identity{})
	img := registrytest.Index()
	require.NoError(t, img.Push(t.Context(), b, "a", "v1"))
	get := func() error {
		_, err := b.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		return err
	}
	broken := errors.New("broken")
	faults.Fail(2, broken, registry.OpGetManifest, registry.OpStatManifest)
	require.ErrorIs(t, get(), broken)
	_, err := b.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, broken)
	require.NoError(t, get())
	require.Equal(t, 2, faults.Count(registry.OpGetManifest))
	require.Equal(t, 3, faults.Count(registry.OpGetManifest, registry.OpStatManifest))
	require.Equal(t, 4, faults.Count())

	faults.LoseResponse(1, broken, registry.OpPutManifest)
	require.ErrorIs(t, img.Push(t.Context(), b, "a", "v2"), broken)
	_, err = b.GetManifest(t.Context(), "a", reference.Ref{Tag: "v2"})
	require.NoError(t, err, "the operation must have been performed")

	faults.Fail(-1, registry.ErrUnavailable)
	for range 3 {
		require.ErrorIs(t, get(), registry.ErrUnavailable)
		res, err := http.Get(s.URL + "/v2/a/manifests/v1")
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	}
	faults.Heal()
	require.NoError(t, get())
	http.DefaultClient.CloseIdleConnections()
}

func TestFaultsThatWait(t *testing.T) {
	var faults registrytest.Faults
	b := registry.Intercept(registrytest.NewStore(t), faults.Intercept)
	arrived, release := faults.Block(registry.OpCommit)
	done := make(chan error)
	go func() {
		_, err := registry.PushBlob(context.Background(), b, "a", "", strings.NewReader("x"))
		done <- err
	}()
	<-arrived
	_, err := registry.PushBlob(t.Context(), b, "a", "", strings.NewReader("y"))
	require.NoError(t, err, "only one is held up")
	release()
	require.NoError(t, <-done)

	const delay = 20 * time.Millisecond
	faults.Delay(delay, registry.OpCreateUpload)
	begin := time.Now()
	_, err = b.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begin), delay)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.CreateUpload(ctx, "a", nil)
	require.ErrorIs(t, err, context.Canceled)
}
