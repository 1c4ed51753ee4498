package registry_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestCallerReader: the reads of a program that shows content have the same rules as a pull, and no events.
func TestCallerReader(t *testing.T) {
	sink := &batches{}
	s := registrytest.NewServer(t, &registry.Options{Sink: sink, Authorizer: seesSome("a")})
	image := registrytest.RandomImage(1, 1, 10)
	for _, repo := range []string{"a", "b"} {
		require.NoError(t, image.Push(t.Context(), s.Store, repo, "v1"))
	}
	c := newCaller(t, s.Registry, "ann")
	read := func(from registry.Reader, repo string) error {
		m, err := from.GetManifest(t.Context(), repo, reference.Ref{Tag: "v1"})
		if err != nil {
			return err
		}
		require.Equal(t, image.Descriptor.Digest, m.Descriptor.Digest)
		b, err := from.OpenBlob(t.Context(), repo, digest.FromBytes(image.Blobs[0]), nil)
		if err == nil {
			err = b.Body.Close()
		}
		return err
	}
	require.NoError(t, read(c.Reader(), "a"))
	require.Empty(t, sink.take())
	require.ErrorIs(t, read(c.Reader(), "b"), registry.ErrDenied)
	require.NoError(t, read(c.Backend(), "a"))
	require.Len(t, sink.take(), 2)
}
