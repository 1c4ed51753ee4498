package libraries

import (
	"bytes"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry"
	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/errdef"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

func repository(t *testing.T, ref string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(ref)
	require.NoError(t, err)
	repo.PlainHTTP = true
	return repo
}

// pack pushes an artifact of one layer.
func pack(t *testing.T, to oras.Target, kind, content string, subject *imagespec.Descriptor) imagespec.Descriptor {
	t.Helper()
	layer, err := oras.PushBytes(t.Context(), to, "text/plain", []byte(content))
	require.NoError(t, err)
	d, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, kind, oras.PackManifestOptions{
		Layers: []imagespec.Descriptor{layer}, Subject: subject,
	})
	require.NoError(t, err)
	return d
}

func TestOrasCopy(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		local, repo := memory.New(), repository(t, r.Host+"/oras/artifact")
		want := pack(t, local, "application/vnd.example.thing", "hello", nil)
		require.NoError(t, local.Tag(t.Context(), want, "v1"))
		pushed, err := oras.Copy(t.Context(), local, "v1", repo, "v1", oras.DefaultCopyOptions)
		require.NoError(t, err)
		require.Equal(t, want.Digest, pushed.Digest)

		_, err = oras.Tag(t.Context(), repo, "v1", "v2")
		require.NoError(t, err)
		resolved, err := repo.Resolve(t.Context(), "v2")
		require.NoError(t, err)
		require.Equal(t, want.Digest, resolved.Digest)
		tags, err := orasregistry.Tags(t.Context(), repo)
		require.NoError(t, err)
		require.Equal(t, []string{"v1", "v2"}, tags)

		back := memory.New()
		_, err = oras.Copy(t.Context(), repo, "v2", back, "v2", oras.DefaultCopyOptions)
		require.NoError(t, err)
		_, content, err := oras.FetchBytes(t.Context(), back, "v2", oras.DefaultFetchBytesOptions)
		require.NoError(t, err)
		require.Equal(t, want.Digest, digest.FromBytes(content))

		require.NoError(t, repo.Delete(t.Context(), resolved))
		_, err = repo.Resolve(t.Context(), "v1")
		require.ErrorIs(t, err, errdef.ErrNotFound)
	})
}

// TestOrasReferrers attaches to an artifact, and to what is attached, and copies the whole graph to
// another repository.
func TestOrasReferrers(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		repo := repository(t, r.Host+"/oras/subject")
		subject := pack(t, repo, "application/vnd.example.thing", "hello", nil)
		require.NoError(t, repo.Tag(t.Context(), subject, "latest"))
		parts := pack(t, repo, "application/vnd.example.parts", "parts", &subject)
		signature := pack(t, repo, "application/vnd.example.signature", "signature", &subject)
		above := pack(t, repo, "application/vnd.example.signature", "of the parts", &parts)

		find := func(repo *remote.Repository, of imagespec.Descriptor, kind string) (found []digest.Digest) {
			require.NoError(t, repo.Referrers(t.Context(), of, kind, func(page []imagespec.Descriptor) error {
				for _, d := range page {
					found = append(found, d.Digest)
				}
				return nil
			}))
			return found
		}
		require.ElementsMatch(t, []digest.Digest{parts.Digest, signature.Digest}, find(repo, subject, ""))
		require.Equal(t, []digest.Digest{signature.Digest}, find(repo, subject, "application/vnd.example.signature"))
		repo.ReferrerListPageSize = 1
		require.ElementsMatch(t, []digest.Digest{parts.Digest, signature.Digest}, find(repo, subject, ""))

		to := repository(t, r.Host+"/oras/copy")
		_, err := oras.ExtendedCopy(t.Context(), repo, "latest", to, "latest", oras.DefaultExtendedCopyOptions)
		require.NoError(t, err)
		require.ElementsMatch(t, []digest.Digest{parts.Digest, signature.Digest}, find(to, subject, ""))
		require.Equal(t, []digest.Digest{above.Digest}, find(to, parts, ""))

		require.NoError(t, repo.Delete(t.Context(), signature))
		require.Equal(t, []digest.Digest{parts.Digest}, find(repo, subject, ""))

		// Without the referrers API the library would keep a tag of its own.
		tags, err := orasregistry.Tags(t.Context(), repo)
		require.NoError(t, err)
		require.Equal(t, []string{"latest"}, tags)
	})
}

func TestOrasBlob(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		from, to := repository(t, r.Host+"/oras/from"), repository(t, r.Host+"/oras/to")
		content := bytes.Repeat([]byte("blob "), 50_000)
		d, err := oras.PushBytes(t.Context(), from, "", content)
		require.NoError(t, err)
		require.NoError(t, to.Mount(t.Context(), d, "oras/from", nil))
		require.Equal(t, 1, r.Done(registry.OpMountBlob))

		body, err := to.Blobs().Fetch(t.Context(), d)
		require.NoError(t, err)
		defer body.Close()
		seeker, ok := body.(io.ReadSeeker) // only if the registry says that it answers ranges
		require.True(t, ok)
		_, err = seeker.Seek(200_000, io.SeekStart)
		require.NoError(t, err)
		rest, err := io.ReadAll(seeker)
		require.NoError(t, err)
		require.Equal(t, content[200_000:], rest)

		require.NoError(t, to.Blobs().Delete(t.Context(), d))
		there, err := to.Blobs().Exists(t.Context(), d)
		require.NoError(t, err)
		require.False(t, there)
		there, err = from.Blobs().Exists(t.Context(), d)
		require.NoError(t, err)
		require.True(t, there)
	})
}
