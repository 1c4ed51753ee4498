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
		"both a tag and a digest":    {Tag: "v1", Digest: sha256Zeros},
		"neither a tag nor a digest": {},
	} {
		_, getErr := b.GetManifest(t.Context(), "a", ref)
		_, statErr := b.StatManifest(t.Context(), "a", ref, nil)
		for _, err := range []error{getErr, statErr, b.DeleteManifest(t.Context(), "a", ref, nil)} {
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.ErrorContains(t, err, want)
		}
	}
}

// TestGuardReferenceThatIsNoTagIsUnknownAfterAuthorisation: a read of a reference that no manifest can
// have is answered like one of an unknown tag, and refused like one to callers that may not read.
func TestGuardReferenceThatIsNoTagIsUnknownAfterAuthorisation(t *testing.T) {
	_, as := asPrincipals(t, testPrincipals)
	for _, ref := range []string{".INVALID_MANIFEST_NAME", "a+b", strings.Repeat("a", 129), "", ".."} {
		for _, method := range []string{"GET", "HEAD"} {
			path := "/v2/a/manifests/" + ref
			require.NotEmpty(t, as("").want(401, method, path, nil).Header.Get("WWW-Authenticate"))
			as("other").want(403, method, path, nil)
			as("reader").want(404, method, path, nil)
		}
		as("reader").refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/manifests/"+ref, nil)
		as("writer").refused(400, "TAG_INVALID", "PUT", "/v2/a/manifests/"+ref, "{}")
		as("deleter").refused(400, "TAG_INVALID", "DELETE", "/v2/a/manifests/"+ref, nil)
	}
}
