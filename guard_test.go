package registry_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestGuardResumeUploadWithoutOptionsUsesIdentity: nil options mean the caller's own upload, as they do
// for CreateUpload.
func TestGuardResumeUploadWithoutOptionsUsesIdentity(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	for _, name := range []string{"ann", ""} {
		b := s.Registry.Backend(auth.Identity{Name: name})
		u, err := b.CreateUpload(t.Context(), "a", nil)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 0, 3, strings.NewReader("abc"))
		require.NoError(t, err)
		u, err = b.ResumeUpload(t.Context(), "a", u.ID(), nil)
		require.NoError(t, err, "%q", name)
		_, err = s.Registry.Backend(auth.Identity{Name: "bob"}).ResumeUpload(t.Context(), "a", u.ID(), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
		_, err = u.Commit(t.Context(), digest.FromString("abc"), nil)
		require.NoError(t, err)
	}
}

// TestGuardRefWithBothOrNeitherIsNamed: the error says which of the two is wrong.
func TestGuardRefWithBothOrNeitherIsNamed(t *testing.T) {
	b := registrytest.NewServer(t, nil).Registry.Backend(anybody)
	for want, ref := range map[string]reference.Ref{
		"both a tag and a digest": {Tag: "v1", Digest: sha256Zeros},
		"neither tag nor digest":  {},
	} {
		_, getErr := b.GetManifest(t.Context(), "a", ref)
		_, statErr := b.StatManifest(t.Context(), "a", ref, nil)
		for _, err := range []error{getErr, statErr, b.DeleteManifest(t.Context(), "a", ref, nil)} {
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.ErrorContains(t, err, want)
		}
	}
}
