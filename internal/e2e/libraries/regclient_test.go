package libraries

import (
	"bytes"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/scheme"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/errs"
	"github.com/regclient/regclient/types/manifest"
	v1 "github.com/regclient/regclient/types/oci/v1"
	"github.com/regclient/regclient/types/ref"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// regclientFor returns a client that sends blobs above 1 MiB in chunks of 1 MiB.
func regclientFor(r *embedded) *regclient.RegClient {
	return regclient.New(regclient.WithConfigHost(config.Host{
		Name: r.Host, Hostname: r.Host, TLS: config.TLSDisabled, BlobChunk: 1 << 20, BlobMax: 1 << 20,
	}))
}

func parseRef(t *testing.T, name string) ref.Ref {
	t.Helper()
	r, err := ref.New(name)
	require.NoError(t, err)
	return r
}

func TestRegclientImage(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		rc := regclientFor(r)
		index := harness.Index(t, t.Name())
		want, err := index.Digest()
		require.NoError(t, err)
		local := parseRef(t, "ocidir://"+harness.Layout(t, index)+":latest")
		one, other := parseRef(t, r.Host+"/reg/index:one"), parseRef(t, r.Host+"/reg/other:one")
		require.NoError(t, rc.ImageCopy(t.Context(), local, one))
		require.NoError(t, rc.ImageCopy(t.Context(), one, other))
		require.Positive(t, r.Done(registry.OpMountBlob))
		head, err := rc.ManifestHead(t.Context(), other)
		require.NoError(t, err)
		require.Equal(t, want.String(), head.GetDescriptor().Digest.String())
		require.NoError(t, rc.ImageCopy(t.Context(), other, parseRef(t, "ocidir://"+t.TempDir()+":back")))

		require.NoError(t, rc.ImageCopy(t.Context(), one, one.SetTag("two")))
		require.NoError(t, rc.TagDelete(t.Context(), one))
		require.Equal(t, 1, r.Done(registry.OpDeleteTag)) // else the library overwrites the tag and deletes that
		tags, err := rc.TagList(t.Context(), one)
		require.NoError(t, err)
		require.Equal(t, []string{"two"}, tags.Tags)
		require.NoError(t, rc.ManifestDelete(t.Context(), one.SetDigest(want.String())))
		_, err = rc.ManifestHead(t.Context(), one.SetTag("two"))
		require.ErrorIs(t, err, errs.ErrNotFound)
	})
}

func TestRegclientChunks(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		rc := regclientFor(r)
		content := harness.RandomBytes(1, 10<<20+1)
		want := descriptor.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
		repo := parseRef(t, r.Host+"/reg/chunks")
		got, err := rc.BlobPut(t.Context(), repo, want, bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, want.Digest, got.Digest)
		require.GreaterOrEqual(t, r.Done(registry.OpAppend), 11)

		blob, err := rc.BlobGet(t.Context(), repo, want)
		require.NoError(t, err)
		defer blob.Close()
		back, err := io.ReadAll(blob)
		require.NoError(t, err)
		require.Equal(t, want.Digest, digest.FromBytes(back))
		require.NoError(t, rc.BlobDelete(t.Context(), repo, want))
		_, err = rc.BlobHead(t.Context(), repo, want)
		require.ErrorIs(t, err, errs.ErrNotFound)
	})
}

func TestRegclientReferrers(t *testing.T) {
	each(t, func(t *testing.T, r *embedded) {
		rc, repo := regclientFor(r), parseRef(t, r.Host+"/reg/subject:latest")
		require.NoError(t, rc.ImageCopy(t.Context(),
			parseRef(t, "ocidir://"+harness.Layout(t, harness.Image(t, "amd64", t.Name()))+":latest"), repo))
		subject, err := rc.ManifestHead(t.Context(), repo)
		require.NoError(t, err)
		subjectDescriptor := subject.GetDescriptor()

		empty, err := rc.BlobPut(t.Context(), repo, descriptor.Descriptor{}, bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		empty.MediaType = "application/vnd.oci.empty.v1+json"
		note, err := manifest.New(manifest.WithOrig(v1.Manifest{
			Versioned: v1.ManifestSchemaVersion, MediaType: "application/vnd.oci.image.manifest.v1+json",
			ArtifactType: "application/vnd.example.note", Config: empty, Layers: []descriptor.Descriptor{empty},
			Subject: &subjectDescriptor,
		}))
		require.NoError(t, err)
		require.NoError(t, rc.ManifestPut(t.Context(), repo.SetDigest(note.GetDescriptor().Digest.String()), note))

		list, err := rc.ReferrerList(t.Context(), repo,
			scheme.WithReferrerMatchOpt(descriptor.MatchOpt{ArtifactType: "application/vnd.example.note"}))
		require.NoError(t, err)
		require.Len(t, list.Descriptors, 1)
		require.Equal(t, note.GetDescriptor().Digest, list.Descriptors[0].Digest)
		require.Positive(t, r.Done(registry.OpReferrers))

		other := parseRef(t, r.Host+"/reg/copy:latest")
		require.NoError(t, rc.ImageCopy(t.Context(), repo, other, regclient.ImageWithReferrers()))
		list, err = rc.ReferrerList(t.Context(), other)
		require.NoError(t, err)
		require.Len(t, list.Descriptors, 1)
		tags, err := rc.TagList(t.Context(), repo)
		require.NoError(t, err)
		require.Equal(t, []string{"latest"}, tags.Tags)
	})
}
