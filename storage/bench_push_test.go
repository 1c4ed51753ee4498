package storage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// pushBench is a Store on a disk that nothing is synced to, so that a benchmark shows what the
// steps of an operation cost without the wait for the disk.
type pushBench struct {
	*testing.B
	store  *storage.Store
	random *rand.ChaCha8
}

func newPushBench(b *testing.B) *pushBench {
	d, err := disk.New(b.TempDir(), &disk.Options{NoSync: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	s, err := storage.New(b.Context(), d, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	return &pushBench{b, s, rand.NewChaCha8([32]byte{})}
}

// push uploads a new blob of n bytes as docker does: all bytes first, and then the digest.
func (b *pushBench) push(repo string, n int) ocispec.Descriptor {
	content := make([]byte, n)
	_, err := b.random.Read(content)
	require.NoError(b, err)
	d := digest.FromBytes(content)
	u, err := b.store.CreateUpload(b.Context(), repo, nil)
	require.NoError(b, err)
	u, err = b.store.ResumeUpload(b.Context(), repo, u.ID(), &registry.ResumeOptions{Continue: true})
	require.NoError(b, err)
	_, err = u.Append(b.Context(), 0, -1, struct{ *bytes.Reader }{bytes.NewReader(content)})
	require.NoError(b, err)
	u, err = b.store.ResumeUpload(b.Context(), repo, u.ID(), &registry.ResumeOptions{Continue: true})
	require.NoError(b, err)
	desc, err := u.Commit(b.Context(), d, nil)
	require.NoError(b, err)
	return desc
}

// pushWhole uploads a new blob of n bytes as containerd does: all bytes come with the digest.
func (b *pushBench) pushWhole(repo string, n int) ocispec.Descriptor {
	content := make([]byte, n)
	_, err := b.random.Read(content)
	require.NoError(b, err)
	u, err := b.store.CreateUpload(b.Context(), repo, nil)
	require.NoError(b, err)
	u, err = b.store.ResumeUpload(b.Context(), repo, u.ID(), &registry.ResumeOptions{Continue: true})
	require.NoError(b, err)
	desc, err := u.Commit(b.Context(), digest.FromBytes(content), allOf(content))
	require.NoError(b, err)
	return desc
}

// put pushes a manifest of some blobs, the first of which is the config.
func (b *pushBench) put(repo, tag string, subject *ocispec.Descriptor, blobs ...ocispec.Descriptor) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Subject: subject,
		Config: blobs[0], Layers: blobs[1:], Annotations: map[string]string{"n": fmt.Sprint(b.random.Uint64())},
	}
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	content, err := json.Marshal(m)
	require.NoError(b, err)
	opts := &registry.PutOptions{}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag}}
	}
	got, err := b.store.PutManifest(b.Context(), repo, m.MediaType, content, opts)
	require.NoError(b, err)
	return got.Descriptor
}

func BenchmarkPushSmallImage(b *testing.B) {
	s := newPushBench(b)
	for n := 0; b.Loop(); n++ {
		repo := fmt.Sprint("r", n%4)
		s.put(repo, fmt.Sprint("t", n), nil, s.push(repo, 1500), s.push(repo, 3000), s.push(repo, 100_000))
	}
}

func BenchmarkPushSmallImageWhole(b *testing.B) {
	s := newPushBench(b)
	for n := 0; b.Loop(); n++ {
		repo := fmt.Sprint("r", n%4)
		s.put(repo, fmt.Sprint("t", n), nil, s.pushWhole(repo, 1500), s.pushWhole(repo, 3000), s.pushWhole(repo, 100_000))
	}
}

func BenchmarkMountBlob(b *testing.B) {
	s := newPushBench(b)
	d := s.push("from", 1<<20).Digest
	for n := 0; b.Loop(); n++ {
		_, err := s.store.MountBlob(b.Context(), fmt.Sprint("to", n), d, &registry.MountOptions{From: "from"})
		require.NoError(b, err)
	}
}

func BenchmarkFirstPush(b *testing.B) {
	s := newPushBench(b)
	d := s.push("from", 1<<20)
	for n := 0; b.Loop(); n++ {
		repo := fmt.Sprint("to", n)
		_, err := s.store.MountBlob(b.Context(), repo, d.Digest, &registry.MountOptions{From: "from"})
		require.NoError(b, err)
		s.put(repo, "latest", nil, s.push(repo, 1500), d)
	}
}

func BenchmarkPushReferrer(b *testing.B) {
	s := newPushBench(b)
	blob := s.push("r", 2)
	subject := s.put("r", "latest", nil, blob)
	for b.Loop() {
		s.put("r", "", &subject, blob)
	}
}
