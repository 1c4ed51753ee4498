package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestGuardResumeUploadWithoutOptionsUsesIdentity: nil options mean the caller's own upload, as
// they do for CreateUpload.
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
		u, err = b.ResumeUpload(t.Context(), "a", u.ID(), &registry.ResumeOptions{Continue: true})
		require.NoError(t, err, "%q", name)
		for _, opts := range []*registry.ResumeOptions{nil, {}, {Owner: name}} {
			_, err = s.Registry.Backend(auth.Identity{Name: "bob"}).ResumeUpload(t.Context(), "a", u.ID(), opts)
			require.ErrorIs(t, err, registry.ErrUploadUnknown)
		}
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

// TestGuardReferenceThatIsNoTagIsUnknownAfterAuthorisation: a read of a malformed reference gets
// the same response as a read of an unknown tag. A caller without pull access is refused.
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

// TestGuardAnonymousOverwriteAsksToLogIn: if the tag exists, an anonymous caller with push but not
// overwrite access gets a challenge. This holds for every form of the reference. An authenticated
// caller gets ErrTagExists.
func TestGuardAnonymousOverwriteAsksToLogIn(t *testing.T) {
	const push = "repository:a:push"
	s, as := asPrincipals(t, principals{"": {push}, "ann": {push}, "bob": {push, "repository:a:overwrite"}})
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	require.NoError(t, one.Push(t.Context(), s.Store, "a", "v1", "v2"))
	require.NoError(t, two.Push(t.Context(), s.Store, "a"))
	d := string(two.Descriptor.Digest)
	for _, path := range []string{"v1", d + "?tag=v1", d + "?tag=new&tag=v1", d + "?tag=v1&tag=v2"} {
		a := as("").refused(401, "UNAUTHORIZED", "PUT", "/v2/a/manifests/"+path, two.Manifest)
		challenge := a.Header.Get("WWW-Authenticate")
		require.Contains(t, challenge, push)
		require.Contains(t, challenge, "repository:a:overwrite")
		as("ann").refused(409, "DENIED", "PUT", "/v2/a/manifests/"+path, two.Manifest)
	}
	require.Equal(t, one.Descriptor.Digest, digestOf(t, s, "v1"))
	as("").want(201, "PUT", "/v2/a/manifests/v1", one.Manifest) // a push of the same manifest is no overwrite
	as("").want(201, "PUT", "/v2/a/manifests/new", two.Manifest)
	as("bob").want(201, "PUT", "/v2/a/manifests/v1", two.Manifest)
}

// TestGuardAnonymousRestoreAsksToLogIn: a restore that would move a tag is an overwrite.
func TestGuardAnonymousRestoreAsksToLogIn(t *testing.T) {
	store, err := storage.New(t.Context(), memory.New(nil), &storage.Options{History: time.Hour})
	require.NoError(t, err)
	for seed := range uint64(2) {
		require.NoError(t, registrytest.RandomImage(seed, 1, 10).Push(t.Context(), store, "a", "v1"))
	}
	allowed := []string{"repository:a:push"}
	r, err := registry.New(store, &registry.Options{Authorizer: principals{"": allowed, "ann": allowed}})
	require.NoError(t, err)
	_, err = r.Backend(anybody).Restore(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrUnauthorized)
	_, err = r.Backend(auth.Identity{Name: "ann"}).Restore(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrTagExists)
}

func digestOf(t *testing.T, s *registrytest.Server, tag string) digest.Digest {
	desc, err := s.Store.StatManifest(t.Context(), "a", reference.Ref{Tag: tag}, nil)
	require.NoError(t, err)
	return desc.Digest
}
