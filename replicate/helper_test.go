package replicate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client with its own connections.
func newClient(t testing.TB, url string, opts *client.Options) *client.Client {
	t.Helper()
	var o client.Options
	if opts != nil {
		o = *opts
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(tr.CloseIdleConnections)
	o.HTTPClient = &http.Client{Transport: tr}
	c, err := client.New(url, &o)
	require.NoError(t, err)
	return c
}

// remote returns a client of a new registry, and the store behind it.
func remote(t testing.TB) (*client.Client, *storage.Store) {
	t.Helper()
	s := registrytest.NewServer(t, nil)
	return newClient(t, s.URL, &client.Options{Conditional: true}), s.Store
}

// onDisk returns a store in a new directory.
func onDisk(t testing.TB) *storage.Store {
	t.Helper()
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	return s
}

// pair is two backends to copy between.
type pair struct{ dst, src registry.Backend }

// pairs returns a new pair of each kind.
func pairs(t *testing.T) map[string]pair {
	remoteDst, _ := remote(t)
	remoteSrc, _ := remote(t)
	toRemote, _ := remote(t)
	fromRemote, _ := remote(t)
	return map[string]pair{
		"store to store":   {registrytest.NewStore(t), registrytest.NewStore(t)},
		"remote to remote": {remoteDst, remoteSrc},
		"store to remote":  {toRemote, onDisk(t)},
		"remote to store":  {onDisk(t), fromRemote},
	}
}

// requireImage fails the test unless b has all of c.
func requireImage(t *testing.T, b registry.Backend, repo string, c *registrytest.Content) {
	t.Helper()
	ctx := t.Context()
	m, err := b.GetManifest(ctx, repo, reference.Ref{Digest: c.Descriptor.Digest})
	require.NoError(t, err)
	require.Equal(t, string(c.Manifest), string(m.Content))
	require.Equal(t, c.Descriptor.MediaType, m.Descriptor.MediaType)
	for _, content := range c.Blobs {
		require.Equal(t, content, readBlob(t, b, repo, digest.FromBytes(content)))
	}
	for _, child := range c.Children {
		requireImage(t, b, repo, child)
	}
}

func readBlob(t *testing.T, b registry.Backend, repo string, d digest.Digest) []byte {
	t.Helper()
	blob, err := b.OpenBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	content, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	return content
}

// requireTag fails the test unless the tag points at d. A digest of "" means no tag.
func requireTag(t *testing.T, b registry.Backend, repo, tag string, d digest.Digest) {
	t.Helper()
	desc, err := b.StatManifest(t.Context(), repo, reference.Ref{Tag: tag}, nil)
	if d == "" {
		require.True(t, isUnknown(err), "%v", err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, d, desc.Digest)
}

func isUnknown(err error) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Status() == http.StatusNotFound
}

// push pushes content to a repository.
func push(t testing.TB, b registry.Writer, repo string, c *registrytest.Content, tags ...string) {
	t.Helper()
	require.NoError(t, c.Push(context.Background(), b, repo, tags...))
}

// sealed returns content whose manifest is the JSON of m.
func sealed(t testing.TB, mediaType string, m any, blobs ...[]byte) *registrytest.Content {
	t.Helper()
	content, err := json.Marshal(m)
	require.NoError(t, err)
	return &registrytest.Content{Descriptor: descriptorOf(mediaType, content), Manifest: content, Blobs: blobs}
}

func descriptorOf(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// platformIndex returns an index of images with platforms, such as "linux/arm/v7" or "".
func platformIndex(t testing.TB, mediaType string, images map[string]*registrytest.Content,
	order ...string) *registrytest.Content {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType}
	var children []*registrytest.Content
	for _, name := range order {
		desc := images[name].Descriptor
		if parts := strings.Split(name, "/"); len(parts) > 1 {
			desc.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
			if len(parts) > 2 {
				desc.Platform.Variant = parts[2]
			}
		}
		index.Manifests = append(index.Manifests, desc)
		children = append(children, images[name])
	}
	c := sealed(t, mediaType, index)
	c.Children = children
	return c
}

// pushBlob pushes a blob under a digest of any algorithm.
func pushBlob(t testing.TB, b registry.Writer, repo string, d digest.Digest, content []byte) {
	t.Helper()
	_, err := registry.PushBlob(t.Context(), b, repo, d, bytes.NewReader(content))
	require.NoError(t, err)
}
