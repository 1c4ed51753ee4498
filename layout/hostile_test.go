package layout_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// TestHostileArchives: each of these is refused by Open, with a reason.
func TestHostileArchives(t *testing.T) {
	image := registrytest.RandomImage(1, 2, 1000)
	good := layoutOf(t, map[string]*registrytest.Content{"v1": image})
	layer := "blobs/sha256/" + digest.FromBytes(image.Blobs[1]).Encoded()
	with := func(files ...file) []byte { return archiveOf(t, append(append([]file{}, good...), files...)...) }
	special := func(kind byte, name, link string) file {
		return file{tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644}, nil}
	}
	whole := archiveOf(t, good...)
	within := special(tar.TypeSymlink, "blobs/sha256/x", digest.FromBytes(image.Manifest).Encoded())
	out := special(tar.TypeSymlink, "blobs/sha256/x", "../../../../etc/passwd")
	for name, row := range map[string]struct {
		content []byte
		reason  string
	}{
		"absolute":             {with(regular("/etc/passwd", []byte("x"))), "absolute"},
		"parent":               {with(regular("../evil", []byte("x"))), ".."},
		"parent within":        {with(regular("blobs/../../evil", []byte("x"))), ".."},
		"parent in a folder":   {with(special(tar.TypeDir, "blobs/../../evil/", "")), ".."},
		"symbolic link out":    {with(out), "leaves the archive"},
		"absolute link":        {with(special(tar.TypeSymlink, "blobs/sha256/x", "/etc/passwd")), "leaves the archive"},
		"symbolic link within": {with(within), "symbolic link"},
		"hard link":            {with(special(tar.TypeLink, "blobs/sha256/x", layer)), "hard link"},
		"hard link out":        {with(special(tar.TypeLink, "blobs/sha256/x", "/etc/passwd")), "hard link"},
		"character device":     {with(special(tar.TypeChar, "blobs/sha256/x", "")), "no regular file"},
		"block device":         {with(special(tar.TypeBlock, "blobs/sha256/x", "")), "no regular file"},
		"pipe":                 {with(special(tar.TypeFifo, "blobs/sha256/x", "")), "no regular file"},
		"sparse file":          {sparseTar(t, good), "sparse"},
		"index twice":          {with(good[len(good)-1]), "twice"},
		"blob twice":           {with(regular(layer, []byte("other"))), "twice"},
		"blob twice, by dot":   {with(regular("./"+layer, []byte("other"))), "twice"},
		"folder and file":      {with(special(tar.TypeDir, layer+"/", "")), "twice"},
		"cut off in a blob":    {whole[:2000], "cut off"},
		"cut off in a header":  {whole[:1200], "damaged"},
		"cut off at the end":   {whole[:len(whole)-1024], "no end"},
		"wrong checksum":       {append([]byte{whole[0] + 1}, whole[1:]...), "damaged"},
		"empty":                {nil, "no end"},
		"no archive":           {[]byte(strings.Repeat("text", 1000)), "damaged"},
		"no layout":            {archiveOf(t, regular("a", nil)), "neither"},
		"no index":             {archiveOf(t, good[0]), "no index.json"},
		"unknown version":      {archiveOf(t, regular("oci-layout", []byte(`{"imageLayoutVersion":"2.0.0"}`))), "version"},
		"before Docker 1.10":   {archiveOf(t, regular("repositories", []byte("{}"))), "Docker before 1.10"},
		"zstd":                 {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0}, "zstd"},
		"xz":                   {[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, "xz"},
		"broken gzip":          {zipped(t, whole)[:500], "unpacking"},
		"bomb":                 {zipped(t, make([]byte, 3<<20)), "more than 2097152 bytes"},
		"many files":           {archiveOf(t, manyFiles(1001)...), "more than 1000 files"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := layout.Open(save(t, "x.tar", row.content), &layout.Options{
				MaxFiles: 1000, MaxUnpacked: 2 << 20, TempDir: t.TempDir(),
			})
			require.ErrorContains(t, err, row.reason)
		})
	}
	_, err := layout.Open(save(t, "x.tar", whole), &layout.Options{MaxFiles: 1000, MaxUnpacked: 2 << 20})
	require.NoError(t, err)
}

func manyFiles(n int) (files []file) {
	for i := range n {
		files = append(files, regular(fmt.Sprint(i), nil))
	}
	return files
}

// sparseTar returns an archive whose first file claims to be 1 TiB large, and has one byte.
func sparseTar(t *testing.T, files []file) []byte {
	t.Helper()
	h := tar.Header{Typeflag: tar.TypeReg, Name: "blobs/sha256/x", Mode: 0o644, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"SCHILY.xattr.a": "b"}}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h.Size = 1
	require.NoError(t, w.WriteHeader(&h))
	_, err := w.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	// The Writer refuses these records, so they replace others of the same length.
	record := []byte("22 SCHILY.xattr.a=b\n")
	at := bytes.Index(b.Bytes(), []byte("SCHILY.xattr.a=b"))
	require.Positive(t, at, record)
	content := b.Bytes()
	start := bytes.LastIndexByte(content[:at], 0) + 1
	pax := "22 GNU.sparse.major=0\n" + "22 GNU.sparse.minor=1\n" + "26 GNU.sparse.map=0,1,9,0\n"
	pax += fmt.Sprintf("31 GNU.sparse.size=%011d\n", 1<<20)
	copy(content[start:], pax)
	// The size of the records is in their header, 512 bytes before them.
	header := content[start-512 : start]
	copy(header[124:136], fmt.Sprintf("%011o\x00", len(pax)))
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return append(content, archiveOf(t, files...)...)
}

// TestWrongContent: content that is not what its name says is never served as whole, from a
// directory or an archive.
func TestWrongContent(t *testing.T) {
	image := registrytest.RandomImage(1, 2, 300_000)
	layer, manifest := digest.FromBytes(image.Blobs[1]), image.Descriptor.Digest
	change := map[string]func(files []file, d digest.Digest){
		"other bytes": func(files []file, d digest.Digest) {
			f := at(files, d)
			f.content = append([]byte{f.content[0] ^ 1}, f.content[1:]...)
		},
		"shorter": func(files []file, d digest.Digest) { f := at(files, d); f.content = f.content[:len(f.content)-1] },
		"longer": func(files []file, d digest.Digest) {
			f := at(files, d)
			f.content = append(f.content[:len(f.content):len(f.content)], ' ')
		},
		"empty":   func(files []file, d digest.Digest) { at(files, d).content = nil },
		"missing": func(files []file, d digest.Digest) { at(files, d).Name = "elsewhere" },
	}
	for name, f := range change {
		for _, kind := range []string{"dir", "archive"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				for _, d := range []digest.Digest{layer, manifest} {
					files := layoutOf(t, map[string]*registrytest.Content{"v1": image})
					f(files, d)
					l := open(t, placed(t, kind, files), &layout.Options{Repository: "a"})
					requireDamaged(t, l, d, manifest)
				}
			})
		}
	}
}

// placed writes files as an archive or a directory.
func placed(t *testing.T, kind string, files []file) string {
	t.Helper()
	if kind == "archive" {
		return save(t, "x.tar", archiveOf(t, files...))
	}
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.content, 0o600))
	}
	return dir
}

// at returns the file of a blob.
func at(files []file, d digest.Digest) *file {
	for i := range files {
		if strings.HasSuffix(files[i].Name, d.Encoded()) {
			return &files[i]
		}
	}
	return nil
}

// requireDamaged requires that a damaged blob or manifest cannot be read, and that a copy fails and
// sets no tag.
func requireDamaged(t *testing.T, l *layout.Layout, d, manifest digest.Digest) {
	t.Helper()
	if d == manifest {
		for _, ref := range []reference.Ref{{Tag: "v1"}, {Digest: d}} {
			_, err := l.GetManifest(t.Context(), "a", ref)
			require.Error(t, err)
			var known *registry.Error
			require.ErrorAs(t, err, &known)
		}
	} else if blob, err := l.OpenBlob(t.Context(), "a", d, nil); err == nil {
		n, err := io.Copy(io.Discard, blob.Body)
		require.ErrorIs(t, err, registry.ErrDigestInvalid)
		require.LessOrEqual(t, n, blob.Descriptor.Size)
		require.NoError(t, blob.Body.Close())
	} else {
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	dst := registrytest.NewStore(t)
	_, err := replicate.Copy(t.Context(), dst, l, "a:v1", nil)
	require.Error(t, err)
	_, err = dst.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

// TestHostileIndexes: each of these index.json is refused.
func TestHostileIndexes(t *testing.T) {
	d := string(digest.FromString("x"))
	desc := func(members string) string {
		return `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"` + d + `","size":1` + members + `}]}`
	}
	many := strings.Repeat(`{"mediaType":"a/b","digest":"`+d+`","size":1},`, 5_000)
	for name, row := range map[string]struct{ content, reason string }{
		"no JSON":           {"x", "invalid"},
		"cut off":           {desc("")[:50], "JSON"},
		"no object":         {"[]", "object"},
		"manifests twice":   {`{"manifests":[],"manifests":[]}`, "twice"},
		"another case":      {`{"Manifests":[]}`, "case"},
		"path in digest":    {strings.ReplaceAll(desc(""), d, "sha256:../../../etc/passwd"), "digest"},
		"unknown algorithm": {strings.ReplaceAll(desc(""), d, "md5:00"), "digest"},
		"digest twice":      {desc(`,"digest":"` + d + `"`), "twice"},
		"negative size":     {strings.ReplaceAll(desc(""), `"size":1`, `"size":-1`), "size"},
		"huge size":         {strings.ReplaceAll(desc(""), `"size":1`, `"size":99999999999999999999`), "size"},
		"no media type":     {strings.ReplaceAll(desc(""), "a/b", ""), "mediaType"},
		"number as name":    {desc(`,"annotations":{"org.opencontainers.image.ref.name":1}`), "annotations"},
		"deep":              {strings.Repeat(`{"a":`, 100_000), "max depth"},
		"many":              {`{"manifests":[` + strings.TrimSuffix(many, ",") + `]}`, "more than 1000 manifests"},
		"large":             {`{"x":"` + strings.Repeat("x", 2<<20) + `"}`, "more than 1048576 bytes"},
	} {
		for _, kind := range []string{"dir", "archive"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				_, err := layout.Open(placed(t, kind, []file{
					regular("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), regular("index.json", []byte(row.content)),
				}), &layout.Options{MaxManifests: 1000, MaxIndexSize: 1 << 20})
				require.ErrorContains(t, err, "index.json")
				require.ErrorContains(t, err, row.reason)
				require.Less(t, len(err.Error()), 500)
			})
		}
	}
}

// TestHostileNames: names that cannot be tags or repositories are none, and nothing fails.
func TestHostileNames(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 10)
	for _, name := range []string{
		"../../etc/passwd", "/etc/passwd", "a/../b:v1", ":v1", "a:", "A/B:v1", "a//b:v1", "v1\x00", "v 1",
		strings.Repeat("x", 1000),
		"a:" + strings.Repeat("x", 129), "@", "a@sha256:00", "http://a/b:v1", "a/b",
	} {
		l := open(t, save(t, "x.tar", archiveOf(t, layoutOf(t, map[string]*registrytest.Content{name: image})...)), nil)
		require.Empty(t, collect(t, l.Tags(t.Context(), layout.DefaultRepository, nil)), "%q", name)
		requireContent(t, l, layout.DefaultRepository, image)
	}
}

// TestAmbiguousTag: a tag that means two manifests is refused, and both can be read by their
// digests.
func TestAmbiguousTag(t *testing.T) {
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(5, 1, 10)
	l := open(t, save(t, "x.tar", archiveOf(t, layoutOf(t, map[string]*registrytest.Content{
		"ghcr.io/a/b:v1": one, "quay.io/a/b:v1": two,
	})...)), nil)
	_, err := l.GetManifest(t.Context(), "a/b", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	requireContent(t, l, "a/b", one)
	requireContent(t, l, "a/b", two)
}

// TestLargeManifest: a manifest that exceeds the limit is refused, and a layer of that size is no
// manifest.
func TestLargeManifest(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 10_000)
	l := open(t, save(t, "x.tar", archiveOf(t, layoutOf(t, map[string]*registrytest.Content{"v1": image})...)),
		&layout.Options{MaxManifestSize: 100})
	_, err := l.GetManifest(t.Context(), layout.DefaultRepository, reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestTooLarge)
	_, err = l.GetManifest(t.Context(), layout.DefaultRepository, reference.Ref{Digest: digest.FromBytes(image.Blobs[1])})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

// TestDeepNesting: indexes that name each other's children at any depth end, and the number of
// manifests that Referrers reads is bounded.
func TestDeepNesting(t *testing.T) {
	c := registrytest.RandomImage(1, 1, 10)
	for range 1500 {
		c = registrytest.Index(c)
	}
	path := save(t, "x.tar", archiveOf(t, layoutOf(t, map[string]*registrytest.Content{"v1": c})...))
	l := open(t, path, nil)
	require.Empty(t, collect(t, l.Referrers(t.Context(), "a", c.Descriptor.Digest, nil)))
	l = open(t, path, &layout.Options{MaxManifests: 1000})
	for _, err := range l.Referrers(t.Context(), "a", c.Descriptor.Digest, nil) {
		require.ErrorContains(t, err, "more than 1000 manifests")
	}
}

// TestHostileDirectories: nothing outside a directory is read, and no file that is not regular.
func TestHostileDirectories(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 1000)
	layer := digest.FromBytes(image.Blobs[1])
	outside := save(t, "outside", image.Blobs[1]) // the right content, in the wrong place
	for name, replace := range map[string]func(path string) error{
		"absolute link": func(path string) error { return os.Symlink(outside, path) },
		"relative link": func(path string) error {
			to, err := filepath.Rel(filepath.Dir(path), outside)
			require.NoError(t, err)
			return os.Symlink(to, path)
		},
		"link within": func(path string) error {
			require.NoError(t, os.WriteFile(path+"x", image.Blobs[1], 0o600))
			return os.Symlink(filepath.Base(path)+"x", path)
		},
		"pipe":      mkfifo,
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := placed(t, "dir", layoutOf(t, map[string]*registrytest.Content{"v1": image}))
			path := filepath.Join(dir, "blobs/sha256", layer.Encoded())
			require.NoError(t, os.Remove(path))
			require.NoError(t, replace(path))
			l := open(t, dir, &layout.Options{Repository: "a"})
			_, err := l.StatBlob(t.Context(), "a", layer, nil)
			require.ErrorContains(t, err, "no regular file")
			_, err = replicate.Copy(t.Context(), registrytest.NewStore(t), l, "a:v1", nil)
			require.ErrorContains(t, err, "no regular file")
		})
	}
	t.Run("blobs elsewhere", func(t *testing.T) {
		dir := placed(t, "dir", layoutOf(t, map[string]*registrytest.Content{"v1": image}))
		moved := t.TempDir() + "/blobs"
		require.NoError(t, os.Rename(dir+"/blobs", moved))
		require.NoError(t, os.Symlink(moved, dir+"/blobs"))
		l := open(t, dir, &layout.Options{Repository: "a"})
		_, err := l.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		require.ErrorContains(t, err, "escapes")
		w := create(t, dir, &layout.Options{Repository: "a"})
		require.Error(t, registrytest.RandomImage(7, 1, 10).Push(t.Context(), w, "a", "v2"))
		entries, err := os.ReadDir(moved + "/sha256")
		require.NoError(t, err)
		require.Len(t, entries, 3, "nothing was written there")
	})
	t.Run("index.json elsewhere", func(t *testing.T) {
		dir := placed(t, "dir", layoutOf(t, map[string]*registrytest.Content{"v1": image}))
		require.NoError(t, os.Rename(dir+"/index.json", dir+"/other"))
		require.NoError(t, os.Symlink("other", dir+"/index.json"))
		_, err := layout.Open(dir, nil)
		require.ErrorContains(t, err, "no regular file")
	})
	_, err := layout.Open(os.DevNull, nil)
	require.ErrorContains(t, err, "neither a directory nor a file")
}

// TestMediaTypesDisagree: content must not mean one thing to index.json and another by itself.
func TestMediaTypesDisagree(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 10)
	lie := *image
	lie.Descriptor.MediaType = ocispec.MediaTypeImageIndex
	l := open(t, save(t, "x.tar", archiveOf(t, layoutOf(t, map[string]*registrytest.Content{"v1": &lie})...)), nil)
	_, err := l.GetManifest(t.Context(), layout.DefaultRepository, reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
}
