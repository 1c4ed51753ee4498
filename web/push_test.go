package web_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// amd64 is a configuration of an image.
const amd64 = `{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/app"]},` +
	`"history":[{"created_by":"COPY app /app"}]}`

// pushBlob pushes a blob, and returns its descriptor.
func pushBlob(t *testing.T, b registry.Backend, repo, mediaType, content string) ocispec.Descriptor {
	t.Helper()
	d := digest.FromString(content)
	_, err := registry.PushBlob(t.Context(), b, repo, d, strings.NewReader(content))
	require.NoError(t, err)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// pushManifest pushes a manifest of any kind, and returns its descriptor. tag may be "".
func pushManifest(t *testing.T, b registry.Backend, repo, tag, mediaType string, manifest any) ocispec.Descriptor {
	t.Helper()
	content, err := json.Marshal(manifest)
	require.NoError(t, err)
	opts := &registry.PutOptions{}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag}}
	}
	_, err = b.PutManifest(t.Context(), repo, mediaType, content, opts)
	require.NoError(t, err)
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// pushImage pushes an image, and returns its digest. layers are the contents of its layers.
func pushImage(t *testing.T, b registry.Backend, repo, tag, config string, layers ...string) digest.Digest {
	t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: pushBlob(t, b, repo, ocispec.MediaTypeImageConfig, config)}
	for _, content := range layers {
		m.Layers = append(m.Layers, pushBlob(t, b, repo, ocispec.MediaTypeImageLayer, content))
	}
	return pushManifest(t, b, repo, tag, ocispec.MediaTypeImageManifest, m).Digest
}
