package importer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/importer"
)

// damaged is a tree with a damaged tag "bad" beside a whole tag "good", in the repository r.
type damaged struct {
	*tree
	layer, image ocispec.Descriptor // of the tag bad
	content      []byte             // of the layer
}

func newDamaged(t *testing.T, size int) *damaged {
	tr := newTree(t)
	tr.tag("r", "good", tr.image("r", tr.layer("r", random(large))).Digest, time.Time{})
	d := &damaged{tree: tr, content: random(size)}
	d.layer = tr.layer("r", d.content)
	d.image = tr.image("r", d.layer)
	tr.tag("r", "bad", d.image.Digest, time.Time{})
	return d
}

// overwrite replaces the content of a file.
func (d *damaged) overwrite(name string, content []byte) {
	require.NoError(d.t, os.WriteFile(d.path(name), content, 0o644))
}

func (d *damaged) remove(name string) { require.NoError(d.t, os.RemoveAll(d.path(name))) }

// link replaces a file by a symbolic link.
func (d *damaged) link(name, target string) {
	d.remove(name)
	require.NoError(d.t, os.Symlink(target, d.path(name)))
}

// outside returns a file outside of the tree that has the given content.
func (d *damaged) outside(content []byte) string {
	path := filepath.Join(d.t.TempDir(), "secret")
	require.NoError(d.t, os.WriteFile(path, content, 0o644))
	return path
}

// flipped returns the content with one bit changed.
func flipped(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)/2] ^= 1
	return b
}

// damages are the kinds of damage of a layer of size large, found by every Verify unless said otherwise.
var damages = map[string]struct {
	make func(d *damaged)
	kind importer.ProblemKind
	path func(d *damaged) string
	full bool // found by VerifyFull only
}{
	"blob is missing": {func(d *damaged) { d.remove(blobName(d.layer.Digest)) }, importer.ProblemMissing,
		layerBlob, false},
	"blob is truncated": {func(d *damaged) { d.overwrite(blobName(d.layer.Digest), d.content[:large-1]) },
		importer.ProblemSize, layerBlob, false},
	"blob is empty": {func(d *damaged) { d.overwrite(blobName(d.layer.Digest), nil) }, importer.ProblemSize,
		layerBlob, false},
	"blob is longer": {func(d *damaged) { d.overwrite(blobName(d.layer.Digest), append(d.content, 0)) },
		importer.ProblemSize, layerBlob, false},
	"blob has other bytes": {func(d *damaged) { d.overwrite(blobName(d.layer.Digest), flipped(d.content)) },
		importer.ProblemDigest, layerBlob, true},
	"blob is a directory": {func(d *damaged) {
		d.remove(blobName(d.layer.Digest))
		require.NoError(d.t, os.Mkdir(d.path(blobName(d.layer.Digest)), 0o755))
	}, importer.ProblemFile, layerBlob, false},
	"blob is a link out of the tree": {func(d *damaged) {
		d.link(blobName(d.layer.Digest), d.outside(d.content))
	}, importer.ProblemFile, layerBlob, false},
	"directory of the blob is a link out of the tree": {func(d *damaged) {
		dir := filepath.Dir(blobName(d.layer.Digest))
		out := filepath.Dir(d.outside(d.content))
		require.NoError(d.t, os.Rename(filepath.Join(out, "secret"), filepath.Join(out, "data")))
		d.link(dir, out)
	}, importer.ProblemFile, layerBlob, false},
	"layer link is missing": {func(d *damaged) { d.remove(layerName("r", d.layer.Digest)) }, importer.ProblemMissing,
		layerLink, false},
	"layer link is empty": {func(d *damaged) { d.overwrite(layerName("r", d.layer.Digest), nil) }, importer.ProblemLink,
		layerLink, false},
	"layer link holds text": {func(d *damaged) { d.overwrite(layerName("r", d.layer.Digest), []byte("sha256:../../etc")) },
		importer.ProblemLink, layerLink, false},
	"layer link is huge": {func(d *damaged) { d.overwrite(layerName("r", d.layer.Digest), make([]byte, 1000)) },
		importer.ProblemLink, layerLink, false},
	"layer link is a symbolic link": {func(d *damaged) {
		d.link(layerName("r", d.layer.Digest), d.outside([]byte(d.layer.Digest)))
	}, importer.ProblemFile, layerLink, false},
	"manifest is missing": {func(d *damaged) { d.remove(blobName(d.image.Digest)) }, importer.ProblemMissing,
		imageBlob, false},
	"manifest has other bytes": {func(d *damaged) {
		b, err := os.ReadFile(d.path(blobName(d.image.Digest)))
		require.NoError(d.t, err)
		d.overwrite(blobName(d.image.Digest), append(b, ' '))
	}, importer.ProblemDigest, imageBlob, false},
	"manifest is empty": {func(d *damaged) { d.overwrite(blobName(d.image.Digest), nil) }, importer.ProblemDigest,
		imageBlob, false},
	"manifest is huge": {func(d *damaged) { d.overwrite(blobName(d.image.Digest), make([]byte, 5<<20)) },
		importer.ProblemRead, imageBlob, false},
	"revision link is missing": {func(d *damaged) { d.remove(revisionName("r", d.image.Digest)) }, importer.ProblemMissing,
		revision, false},
	"revision link is empty": {func(d *damaged) { d.overwrite(revisionName("r", d.image.Digest), nil) },
		importer.ProblemLink, revision, false},
	"revision link names another blob": {func(d *damaged) {
		d.overwrite(revisionName("r", d.image.Digest), []byte(d.layer.Digest))
	}, importer.ProblemLink, revision, false},
	"tag link is empty": {func(d *damaged) { d.overwrite(tagName("r", "bad"), nil) }, importer.ProblemLink,
		tagLink, false},
	"tag link is missing": {func(d *damaged) { d.remove(tagName("r", "bad")) }, importer.ProblemMissing, tagLink, false},
	"tag link has a line end": {func(d *damaged) {
		d.overwrite(tagName("r", "bad"), []byte(d.image.Digest+"\n"))
	}, importer.ProblemLink, tagLink, false},
	"tag link is a directory": {func(d *damaged) {
		d.remove(tagName("r", "bad"))
		require.NoError(d.t, os.Mkdir(d.path(tagName("r", "bad")), 0o755))
	}, importer.ProblemFile, tagLink, false},
	"tag is a file": {func(d *damaged) {
		dir := filepath.Dir(filepath.Dir(tagName("r", "bad")))
		d.remove(dir)
		d.overwrite(dir, []byte("x"))
	}, importer.ProblemFile, func(*damaged) string { return "repositories/r/_manifests/tags/bad" }, false},
	"tag is a link": {func(d *damaged) {
		dir := filepath.Dir(filepath.Dir(tagName("r", "bad")))
		d.link(dir, "good")
	}, importer.ProblemFile, func(*damaged) string { return "repositories/r/_manifests/tags/bad" }, false},
}

func layerBlob(d *damaged) string { return blobName(d.layer.Digest) }
func layerLink(d *damaged) string { return layerName("r", d.layer.Digest) }
func imageBlob(d *damaged) string { return blobName(d.image.Digest) }
func revision(d *damaged) string  { return revisionName("r", d.image.Digest) }
func tagLink(d *damaged) string   { return tagName("r", "bad") }

// TestDamageIsReportedAndSkipped makes each kind of damage. The report says what and where, in a rehearsal
// too; the other tag is imported; and a Run after a repair imports the rest.
func TestDamageIsReportedAndSkipped(t *testing.T) {
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, dst *destination) {
				d := newDamaged(t, large)
				backup := t.TempDir()
				require.NoError(t, os.CopyFS(backup, os.DirFS(d.dir)))
				c.make(d)
				for _, dry := range []bool{true, false} {
					rep := dst.run(d.tree, &importer.Options{Verify: importer.VerifyFull, TaggedOnly: true, DryRun: dry})
					p := problem(t, rep)
					require.Equal(t, c.kind, p.Kind, "%+v", p)
					require.Equal(t, c.path(d), p.Path, "%+v", p)
					require.Equal(t, "r", p.Repository)
					require.Equal(t, "bad", p.Tag)
					require.NotEmpty(t, p.Message)
					require.NotContains(t, p.Message, d.dir, "no path of this machine")
					require.EqualValues(t, 1, rep.Damaged)
					require.EqualValues(t, 1, rep.Tags.Set)
				}
				require.NotEmpty(t, dst.tagged("r", "good"))
				require.Empty(t, dst.tagged("r", "bad"))
				require.False(t, dst.has("r", d.image.Digest))

				require.NoError(t, os.RemoveAll(d.dir))
				require.NoError(t, os.CopyFS(d.dir, os.DirFS(backup)))
				require.Empty(t, dst.run(d.tree, nil).Problems)
				require.Equal(t, d.image.Digest, dst.tagged("r", "bad"))
				require.Equal(t, d.content, dst.content("r", d.layer.Digest))
			})
		})
	}
}

// TestVerifyFindsWhatItPromises: sizes are always compared, and what is streamed is always hashed.
func TestVerifyFindsWhatItPromises(t *testing.T) {
	for _, c := range []struct {
		verify importer.Verify
		size   int
		found  bool
	}{
		{importer.VerifyNone, large, false},
		{importer.VerifyFull, large, true},
		{importer.VerifyNone, 1000, true}, // kept in its record, and therefore streamed
	} {
		d := newDamaged(t, c.size)
		d.overwrite(blobName(d.layer.Digest), flipped(d.content))
		dst := onDisk(t)
		rep := dst.run(d.tree, &importer.Options{Verify: c.verify})
		require.Equal(t, c.found, len(rep.Problems) > 0, "%+v", c)
		if c.verify == importer.VerifyFull {
			require.EqualValues(t, 2, rep.Hashed.Count)
		}
	}
}

// TestSampleHashesSomeLayers: of many damaged layers, the sample finds some and not all.
func TestSampleHashesSomeLayers(t *testing.T) {
	tr := newTree(t)
	const n = 80
	for range n {
		content := random(large)
		l := tr.layer("r", content)
		tr.tag("r", "t"+l.Digest.Encoded()[:8], tr.image("r", l).Digest, time.Time{})
		require.NoError(t, os.WriteFile(tr.path(blobName(l.Digest)), flipped(content), 0o644))
	}
	rep := onDisk(t).run(tr, &importer.Options{Verify: importer.VerifySample})
	require.NotEmpty(t, rep.Problems)
	require.Less(t, len(rep.Problems), n/2)
	require.EqualValues(t, len(rep.Problems), rep.Hashed.Count)
}

// TestSchema1IsReportedAndSkipped: the manifests that version 2 of the old registry stores.
func TestSchema1IsReportedAndSkipped(t *testing.T) {
	dst := inMemory(t)
	tr := newTree(t)
	m := tr.manifest("r", []byte(`{"schemaVersion":1,"name":"r","tag":"old","architecture":"amd64",`+
		`"fsLayers":[{"blobSum":"`+string(tr.layer("r", random(10)).Digest)+`"}],`+
		`"history":[{"v1Compatibility":"{}"}],"signatures":[]}`))
	tr.tag("r", "old", m.Digest, time.Time{})
	tr.tag("r", "new", tr.image("r").Digest, time.Time{})
	rep := dst.run(tr, nil)
	p := problem(t, rep)
	require.Equal(t, importer.ProblemSchema1, p.Kind)
	require.Equal(t, "old", p.Tag)
	require.EqualValues(t, 1, rep.Schema1)
	require.Zero(t, rep.Damaged)
	require.EqualValues(t, 1, rep.Tags.Skipped)
	require.NotEmpty(t, dst.tagged("r", "new"))
}

// TestIndexWithDamagedChild: an index is imported whole or not at all, unless Sparse allows it.
func TestIndexWithDamagedChild(t *testing.T) {
	tr := newTree(t)
	whole, missing := tr.image("r", tr.layer("r", random(10))), tr.image("r", tr.layer("r", random(10)))
	index := tr.index("r", whole, missing)
	tr.tag("r", "v1", index.Digest, time.Time{})
	require.NoError(t, os.RemoveAll(filepath.Dir(tr.path(revisionName("r", missing.Digest)))))
	dst := inMemory(t)
	p := problem(t, dst.run(tr, nil))
	require.Equal(t, importer.ProblemMissing, p.Kind)
	require.Equal(t, revisionName("r", missing.Digest), p.Path)
	require.Equal(t, index.Digest, p.Digest)
	require.Empty(t, dst.tagged("r", "v1"))

	rep := dst.run(tr, &importer.Options{Sparse: true})
	require.Empty(t, rep.Problems)
	require.Equal(t, index.Digest, dst.tagged("r", "v1"))
}

// TestRefusedManifests: what the new registry refuses is reported with its reason.
func TestRefusedManifests(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":        `not JSON`,
		"two shapes":     `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`,
		"duplicate keys": `{"schemaVersion":2,"schemaVersion":2,"manifests":[]}`,
		"strange type":   `{"schemaVersion":2,"mediaType":"text/html","manifests":[]}`,
		"negative size": `{"schemaVersion":2,"layers":[{"mediaType":"a/b","size":-1,` +
			`"digest":"` + string(digest.FromString("")) + `"}]}`,
		"digest of no kind": `{"schemaVersion":2,"layers":[{"mediaType":"a/b","size":1,"digest":"md5:0"}]}`,
	} {
		tr := newTree(t)
		m := tr.manifest("r", []byte(content))
		tr.tag("r", "v1", m.Digest, time.Time{})
		p := problem(t, inMemory(t).run(tr, nil))
		require.Equal(t, importer.ProblemManifest, p.Kind, name)
		require.Equal(t, blobName(m.Digest), p.Path, name)
	}
}

// TestHostileNames: names that the new registry does not accept are reported, and links are not followed.
func TestHostileNames(t *testing.T) {
	tr := newTree(t)
	victim := tr.image("victim")
	tr.tag("victim", "v1", victim.Digest, time.Time{})
	long := strings.Repeat("x", 250) + "/" + strings.Repeat("y", 250)
	for _, name := range []string{"Upper", "a..b", "-dash", "white space", "new\nline", long} {
		tr.tag(name, "v1", victim.Digest, time.Time{})
	}
	tr.tag("victim", "bad tag", victim.Digest, time.Time{})
	tr.write("repositories/victim/_manifests/revisions/sha256/nothex/link", "x")
	tr.write("repositories/file", "a file among repositories")
	require.NoError(t, os.Symlink("..", tr.path("repositories/victim/loop")))
	require.NoError(t, os.Symlink("/", tr.path("repositories/root")))
	require.NoError(t, os.Symlink("victim", tr.path("repositories/alias")))

	dst := inMemory(t)
	rep := dst.run(tr, nil)
	require.EqualValues(t, 1, rep.Repositories)
	kinds := map[importer.ProblemKind]int{}
	for _, p := range rep.Problems {
		kinds[p.Kind]++
	}
	require.Equal(t, map[importer.ProblemKind]int{importer.ProblemName: 8, importer.ProblemFile: 4}, kinds)
	require.Equal(t, victim.Digest, dst.tagged("victim", "v1"))
	require.Empty(t, dst.tagged("alias", "v1"))
}

// TestLayerOfAnotherRepository: the old registry serves a layer only where it is linked. An import must
// not make more of a forged manifest.
func TestLayerOfAnotherRepository(t *testing.T) {
	both(t, func(t *testing.T, dst *destination) {
		tr := newTree(t)
		secret := tr.layer("private", random(large))
		tr.tag("private", "v1", tr.image("private", secret).Digest, time.Time{})
		forged := tr.image("public", secret) // without a link in public
		tr.tag("public", "v1", forged.Digest, time.Time{})
		p := problem(t, dst.run(tr, nil))
		require.Equal(t, importer.ProblemMissing, p.Kind)
		require.Equal(t, layerName("public", secret.Digest), p.Path)
		require.Empty(t, dst.tagged("public", "v1"))
	})
}

// TestProblemsAreBounded: the report lists the first thousand, and counts the rest.
func TestProblemsAreBounded(t *testing.T) {
	tr := newTree(t)
	for i := range importer.MaxProblems + 5 {
		tr.write(tagName("r", "t"+digest.FromString(string(rune(i))).Encoded()[:12]), "")
	}
	rep := inMemory(t).run(tr, nil)
	require.Len(t, rep.Problems, importer.MaxProblems)
	require.EqualValues(t, 5, rep.Omitted)
	require.EqualValues(t, importer.MaxProblems+5, rep.Damaged)
}

func TestOpenDirRefuses(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) string{
		"nothing": func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") },
		"no tree": func(t *testing.T) string { return t.TempDir() },
		"no blobs": func(t *testing.T) string {
			tr := newTree(t)
			require.NoError(t, os.Remove(tr.path("blobs")))
			return tr.dir
		},
		"blobs elsewhere": func(t *testing.T) string {
			tr := newTree(t)
			require.NoError(t, os.Rename(tr.path("blobs"), tr.dir+"/blobs"))
			require.NoError(t, os.Symlink(tr.dir+"/blobs", tr.path("blobs")))
			return tr.dir
		},
	} {
		_, err := importer.OpenDir(make(t))
		require.Error(t, err, name)
	}
}
