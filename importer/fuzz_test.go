package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/importer"
)

// FuzzLink gives a tag any link. Only the digest of the image, and nothing beside it, sets the tag. Any
// other link is one problem of this tag.
func FuzzLink(f *testing.F) {
	tr := newTree(f)
	image := tr.image("r", tr.layer("r", random(10)))
	tr.tag("r", "good", image.Digest, start)
	tr.tag("r", "fuzzed", image.Digest, start)
	dst := inMemory(f)
	dst.run(tr, nil)
	dst.untag("r", "fuzzed")
	for _, seed := range []string{
		string(image.Digest), string(image.Digest) + "\n", "", "sha256:", "sha512:" + image.Digest.Encoded(),
		"sha256:../" + image.Digest.Encoded()[3:], string(digest.FromString("other")), "\x00", "md5:00",
		"../../../etc/passwd",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		require.NoError(t, os.WriteFile(tr.path(tagName("r", "fuzzed")), content, 0o644))
		src, err := importer.OpenDir(tr.dir)
		require.NoError(t, err)
		defer func() { _ = src.Close() }()
		rep, err := importer.Run(t.Context(), dst.store, dst.driver, src, &importer.Options{ID: "fuzz", DryRun: true})
		require.NoError(t, err)
		if string(content) == string(image.Digest) {
			require.Empty(t, rep.Problems)
			return
		}
		p := problem(t, rep)
		require.Equal(t, "fuzzed", p.Tag)
		require.EqualValues(t, 1, rep.Tags.Skipped)
	})
}

// FuzzRecord gives the importer any record of a repository. It never fails, and never moves a tag that the
// destination has pushed.
func FuzzRecord(f *testing.F) {
	tr := newTree(f)
	a, b := tr.image("r"), tr.image("r")
	tr.tag("r", "tag", a.Digest, start)
	f.Add([]byte(`{"nonce":"x","sum":0,"repository":"r"}` + "\n"))
	f.Add([]byte("{}\nt tag 1 " + string(a.Digest) + "\n"))
	f.Add([]byte("t tag"))
	f.Fuzz(func(t *testing.T, record []byte) {
		dst := inMemory(t)
		dst.run(tr, nil)
		dst.push("r", "tag", b.Digest)
		var key string
		for info, err := range dst.driver.List(t.Context(), "i/", nil) {
			require.NoError(t, err)
			key = info.Key
		}
		dst.write(key, record)
		dst.run(tr, nil)
		require.Equal(t, b.Digest, dst.tagged("r", "tag"))
	})
}

// BenchmarkImport imports images of one layer of 1 MiB, linked and streamed, into a directory that is
// synced. The second run finds nothing new.
func BenchmarkImport(b *testing.B) {
	const images, size = 100, 1 << 20
	tr := newTree(b)
	for range images {
		m := tr.image("r", tr.layer("r", random(size)))
		tr.tag("r", "t"+m.Digest.Encoded()[:12], m.Digest, start)
	}
	for _, c := range []struct {
		name string
		opts importer.Options
	}{
		{"link", importer.Options{Verify: importer.VerifyNone}},
		{"link-verify", importer.Options{Verify: importer.VerifyFull}},
		{"stream", importer.Options{Link: importer.LinkNever}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(images * size)
			for b.Loop() {
				b.StopTimer()
				dst := synced(b, filepath.Join(b.TempDir(), "new"))
				b.StartTimer()
				require.Empty(b, dst.run(tr, &c.opts).Problems)
			}
			b.ReportMetric(float64(b.N)*images/b.Elapsed().Seconds(), "images/s")
		})
	}
	b.Run("again", func(b *testing.B) {
		dst := synced(b, b.TempDir())
		dst.run(tr, nil)
		for b.Loop() {
			require.EqualValues(b, images, dst.run(tr, nil).Tags.Unchanged)
		}
		b.ReportMetric(float64(b.N)*images/b.Elapsed().Seconds(), "tags/s")
	})
}
