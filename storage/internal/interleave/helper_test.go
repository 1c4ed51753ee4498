package interleave

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func newMemory(t testing.TB) driver.Driver {
	d := memory.New(nil)
	return d
}

func newStore(t testing.TB, d driver.Driver, opts *storage.Options) *storage.Store {
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return s
}

func byTag(t string) reference.Ref           { return reference.Ref{Tag: t} }
func byDigest(d digest.Digest) reference.Ref { return reference.Ref{Digest: d} }

// pathOf returns the part of a key that stands for a digest.
func pathOf(d digest.Digest) string { return strings.Replace(string(d), ":", "/", 1) }
