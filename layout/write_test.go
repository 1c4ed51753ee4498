package layout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// TestTwoWriters: writers that add to one directory at a time lose none of each other's entries.
func TestTwoWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	const writers, tags = 4, 10
	var group errgroup.Group
	for i := range writers {
		group.Go(func() error {
			l, err := layout.Create(dir, &layout.Options{Repository: "a"})
			if err != nil {
				return err
			}
			for j := range tags {
				image := registrytest.RandomImage(uint64(100*i+j), 1, 10)
				if err := image.Push(t.Context(), l, "a", fmt.Sprint(i, "-", j)); err != nil {
					return err
				}
			}
			return l.Close()
		})
	}
	require.NoError(t, group.Wait())
	l := open(t, dir, &layout.Options{Repository: "a"})
	got := collect(t, l.Tags(t.Context(), "a", nil))
	require.Len(t, got, writers*tags)
	requireOnlyLayout(t, dir)
}

// requireOnlyLayout requires that a directory has the files of a layout only.
func requireOnlyLayout(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"blobs", "index.json", "oci-layout"}, names)
}

// TestAddToForeignLayout: everything that another program has written stays, also what this package
// does not know.
func TestAddToForeignLayout(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 10)
	files := layoutOf(t, map[string]*registrytest.Content{"v1": image})
	index := fmt.Sprintf(`{"manifests": [ {"mediaType":%q, "digest":%q,"size":%d, "x-unknown":{"a": [1]},
		"platform":{"architecture":"arm64","os":"linux"}, "annotations":{"org.opencontainers.image.ref.name":"v1","z":"y"}} ],
		"annotations":{"k":"v"}, "schemaVersion":2, "another":{"b":null}}`,
		image.Descriptor.MediaType, image.Descriptor.Digest, image.Descriptor.Size)
	files[len(files)-1].content = []byte(index)
	dir := placed(t, "dir", files)
	require.NoError(t, os.WriteFile(dir+"/README", []byte("foreign"), 0o600))
	other := registrytest.RandomImage(5, 1, 10)
	l := create(t, dir, &layout.Options{Repository: "a"})
	require.NoError(t, other.Push(t.Context(), l, "a", "v2"))
	require.NoError(t, other.Push(t.Context(), l, "b", "v2"))
	require.NoError(t, l.Close())

	var got struct {
		ocispec.Index
		Another map[string]any
	}
	content, err := os.ReadFile(dir + "/index.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &got))
	require.Equal(t, map[string]any{"b": nil}, got.Another)
	require.Equal(t, map[string]string{"k": "v"}, got.Annotations)
	require.Contains(t, string(content), `"x-unknown":{"a": [1]}`)
	require.Len(t, got.Manifests, 3)
	require.Equal(t, "arm64", got.Manifests[0].Platform.Architecture)
	require.Equal(t, "v2", got.Manifests[1].Annotations[ocispec.AnnotationRefName])
	require.Equal(t, "b:v2", got.Manifests[2].Annotations[ocispec.AnnotationRefName])
	require.FileExists(t, dir+"/README")
	info, err := os.Stat(dir + "/index.json")
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm())
	l = open(t, dir, &layout.Options{Repository: "a"})
	requireTag(t, l, "a", "v1", image.Descriptor)
	requireTag(t, l, "b", "v2", other.Descriptor)
}

// TestMoveTag: a tag that is pushed again leads to the new manifest only.
func TestMoveTag(t *testing.T) {
	for _, name := range []string{"dir", "file.tar"} {
		path := filepath.Join(t.TempDir(), name)
		l := create(t, path, nil)
		one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(5, 1, 10)
		require.NoError(t, one.Push(t.Context(), l, "a", "v1", "v2"))
		require.NoError(t, two.Push(t.Context(), l, "a", "v1"))
		require.NoError(t, l.Close())
		l = open(t, path, nil)
		requireTag(t, l, "a", "v1", two.Descriptor)
		requireTag(t, l, "a", "v2", one.Descriptor)
		roots, err := l.Roots(t.Context())
		require.NoError(t, err)
		require.Len(t, roots, 2)
	}
}

// TestSeveralRepositories: names of repositories survive, whatever they look like.
func TestSeveralRepositories(t *testing.T) {
	names := []string{"app", "team/app", "library/app", "ghcr.io/team/app", "localhost/app", "docker.io/library/app"}
	for _, first := range names {
		for _, name := range []string{"dir", "file.tar"} {
			path := filepath.Join(inMemory(t), name)
			l := create(t, path, nil)
			for i, repo := range append([]string{first}, names...) {
				require.NoError(t, registrytest.RandomImage(uint64(i), 1, 10).Push(t.Context(), l, repo, "v1"))
			}
			require.NoError(t, l.Close())
			l = open(t, path, nil)
			require.ElementsMatch(t, names, collect(t, l.Repositories(t.Context(), nil)), "%s first", first)
			for i, repo := range names {
				requireTag(t, l, repo, "v1", registrytest.RandomImage(uint64(i+1), 1, 10).Descriptor)
			}
		}
	}
}

// TestArchiveIsReproducible: the same content gives the same bytes, in whatever order it comes.
func TestArchiveIsReproducible(t *testing.T) {
	src := registrytest.NewStore(t)
	newSample(t, src, "team/app")
	var want []byte
	for i, tags := range [][]string{{"v1", "multi", "latest"}, {"latest", "multi", "v1"}} {
		path := filepath.Join(t.TempDir(), "file.tar")
		l := create(t, path, nil)
		for _, tag := range tags {
			opts := &replicate.Options{Referrers: true, Parallel: 1 + 7*i}
			_, err := replicate.Copy(t.Context(), l, src, "team/app:"+tag, opts)
			require.NoError(t, err)
		}
		require.NoError(t, l.Close())
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		if want == nil {
			want = content
		}
		require.Equal(t, digest.FromBytes(want), digest.FromBytes(content))
	}
}

// TestUnfinishedArchive: an export that fails, is dropped, or whose process ends leaves nothing
// that looks like an archive, and the next one removes what is left.
func TestUnfinishedArchive(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.tar")
	image := registrytest.RandomImage(1, 2, 1000)
	l := create(t, path, nil)
	require.NoError(t, image.Push(t.Context(), l, "a", "v1"))
	require.NoError(t, l.Abort())
	requireNames(t, dir)

	left := filepath.Join(dir, "file.tar.tmp-"+strings.Repeat("a", 26)) // by a process that was killed
	require.NoError(t, os.MkdirAll(left+"/blobs/sha256", 0o755))
	foreign := filepath.Join(dir, "file.tar.tmp-mine")
	require.NoError(t, os.Mkdir(foreign, 0o755))
	l = create(t, path, nil)
	require.NoDirExists(t, left)
	require.NoError(t, os.Remove(foreign), "it is not ours")
	other := create(t, filepath.Join(dir, "file.tar"), nil)
	require.NoError(t, image.Push(t.Context(), l, "a", "v1"), "the other has not removed it")
	require.NoError(t, l.Close())
	require.ErrorIs(t, other.Close(), fs.ErrExist)
	requireNames(t, dir, "file.tar")

	_, err := layout.Create(path, nil)
	require.ErrorIs(t, err, fs.ErrExist)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	l = create(t, path, &layout.Options{Replace: true})
	require.NoError(t, image.Push(t.Context(), l, "a", "v1", "v2"))
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, now, "until Close")
	require.NoError(t, l.Close())
	requireTag(t, open(t, path, nil), "a", "v2", image.Descriptor)
	requireNames(t, dir, "file.tar")

	_, err = layout.Create(t.TempDir()+"/none/file.tar", nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.tar"), 0o755))
	_, err = layout.Create(filepath.Join(dir, "folder.tar"), &layout.Options{Replace: true})
	require.ErrorContains(t, err, "a directory")
}

func requireNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	require.Equal(t, append([]string{}, want...), got)
}

// TestCreateRefusesOtherDirectories: Create adds to layouts and fills empty directories only.
func TestCreateRefusesOtherDirectories(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	_, err := layout.Create(dir, nil)
	require.ErrorContains(t, err, "is no OCI image layout")
	requireNames(t, dir, "file")
	_, err = layout.Create(dir+"/file", nil)
	require.ErrorContains(t, err, "no directory")
	_, err = layout.Create(t.TempDir(), &layout.Options{Repository: "A"})
	require.ErrorIs(t, err, registry.ErrNameInvalid)
	_, err = layout.Open(t.TempDir(), nil)
	require.ErrorContains(t, err, "oci-layout is missing")
	_, err = layout.Open(dir, &layout.Options{MaxFiles: -1})
	require.ErrorContains(t, err, "negative")

	// What a process leaves that ended while it created the layout is no obstacle.
	half := t.TempDir()
	require.NoError(t, os.MkdirAll(half+"/.ingest-"+strings.Repeat("a", 26), 0o755))
	require.NoError(t, os.MkdirAll(half+"/blobs/sha256", 0o755))
	l := create(t, half, nil)
	require.NoError(t, l.Close())
	requireOnlyLayout(t, half)
}

// TestInterruptedCopy: a copy into a layout that fails leaves no entry, and the next one completes
// it.
func TestInterruptedCopy(t *testing.T) {
	src := registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 4, 1_000_000)
	require.NoError(t, image.Push(t.Context(), src, "a", "v1"))
	dir := filepath.Join(t.TempDir(), "dir")
	l := create(t, dir, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := replicate.Copy(ctx, l, src, "a:v1", &replicate.Options{Parallel: 1, Progress: func(p replicate.Progress) {
		if p.Blobs == 2 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	roots, err := l.Roots(t.Context())
	require.NoError(t, err)
	require.Empty(t, roots)
	require.NoError(t, l.Close())
	requireOnlyLayout(t, dir)
	l = create(t, dir, nil)
	res, err := replicate.Copy(t.Context(), l, src, "a:v1", nil)
	require.NoError(t, err)
	require.Positive(t, res.Progress.Skipped)
	requireContent(t, l, "a", image)
}

// TestClosed: a closed Layout fails, and does nothing.
func TestClosed(t *testing.T) {
	l := create(t, filepath.Join(t.TempDir(), "dir"), nil)
	image := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, image.Push(t.Context(), l, "a", "v1"))
	require.NoError(t, l.Close())
	require.Error(t, image.Push(t.Context(), l, "a", "v2"))
	_, err := l.Roots(t.Context())
	require.ErrorContains(t, err, "closed")
	_, err = l.StatBlob(t.Context(), "a", image.Descriptor.Digest, nil)
	require.ErrorContains(t, err, "closed")
}

// TestForeignWriter: a change of index.json by a program without the lock is not overwritten.
func TestForeignWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	l := create(t, dir, &layout.Options{Repository: "a"})
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), l, "a", "v1"))
	content, err := os.ReadFile(dir + "/index.json")
	require.NoError(t, err)
	changed := strings.Replace(string(content), `"v1"`, `"v9"`, 1)
	require.NoError(t, os.WriteFile(dir+"/index.json", []byte(changed), 0o600)) // in place, of the same size
	require.NoError(t, registrytest.RandomImage(5, 1, 10).Push(t.Context(), l, "a", "v2"))
	require.Equal(t, []string{"v2", "v9"}, collect(t, l.Tags(t.Context(), "a", nil)))
}

// TestDamagedManifestIsReplaced: pushing content again heals it.
func TestDamagedManifestIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	l := create(t, dir, nil)
	image := registrytest.RandomImage(1, 1, 1000)
	require.NoError(t, image.Push(t.Context(), l, "a", "v1"))
	for _, d := range []digest.Digest{image.Descriptor.Digest, digest.FromBytes(image.Blobs[1])} {
		path := filepath.Join(dir, "blobs/sha256", d.Encoded())
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		content[3] ^= 1
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	require.NoError(t, image.Push(t.Context(), l, "a", "v1"))
	requireContent(t, l, "a", image)
}

// TestFullIndex: index.json never becomes one that cannot be read again.
func TestFullIndex(t *testing.T) {
	for _, name := range []string{"dir", "file.tar"} {
		for _, opts := range []*layout.Options{{MaxManifests: 3}, {MaxIndexSize: 1200}} {
			path := filepath.Join(t.TempDir(), name)
			l := create(t, path, opts)
			err := error(nil)
			for i := 0; i < 20 && err == nil; i++ {
				err = registrytest.RandomImage(uint64(10*i), 1, 10).Push(t.Context(), l, "a", fmt.Sprint(i))
			}
			if cerr := l.Close(); err == nil {
				err = cerr
			}
			require.ErrorIs(t, err, registry.ErrNoSpace)
			if name == "dir" || opts.MaxManifests > 0 {
				roots, err := open(t, path, opts).Roots(t.Context())
				require.NoError(t, err)
				require.NotEmpty(t, roots)
			} else {
				requireNames(t, filepath.Dir(path))
			}
		}
	}
}

var errBroken = errors.New("broken")

// TestUploadsAreBounded: an upload that is never ended is removed by Close.
func TestUploadsAreBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	l := create(t, dir, nil)
	u, err := l.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, -1, io.MultiReader(strings.NewReader("some"), &failing{}))
	require.ErrorIs(t, err, errBroken)
	require.EqualValues(t, 4, u.Size())
	require.NoError(t, l.Close())
	requireOnlyLayout(t, dir)
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errBroken }
