//go:build linux || darwin

package disk

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// storePower is a Store on a Driver that loses power, and what the Store has acknowledged.
type storePower struct {
	t    *testing.T
	s    *storage.Store
	mu   sync.Mutex
	tags map[string]digest.Digest // by REPOSITORY:TAG; "" means that the tag was deleted
	seen map[digest.Digest][]byte // the manifests
}

func openStore(t *testing.T, d *Driver) *storage.Store {
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	return s
}

func blobOf(size int, name byte) []byte { return bytes.Repeat([]byte{name}, size) }

func (p *storePower) push(repo, tag string, blobs ...[]byte) {
	var descs []ocispec.Descriptor
	for i, b := range blobs {
		desc := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b), Size: int64(len(b)),
		}
		descs = append(descs, desc)
		if i == 0 {
			if _, err := p.s.MountBlob(p.t.Context(), repo, desc.Digest, nil); err == nil {
				continue
			}
		}
		u, err := p.s.CreateUpload(p.t.Context(), repo, nil)
		require.NoError(p.t, err)
		_, err = u.Append(p.t.Context(), 0, desc.Size, bytes.NewReader(b))
		require.NoError(p.t, err)
		_, err = u.Commit(p.t.Context(), desc.Digest, nil)
		require.NoError(p.t, err)
	}
	m, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descs[0], Layers: descs[1:], Annotations: map[string]string{"tag": tag},
	})
	require.NoError(p.t, err)
	p.change(repo+":"+tag, digest.FromBytes(m), m, func() error {
		opts := &registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}}
		_, err := p.s.PutManifest(p.t.Context(), repo, ocispec.MediaTypeImageManifest, m, opts)
		return err
	})
}

func (p *storePower) remove(repo, tag string) {
	p.change(repo+":"+tag, "", nil, func() error {
		return p.s.DeleteManifest(p.t.Context(), repo, reference.Ref{Tag: tag}, nil)
	})
}

// change makes a change of a tag. Nothing is promised of the tag meanwhile.
func (p *storePower) change(name string, to digest.Digest, m []byte, do func() error) {
	p.mu.Lock()
	delete(p.tags, name)
	p.mu.Unlock()
	require.NoError(p.t, do())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags[name] = to
	if m != nil {
		p.seen[to] = m
	}
}

// check checks that a Store has what was acknowledged.
func (p *storePower) check(s *storage.Store, promised map[string]digest.Digest) {
	for name, want := range promised {
		repo, tag, _ := bytes.Cut([]byte(name), []byte(":"))
		m, err := s.GetManifest(p.t.Context(), string(repo), reference.Ref{Tag: string(tag)})
		if want == "" {
			require.ErrorIs(p.t, err, registry.ErrManifestUnknown, name)
			continue
		}
		require.NoError(p.t, err, name)
		require.Equal(p.t, p.seen[want], m.Content, name)
		var parsed ocispec.Manifest
		require.NoError(p.t, json.Unmarshal(m.Content, &parsed))
		for _, desc := range append(parsed.Layers, parsed.Config) {
			b, err := s.OpenBlob(p.t.Context(), string(repo), desc.Digest, nil)
			require.NoError(p.t, err, name)
			content, err := io.ReadAll(b.Body)
			require.NoError(p.t, err, name)
			require.NoError(p.t, b.Body.Close())
			require.Equal(p.t, desc.Digest, digest.FromBytes(content), name)
		}
	}
}

// TestStoreLosesPower pushes, moves, deletes and collects images, and loses power at each sync.
func TestStoreLosesPower(t *testing.T) {
	power := newPowerTest(t, 1, nil)
	power.records = 25
	d := power.open()
	p := &storePower{t: t, tags: map[string]digest.Digest{}, seen: map[digest.Digest][]byte{}}
	lost := 0
	lose := func() {
		power.mu.Lock()
		defer power.mu.Unlock()
		if lost++; lost%3 != 0 && testing.Short() || t.Failed() {
			return
		}
		p.mu.Lock()
		promised := maps.Clone(p.tags)
		p.mu.Unlock()
		for _, c := range []choice{newest(1, 0), oldest(0), {power.rng.IntN, power.rng.IntN, power.rng.IntN}} {
			dir, err := os.MkdirTemp(t.TempDir(), "")
			require.NoError(t, err)
			power.p.build(dir, c)
			left := newPlatter(t, dir).open(nil)
			s := openStore(t, left)
			p.check(s, promised)
			kill(left)
			require.NoError(t, os.RemoveAll(dir))
		}
	}
	p.s = openStore(t, d) // before the first promise
	power.p.lost = lose
	small, large := blobOf(300, 's'), blobOf(maxSmall+1, 'l')
	p.push("r", "v1", small, large)
	p.push("r", "v2", small, blobOf(200, 'a'))
	p.push("other", "v1", small, large)
	p.push("r", "v1", small, blobOf(100, 'b'))
	p.remove("r", "v2")
	p.push("r", "v3", small, blobOf(200, 'a'))
	p.remove("other", "v1")
	_, err := p.s.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	p.push("other", "v1", blobOf(300, 'c'), large)
	power.p.observe()
	lose()
	require.Greater(t, lost, 20)
	p.check(p.s, p.tags)
	power.killAll()
}
