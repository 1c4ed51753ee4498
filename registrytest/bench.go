package registrytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// BenchmarkBackend measures the most frequent operations. newBackend returns an empty backend.
func BenchmarkBackend(b *testing.B, newBackend func(b *testing.B) registry.Backend) {
	b.Helper()
	for _, c := range []struct {
		name string
		run  func(b *testing.B, r registry.Backend)
	}{
		{"StatBlob", benchStatBlob},
		{"StatBlobUnknown", benchStatUnknown},
		{"OpenBlob1KiB", benchOpenBlob(1 << 10)},
		{"OpenBlob4MiB", benchOpenBlob(4 << 20)},
		{"OpenBlobRange", benchRange},
		{"PushBlob1KiB", benchPushBlob(1 << 10)},
		{"PushBlob4MiB", benchPushBlob(4 << 20)},
		{"MountBlob", benchMount},
		{"GetManifestByDigest", benchGetManifest(refByDigest)},
		{"GetManifestByTag", benchGetManifest(refByTag)},
		{"StatManifestByTag", benchStatManifest},
		{"PutManifest", benchPutManifest},
		{"PushImage", benchPushImage},
		{"Tags100Of5000", benchTags},
		{"Referrers100Of1000", benchReferrers},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			c.run(b, newBackend(b))
		})
	}
}

const benchRepo = "library/bench"

func benchBlob(b *testing.B, r registry.Backend, size int) digest.Digest {
	b.Helper()
	desc, err := registry.PushBlob(b.Context(), r, benchRepo, "", bytes.NewReader(RandomBytes(1, size)))
	require.NoError(b, err)
	return desc.Digest
}

// benchLoop calls f until the benchmark has enough measurements.
func benchLoop(b *testing.B, f func(ctx context.Context, i int) error) {
	b.Helper()
	ctx := b.Context()
	for i := 0; b.Loop(); i++ {
		if err := f(ctx, i); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStatBlob(b *testing.B, r registry.Backend) {
	d := benchBlob(b, r, 1000)
	benchLoop(b, func(ctx context.Context, _ int) error {
		_, err := r.StatBlob(ctx, benchRepo, d, nil)
		return err
	})
}

func benchStatUnknown(b *testing.B, r registry.Backend) {
	benchLoop(b, func(ctx context.Context, _ int) error {
		if _, err := r.StatBlob(ctx, benchRepo, zeros, nil); err == nil {
			return fmt.Errorf("%s is there", zeros)
		}
		return nil
	})
}

func benchOpenBlob(size int) func(*testing.B, registry.Backend) {
	return func(b *testing.B, r registry.Backend) {
		d := benchBlob(b, r, size)
		buf := make([]byte, size)
		b.SetBytes(int64(size))
		benchLoop(b, func(ctx context.Context, _ int) error { return benchRead(ctx, r, d, 0, buf) })
	}
}

func benchRange(b *testing.B, r registry.Backend) {
	d := benchBlob(b, r, 4<<20)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	benchLoop(b, func(ctx context.Context, i int) error { return benchRead(ctx, r, d, int64(i%60)<<16, buf) })
}

// benchRead fills buf with the content of a blob from offset on.
func benchRead(ctx context.Context, r registry.Backend, d digest.Digest, offset int64, buf []byte) error {
	blob, err := r.OpenBlob(ctx, benchRepo, d, nil)
	if err != nil {
		return err
	}
	defer blob.Body.Close()
	if _, err := blob.Body.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.ReadFull(blob.Body, buf)
	return err
}

func benchPushBlob(size int) func(*testing.B, registry.Backend) {
	return func(b *testing.B, r registry.Backend) {
		content := RandomBytes(1, size)
		b.SetBytes(int64(size))
		benchLoop(b, func(ctx context.Context, i int) error {
			copy(content, fmt.Sprint(i))
			_, err := registry.PushBlob(ctx, r, benchRepo, digest.FromBytes(content), bytes.NewReader(content))
			return err
		})
	}
}

func benchMount(b *testing.B, r registry.Backend) {
	d := benchBlob(b, r, 100_000)
	benchLoop(b, func(ctx context.Context, i int) error {
		_, err := r.MountBlob(ctx, fmt.Sprint("to/", i%1000), d, &registry.MountOptions{From: benchRepo})
		return err
	})
}

// Ways of benchGetManifest to name the manifest.
func refByDigest(c *Content, _ string) reference.Ref { return byDigest(c.Descriptor.Digest) }
func refByTag(_ *Content, tag string) reference.Ref  { return byTag(tag) }

func benchGetManifest(ref func(c *Content, tag string) reference.Ref) func(*testing.B, registry.Backend) {
	return func(b *testing.B, r registry.Backend) {
		img := RandomImage(1, 2, 100)
		require.NoError(b, img.Push(b.Context(), r, benchRepo, "latest"))
		ref := ref(img, "latest")
		benchLoop(b, func(ctx context.Context, _ int) error {
			_, err := r.GetManifest(ctx, benchRepo, ref)
			return err
		})
	}
}

func benchStatManifest(b *testing.B, r registry.Backend) {
	require.NoError(b, tiny(1).Push(b.Context(), r, benchRepo, "latest"))
	benchLoop(b, func(ctx context.Context, _ int) error {
		_, err := r.StatManifest(ctx, benchRepo, reference.Ref{Tag: "latest"}, nil)
		return err
	})
}

func benchPutManifest(b *testing.B, r registry.Backend) {
	benchLoop(b, func(ctx context.Context, i int) error {
		return put(ctx, r, benchRepo, tiny(i), registry.TagPut{Name: "latest"})
	})
}

func benchPushImage(b *testing.B, r registry.Backend) {
	benchLoop(b, func(ctx context.Context, i int) error {
		return RandomImage(uint64(i)*10, 3, 10_000).Push(ctx, r, benchRepo, "latest")
	})
}

func benchTags(b *testing.B, r registry.Backend) {
	const n = 5000
	for i := 0; i < n; i += 100 {
		var tags []string
		for j := range 100 {
			tags = append(tags, fmt.Sprintf("t%05d", i+j))
		}
		require.NoError(b, tiny(i/100).Push(b.Context(), r, benchRepo, tags...))
	}
	benchLoop(b, func(ctx context.Context, i int) error {
		opts := &registry.ListOptions{After: fmt.Sprintf("t%05d", i*97%(n-200)), PageHint: 100}
		tags, err := collect(r.Tags(ctx, benchRepo, opts), 100)
		if err == nil && len(tags) != 100 {
			err = fmt.Errorf("%d tags", len(tags))
		}
		return err
	})
}

func benchReferrers(b *testing.B, r registry.Backend) {
	subject := tiny(1)
	for i := range 1000 {
		a := Artifact("application/x.test", subject.Descriptor, map[string]string{"number": fmt.Sprint(i)})
		require.NoError(b, a.Push(b.Context(), r, benchRepo))
	}
	benchLoop(b, func(ctx context.Context, _ int) error {
		descs, err := collect(r.Referrers(ctx, benchRepo, subject.Descriptor.Digest,
			&registry.ReferrersOptions{PageHint: 100}), 100)
		if err == nil && len(descs) != 100 {
			err = fmt.Errorf("%d referrers", len(descs))
		}
		return err
	})
}
