package importer_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// tree writes the data of an old registry, file by file, as it would.
type tree struct {
	t   testing.TB
	dir string // contains docker/registry/v2
}

func newTree(t testing.TB) *tree {
	tr := &tree{t, t.TempDir()}
	for _, sub := range []string{"blobs", "repositories"} {
		require.NoError(t, os.MkdirAll(tr.path(sub), 0o755))
	}
	return tr
}

func (tr *tree) path(name string) string {
	return filepath.Join(tr.dir, "docker/registry/v2", filepath.FromSlash(name))
}

// write writes a file, as the old registry writes it: anew, under another name, and then renamed.
func (tr *tree) write(name, content string) string {
	path := tr.path(name)
	require.NoError(tr.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(tr.t, os.WriteFile(path+".tmp", []byte(content), 0o644))
	require.NoError(tr.t, os.Rename(path+".tmp", path))
	return path
}

func hexPath(d digest.Digest) string { return d.Algorithm().String() + "/" + d.Encoded() }

func blobName(d digest.Digest) string {
	return fmt.Sprintf("blobs/%s/%s/%s/data", d.Algorithm(), d.Encoded()[:2], d.Encoded())
}

// blob stores bytes without linking them.
func (tr *tree) blob(content []byte) digest.Digest {
	d := digest.FromBytes(content)
	if _, err := os.Stat(tr.path(blobName(d))); err != nil {
		tr.write(blobName(d), string(content))
	}
	return d
}

// layer stores a layer of a repository.
func (tr *tree) layer(repo string, content []byte) ocispec.Descriptor {
	d := tr.blob(content)
	tr.write(layerName(repo, d), string(d))
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

func layerName(repo string, d digest.Digest) string {
	return "repositories/" + repo + "/_layers/" + hexPath(d) + "/link"
}

func revisionName(repo string, d digest.Digest) string {
	return "repositories/" + repo + "/_manifests/revisions/" + hexPath(d) + "/link"
}

func tagName(repo, tag string) string {
	return "repositories/" + repo + "/_manifests/tags/" + tag + "/current/link"
}

// manifest stores a manifest of a repository.
func (tr *tree) manifest(repo string, m any) ocispec.Descriptor {
	b, ok := m.([]byte)
	if !ok {
		var err error
		b, err = json.Marshal(m)
		require.NoError(tr.t, err)
	}
	d := tr.blob(b)
	tr.write(revisionName(repo, d), string(d))
	var typed struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(b, &typed)
	return ocispec.Descriptor{MediaType: typed.MediaType, Digest: d, Size: int64(len(b))}
}

// tag points a tag at a manifest.
func (tr *tree) tag(repo, tag string, d digest.Digest, set time.Time) {
	dir := "repositories/" + repo + "/_manifests/tags/" + tag
	tr.write(dir+"/index/"+hexPath(d)+"/link", string(d))
	path := tr.write(dir+"/current/link", string(d))
	if !set.IsZero() {
		require.NoError(tr.t, os.Chtimes(path, set, set))
	}
}

// image stores an image of layers, with a config of its own.
func (tr *tree) image(repo string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	return tr.manifest(repo, tr.imageManifest(repo, layers...))
}

func (tr *tree) imageManifest(repo string, layers ...ocispec.Descriptor) ocispec.Manifest {
	config := tr.layer(repo, fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","n":%d}`, rand.Uint64()))
	config.MediaType = ocispec.MediaTypeImageConfig
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: layers,
	}
}

// referrer stores a manifest whose subject is another one.
func (tr *tree) referrer(repo string, subject ocispec.Descriptor, artifactType string) ocispec.Descriptor {
	m := tr.imageManifest(repo, tr.layer(repo, random(50)))
	m.Subject, m.ArtifactType = &subject, artifactType
	return tr.manifest(repo, m)
}

// index stores an index of manifests.
func (tr *tree) index(repo string, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return tr.manifest(repo, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})
}

// random returns random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// large is the size of a layer that is linked, not kept in its record.
const large = 20 << 10
