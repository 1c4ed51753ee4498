package layout_test

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// savedImage is an image in the form of "docker save" before Docker 25.
type savedImage struct {
	config []byte
	layers [][]byte
	files  []file
	json   map[string]any // its element of manifest.json
}

// saved returns an image with layers that are archives, each in a folder of its own.
func saved(t *testing.T, seed uint64, tags ...string) *savedImage {
	t.Helper()
	s := &savedImage{}
	var config ocispec.Image
	config.RootFS.Type = "layers"
	var names []string
	for i := range 2 {
		layer := archiveOf(t, regular("file", registrytest.RandomBytes(seed+uint64(i), 1000)))
		s.layers = append(s.layers, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(layer))
		name := fmt.Sprintf("%064x/layer.tar", seed+uint64(i))
		names = append(names, name)
		s.files = append(s.files, regular(name, layer),
			regular(strings.Replace(name, "layer.tar", "VERSION", 1), []byte("1.0")))
	}
	s.config = encode(t, config)
	configName := digest.FromBytes(s.config).Encoded() + ".json"
	s.files = append(s.files, regular(configName, s.config))
	s.json = map[string]any{"Config": configName, "RepoTags": tags, "Layers": names}
	return s
}

// savedArchive returns the files of an archive of images.
func savedArchive(t *testing.T, images ...*savedImage) []file {
	t.Helper()
	var files []file
	list := []any{}
	for _, image := range images {
		files = append(files, image.files...)
		list = append(list, image.json)
	}
	return append(files, regular("manifest.json", encode(t, list)), regular("repositories", []byte(`{}`)))
}

// readSaved returns the manifest of a tag.
func readSaved(t *testing.T, l *layout.Layout, repo, tag string) (desc ocispec.Descriptor, m ocispec.Manifest) {
	t.Helper()
	got, err := l.GetManifest(t.Context(), repo, reference.Ref{Tag: tag})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(got.Content, &m))
	require.Equal(t, "application/vnd.docker.distribution.manifest.v2+json", got.Descriptor.MediaType)
	require.Equal(t, m.MediaType, got.Descriptor.MediaType)
	return got.Descriptor, m
}

func TestDockerArchive(t *testing.T) {
	one, two := saved(t, 1, "app:v1", "localhost:5000/team/app:v1", "app:latest"), saved(t, 10, "ghcr.io/team/other:v2")
	nameless := saved(t, 20)
	nameless.json["RepoTags"] = nil
	content := archiveOf(t, savedArchive(t, one, two, nameless)...)
	for name, content := range map[string][]byte{"plain": content, "gzip": zipped(t, content)} {
		t.Run(name, func(t *testing.T) {
			l := open(t, save(t, "x.tar", content), &layout.Options{TempDir: t.TempDir()})
			require.Equal(t, []string{"app", "team/app", "team/other"}, collect(t, l.Repositories(t.Context(), nil)))
			require.Equal(t, []string{"latest", "v1"}, collect(t, l.Tags(t.Context(), "app", nil)))
			_, m := readSaved(t, l, "app", "v1")
			require.Equal(t, one.config, readBlob(t, l, "app", m.Config.Digest))
			for i, layer := range m.Layers {
				require.Equal(t, digest.FromBytes(one.layers[i]), layer.Digest)
				require.Equal(t, "application/vnd.docker.image.rootfs.diff.tar", layer.MediaType)
				require.Equal(t, one.layers[i], readBlob(t, l, "app", layer.Digest))
			}
			roots, err := l.Roots(t.Context())
			require.NoError(t, err)
			require.Len(t, roots, 5)
			require.Equal(t, layout.Root{Descriptor: roots[4].Descriptor}, roots[4], "the image without a name")

			dst := registrytest.NewStore(t)
			for _, ref := range []string{"app:v1", "team/other:v2", "app@" + string(roots[4].Descriptor.Digest)} {
				_, err = replicate.Copy(t.Context(), dst, l, ref, nil)
				require.NoError(t, err)
				missing, err := replicate.Verify(t.Context(), dst, ref, nil)
				require.NoError(t, err)
				require.Empty(t, missing)
			}
		})
	}
}

// TestDockerArchiveCompressed: layers that are compressed have the digests of the compressed
// content.
func TestDockerArchiveCompressed(t *testing.T) {
	image := saved(t, 1, "app:v1")
	for i := range image.files {
		if strings.HasSuffix(image.files[i].Name, "/layer.tar") {
			image.files[i].content = zipped(t, image.files[i].content)
		}
	}
	l := open(t, save(t, "x.tar", archiveOf(t, savedArchive(t, image)...)), nil)
	_, m := readSaved(t, l, "app", "v1")
	for i, layer := range m.Layers {
		content := readBlob(t, l, "app", layer.Digest)
		require.Equal(t, "application/vnd.docker.image.rootfs.diff.tar.gzip", layer.MediaType)
		require.Equal(t, zipped(t, image.layers[i]), content)
	}
}

// TestDockerArchiveLinks: Docker and skopeo write a layer that images share once, and symbolic
// links to it.
func TestDockerArchiveLinks(t *testing.T) {
	one, two := saved(t, 1, "app:v1"), saved(t, 1, "app:v2")
	first := one.json["Layers"].([]string)[0]
	link := func(name, to string) file {
		return file{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}, nil}
	}
	two.files = []file{link("other/layer.tar", "../"+first)}
	two.json["Layers"] = []string{"other/layer.tar", two.json["Layers"].([]string)[1]}
	l := open(t, save(t, "x.tar", archiveOf(t, savedArchive(t, one, two)...)), nil)
	a, _ := readSaved(t, l, "app", "v1")
	b, m := readSaved(t, l, "app", "v2")
	require.Equal(t, a, b)
	require.Equal(t, one.layers[0], readBlob(t, l, "app", m.Layers[0].Digest))

	for to, reason := range map[string]string{
		"../../../etc/passwd": "leaves the archive", "/etc/passwd": "leaves the archive", "../none/layer.tar": "has no file",
		"layer.tar": "has no file", "../another/layer.tar": "has no file",
	} {
		two.files = []file{link("other/layer.tar", to), link("another/layer.tar", "../other/layer.tar")}
		_, err := layout.Open(save(t, "x.tar", archiveOf(t, savedArchive(t, one, two)...)), nil)
		require.ErrorContains(t, err, reason, to)
	}
}

func TestHostileDockerArchives(t *testing.T) {
	for name, row := range map[string]struct {
		change func(s *savedImage)
		reason string
	}{
		"config missing":   {func(s *savedImage) { s.json["Config"] = "none.json" }, "has no file"},
		"config elsewhere": {func(s *savedImage) { s.json["Config"] = "../x.json" }, ".."},
		"config absolute":  {func(s *savedImage) { s.json["Config"] = "/etc/passwd" }, "absolute"},
		"config no JSON":   {func(s *savedImage) { s.json["Config"] = s.json["Layers"].([]string)[0] }, "config"},
		"config changed":   {func(s *savedImage) { s.files[len(s.files)-1].content = []byte("{}") }, "another digest"},
		"layer missing":    {func(s *savedImage) { s.json["Layers"] = []string{"a", "b"} }, "has no file"},
		"layer elsewhere":  {func(s *savedImage) { s.json["Layers"] = []string{"../a", "/b"} }, ".."},
		"layer too few":    {func(s *savedImage) { s.json["Layers"] = []string{} }, "2 layers, and manifest.json 0"},
		"layer with bzip2": {func(s *savedImage) { s.files[0].content = []byte("BZh91AY") }, "bzip2"},
		"config too large": {func(s *savedImage) {
			s.json["Config"] = "large"
			s.files = append(s.files, regular("large", make([]byte, 1<<20)))
		}, "more than"},
		"images of a type":  {func(s *savedImage) { s.json["Layers"] = "x" }, "manifest.json"},
		"images of numbers": {func(s *savedImage) { s.json["RepoTags"] = []int{1} }, "manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			image := saved(t, 1, "app:v1")
			row.change(image)
			path := save(t, "x.tar", archiveOf(t, savedArchive(t, image)...))
			_, err := layout.Open(path, &layout.Options{MaxManifestSize: 100_000})
			require.ErrorContains(t, err, row.reason)
		})
	}
	_, err := layout.Open(save(t, "x.tar", archiveOf(t, savedArchive(t, saved(t, 1), saved(t, 10))...)),
		&layout.Options{MaxManifests: 1})
	require.ErrorContains(t, err, "more than 1 images")
}

// TestDockerArchiveWrongLayer: a layer that is not the one of the config is never served as whole.
func TestDockerArchiveWrongLayer(t *testing.T) {
	image := saved(t, 1, "app:v1")
	image.files[0].content[600] ^= 1
	l := open(t, save(t, "x.tar", archiveOf(t, savedArchive(t, image)...)), nil)
	_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), l, "app:v1", nil)
	require.ErrorContains(t, err, "has another digest")
}

// TestRepeatedConfig: a small manifest.json must not make a reader read and make much more than the archive
// has.
func TestRepeatedConfig(t *testing.T) {
	config := append([]byte(`{"rootfs":{"diff_ids":[]}}`), []byte(strings.Repeat(" ", 10_000))...)
	layer, diffID := regular("l", []byte("layer")), digest.FromString("layer")
	wide, layers := ocispec.Image{}, []string{}
	for range 200 {
		wide.RootFS.DiffIDs, layers = append(wide.RootFS.DiffIDs, diffID), append(layers, "l")
	}
	many := func(n int, image map[string]any) []byte {
		list := make([]any, n)
		for i := range list {
			list[i] = image
		}
		return encode(t, list)
	}
	for name, c := range map[string]struct {
		files []file
		want  string
	}{
		"config": {[]file{regular("c", config),
			regular("manifest.json", many(1000, map[string]any{"Config": "c", "Layers": []string{}}))}, "too often"},
		"manifests": {func() (files []file) {
			var list []any
			for i := range 10 {
				wide.Author = fmt.Sprint(i)
				files = append(files, regular(fmt.Sprint("c", i), encode(t, wide)))
				list = append(list, map[string]any{"Config": fmt.Sprint("c", i), "Layers": layers})
			}
			return append(files, layer, regular("manifest.json", encode(t, list)))
		}(), "too large together"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := layout.Open(save(t, "x.tar", archiveOf(t, c.files...)), &layout.Options{MaxIndexSize: 100_000})
			require.ErrorContains(t, err, c.want)
		})
	}
}
