package storage_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

// BenchmarkRead measures the reads of clients, without HTTP. After the first one, the cache has the
// records.
func BenchmarkRead(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkReads(b, newMemory(b)) })
	b.Run("disk", func(b *testing.B) {
		d, err := disk.New(b.TempDir(), &disk.Options{NoSync: true})
		require.NoError(b, err)
		benchmarkReads(b, d)
	})
}

func benchmarkReads(b *testing.B, d driver.Driver) {
	const repo = "library/app"
	s := newStore(b, d, nil)
	small, large := pushBlob(b, s, repo, random(1, 4<<10)), pushBlob(b, s, repo, random(2, 1<<20))
	m := putImage(b, s, repo, image("a", nil, small, large), &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}})
	tag, byDigest := reference.Ref{Tag: "v1"}, reference.Ref{Digest: m.Digest}
	renew := &registry.StatOptions{Renew: func(context.Context) bool { return true }}
	stat := func(ref reference.Ref) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.StatManifest(ctx, repo, ref, renew)
			return err
		}
	}
	get := func(ref reference.Ref) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.GetManifest(ctx, repo, ref)
			return err
		}
	}
	blob := func(d digest.Digest) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.StatBlob(ctx, repo, d, renew)
			if errors.Is(err, registry.ErrBlobUnknown) {
				return nil
			}
			return err
		}
	}
	buf := make([]byte, 64<<10)
	open := func(d digest.Digest, at, n int64) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			blob, err := s.OpenBlob(ctx, repo, d, nil)
			if err != nil {
				return err
			}
			_, err = blob.Body.Seek(at, io.SeekStart)
			if err == nil {
				_, err = io.ReadFull(blob.Body, buf[:n])
			}
			return errors.Join(err, blob.Body.Close())
		}
	}
	for _, c := range []struct {
		name string
		read func(ctx context.Context) error
	}{
		{"StatManifest/tag", stat(tag)},
		{"StatManifest/digest", stat(byDigest)},
		{"GetManifest/tag", get(tag)},
		{"GetManifest/digest", get(byDigest)},
		{"StatBlob", blob(small.Digest)},
		{"StatBlob/missing", blob(digest.FromString("missing"))},
		{"OpenBlob/4KiB", open(small.Digest, 0, 4<<10)},
		{"OpenBlob/64KiBOf1MiB", open(large.Digest, 500_000, 64<<10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
