package bucket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/importer/bucket"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// objects are the objects of an old registry with one image.
func objects() (all map[string]string, manifest digest.Digest) {
	all = map[string]string{}
	blob := func(content string) digest.Digest {
		d := digest.FromString(content)
		all["blobs/sha256/"+d.Encoded()[:2]+"/"+d.Encoded()+"/data"] = content
		return d
	}
	layer, config := strings.Repeat("layer", 10_000), "{}"
	for _, content := range []string{layer, config} {
		d := blob(content)
		all["repositories/team/app/_layers/sha256/"+d.Encoded()+"/link"] = string(d)
	}
	d := blob(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		digest.FromString(config), len(config), digest.FromString(layer), len(layer)))
	all["repositories/team/app/_manifests/revisions/sha256/"+d.Encoded()+"/link"] = string(d)
	all["repositories/team/app/_manifests/tags/v1/index/sha256/"+d.Encoded()+"/link"] = string(d)
	all["repositories/team/app/_manifests/tags/v1/current/link"] = string(d)
	return all, d
}

func TestImportFromBucket(t *testing.T) {
	b := memblob.OpenBucket(nil)
	defer func() { _ = b.Close() }()
	_, err := bucket.Open(t.Context(), b, "old", "mem://old")
	require.ErrorContains(t, err, "no data of a registry")
	all, manifest := objects()
	for name, content := range all {
		require.NoError(t, b.WriteAll(t.Context(), "old/docker/registry/v2/"+name, []byte(content), nil))
	}
	src, err := bucket.Open(t.Context(), b, "/old/", "mem://old")
	require.NoError(t, err)
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	before := time.Now()
	rep, err := importer.Run(t.Context(), s, d, src, &importer.Options{Verify: importer.VerifyFull, Total: true})
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.Equal(t, "mem://old", rep.Source)
	require.EqualValues(t, 3, rep.Total.Count)
	require.EqualValues(t, 2, rep.Layers.Streamed.Count)
	desc, err := s.StatManifest(t.Context(), "team/app", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.Equal(t, manifest, desc.Digest)
	for tag, err := range s.Inventory().Tags(t.Context(), "team/app") {
		require.NoError(t, err)
		require.False(t, tag.Set.After(before))
	}
	rep, err = importer.Run(t.Context(), s, d, src, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, rep.Tags.Unchanged)
	require.Zero(t, rep.Layers)
}

// TestImportFromFileBucket reads what the old registry has written to a directory as a bucket.
func TestImportFromFileBucket(t *testing.T) {
	dir := t.TempDir()
	all, _ := objects()
	for name, content := range all {
		path := filepath.Join(dir, "docker/registry/v2", filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	b, err := fileblob.OpenBucket(dir, nil)
	require.NoError(t, err)
	defer func() { _ = b.Close() }()
	src, err := bucket.Open(t.Context(), b, "", dir)
	require.NoError(t, err)
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	rep, err := importer.Run(t.Context(), s, d, src, nil)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.EqualValues(t, 1, rep.Tags.Set)
}
