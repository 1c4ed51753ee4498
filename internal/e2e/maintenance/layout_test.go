package maintenance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// layoutRepo is the repository of the tests of layouts.
const layoutRepo = "team/app"

// layoutSource returns a store that has a runnable image as v1, with a signature, and an index as
// multi.
func layoutSource(t *testing.T) (store registry.Backend, image ocispec.Descriptor, signature digest.Digest) {
	t.Helper()
	store = registrytest.NewStore(t)
	layoutImport(t, store, harness.Layout(t, harness.Image(t, "amd64", t.Name())), "v1")
	layoutImport(t, store, harness.Layout(t, harness.Index(t, t.Name())), "multi")
	image, err := store.StatManifest(t.Context(), layoutRepo, reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	c := registrytest.Artifact("application/x.signature", image, map[string]string{"key": "value"})
	require.NoError(t, c.Push(t.Context(), store, layoutRepo))
	return store, image, c.Descriptor.Digest
}

// layoutImport copies the tag latest of a layout that go-containerregistry has written.
func layoutImport(t *testing.T, store registry.Backend, dir, tag string) {
	t.Helper()
	l, err := layout.Open(dir, &layout.Options{Repository: layoutRepo})
	require.NoError(t, err)
	defer l.Close()
	_, err = replicate.Copy(t.Context(), store, l, layoutRepo+":latest", &replicate.Options{To: layoutRepo + ":" + tag})
	require.NoError(t, err)
}

// layoutExport writes tags with their referrers to a directory or archive.
func layoutExport(t *testing.T, store registry.Backend, path string, tags ...string) string {
	t.Helper()
	l, err := layout.Create(path, nil)
	require.NoError(t, err)
	defer func() { _ = l.Abort() }()
	for _, tag := range tags {
		_, err = replicate.Copy(t.Context(), l, store, layoutRepo+":"+tag, &replicate.Options{Referrers: true})
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	return path
}

// layoutRead copies a tag of what a program has written to a new store. It returns its digest.
func layoutRead(t *testing.T, path, ref string) (registry.Backend, digest.Digest) {
	t.Helper()
	l, err := layout.Open(path, &layout.Options{Repository: layoutRepo})
	require.NoError(t, err)
	defer l.Close()
	store := registrytest.NewStore(t)
	res, err := replicate.Copy(t.Context(), store, l, ref, &replicate.Options{Referrers: true})
	require.NoError(t, err)
	missing, err := replicate.Verify(t.Context(), store, ref, nil)
	require.NoError(t, err)
	require.Empty(t, missing)
	return store, res.Descriptor.Digest
}

func TestLayoutSkopeo(t *testing.T) {
	t.Parallel()
	store, image, _ := layoutSource(t)
	s, dir := harness.NewProgram(t, "skopeo"), t.TempDir()
	ours := layoutExport(t, store, dir+"/ours", "v1", "multi")
	archive := layoutExport(t, store, dir+"/ours.tar", "v1", "multi")

	for name, from := range map[string]string{"dir": "oci:" + ours, "archive": "oci-archive:" + archive} {
		s.Run(t, "copy", "--preserve-digests", from+":v1", "oci:"+dir+"/"+name+":back")
		s.Run(t, "copy", "--preserve-digests", from+":v1", "oci-archive:"+dir+"/"+name+".tar:back")
		s.Run(t, "copy", "--all", from+":multi", "oci:"+dir+"/"+name+":all") // skopeo encodes an index anew
		for _, back := range []string{"/" + name, "/" + name + ".tar"} {
			_, got := layoutRead(t, dir+back, layoutRepo+":back")
			require.Equal(t, image.Digest, got)
		}
		layoutRead(t, dir+"/"+name, layoutRepo+":all")
	}

	// An archive is also one of "docker save", in which skopeo finds the image by its name.
	s.Run(t, "copy", "docker-archive:"+archive+":"+layoutRepo+":v1",
		"docker-archive:"+dir+"/docker.tar:x/"+layoutRepo+":v2")
	back, _ := layoutRead(t, dir+"/docker.tar", "x/"+layoutRepo+":v2")
	requireLayers(t, store, layoutRepo+":v1", back, "x/"+layoutRepo+":v2")
}

// requireLayers requires that two images have the same layers before compression, and commands:
// conversions keep them.
func requireLayers(t *testing.T, a registry.Backend, refA string, b registry.Backend, refB string) {
	t.Helper()
	config := func(b registry.Backend, ref string) (config ocispec.Image) {
		repo, tag, _ := strings.Cut(ref, ":")
		m, err := b.GetManifest(t.Context(), repo, reference.Ref{Tag: tag})
		require.NoError(t, err)
		var image ocispec.Manifest
		require.NoError(t, json.Unmarshal(m.Content, &image))
		blob, err := b.OpenBlob(t.Context(), repo, image.Config.Digest, nil)
		require.NoError(t, err)
		defer blob.Body.Close()
		require.NoError(t, json.NewDecoder(blob.Body).Decode(&config))
		require.Len(t, image.Layers, len(config.RootFS.DiffIDs))
		return config
	}
	want, got := config(a, refA), config(b, refB)
	require.Equal(t, want.RootFS, got.RootFS)
	require.Equal(t, want.Config.Cmd, got.Config.Cmd)
}

func TestLayoutCrane(t *testing.T) {
	t.Parallel()
	store, image, _ := layoutSource(t)
	c, dir := harness.NewProgram(t, "crane"), t.TempDir()
	server := registrytest.NewServer(t, nil)
	copyTo(t, server.Store, store, layoutRepo+":v1", nil)
	ref := server.Host + "/" + layoutRepo

	c.Run(t, "pull", "--format=oci", "--annotate-ref", ref+":v1", dir+"/named")
	_, got := layoutRead(t, dir+"/named", layoutRepo+":v1")
	require.Equal(t, image.Digest, got)
	c.Run(t, "pull", "--format=oci", ref+":v1", dir+"/nameless")
	_, got = layoutRead(t, dir+"/nameless", layoutRepo+"@"+string(image.Digest))
	require.Equal(t, image.Digest, got)
	c.Run(t, "pull", ref+":v1", dir+"/docker.tar") // compressed layers
	back, _ := layoutRead(t, dir+"/docker.tar", layoutRepo+":v1")
	requireLayers(t, store, layoutRepo+":v1", back, layoutRepo+":v1")

	// crane pushes the only entry of a layout: a tag without referrers.
	l, err := layout.Create(dir+"/ours", nil)
	require.NoError(t, err)
	copyTo(t, l, store, layoutRepo+":multi", nil)
	require.NoError(t, l.Close())
	c.Run(t, "push", "--index", dir+"/ours", ref+":index")
	c.Run(t, "push", dir+"/ours", ref+":pushed")
	want, err := store.StatManifest(t.Context(), layoutRepo, reference.Ref{Tag: "multi"}, nil)
	require.NoError(t, err)
	require.Equal(t, want.Digest.String(), strings.TrimSpace(c.Run(t, "digest", ref+":pushed")))
}

func copyTo(t *testing.T, dst, src registry.Backend, ref string, opts *replicate.Options) {
	t.Helper()
	_, err := replicate.Copy(t.Context(), dst, src, ref, opts)
	require.NoError(t, err)
}

// referrersOf returns the digests of the referrers of a manifest.
func referrersOf(t *testing.T, b registry.Backend, d digest.Digest) (all []digest.Digest) {
	t.Helper()
	for desc, err := range b.Referrers(t.Context(), layoutRepo, d, nil) {
		require.NoError(t, err)
		all = append(all, desc.Digest)
	}
	return all
}

func TestLayoutORAS(t *testing.T) {
	t.Parallel()
	store, image, signature := layoutSource(t)
	o, dir := harness.NewProgram(t, "oras"), t.TempDir()
	ours := layoutExport(t, store, dir+"/ours", "v1")
	archive := layoutExport(t, store, dir+"/ours.tar", "v1")
	server := registrytest.NewServer(t, nil)

	require.Contains(t, o.Run(t, "discover", "--oci-layout", ours+":v1"), signature.String())
	for tag, from := range map[string]string{"dir": ours, "archive": archive} {
		o.Run(t, "copy", "-r", "--from-oci-layout", from+":v1", server.Host+"/"+layoutRepo+":"+tag, "--to-plain-http")
	}
	require.Equal(t, []digest.Digest{signature}, referrersOf(t, server.Store, image.Digest))

	// oras adds to ours, and copies to a layout of its own.
	file := filepath.Join(dir, "sbom.txt")
	require.NoError(t, os.WriteFile(file, []byte("sbom"), 0o600))
	o.Run(t, "attach", "--disable-path-validation", "--oci-layout", ours+":v1",
		"--artifact-type", "application/x.sbom", file)
	o.Run(t, "copy", "-r", "--from-oci-layout", ours+":v1", "--to-oci-layout", dir+"/theirs:v1")
	for _, path := range []string{ours, dir + "/theirs"} {
		back, got := layoutRead(t, path, layoutRepo+":v1")
		require.Equal(t, image.Digest, got)
		referrers := referrersOf(t, back, image.Digest)
		require.Len(t, referrers, 2)
		require.Contains(t, referrers, signature)
	}
	// A Layout of ours adds to what oras has written.
	layoutExport(t, store, dir+"/theirs", "multi")
	require.Contains(t, o.Run(t, "repo", "tags", "--oci-layout", dir+"/theirs"), "multi")
	require.Contains(t, o.Run(t, "discover", "--oci-layout", dir+"/theirs:v1"), "application/x.sbom")
}

func TestLayoutUmoci(t *testing.T) {
	t.Parallel()
	store, _, _ := layoutSource(t)
	u, dir := harness.NewProgram(t, "umoci"), t.TempDir()
	ours := layoutExport(t, store, dir+"/ours", "v1")
	require.Contains(t, strings.Fields(u.Run(t, "ls", "--layout", ours)), "v1")
	u.Run(t, "raw", "unpack", "--rootless", "--image", ours+":v1", dir+"/root")
	require.FileExists(t, dir+"/root/unique")
	u.Run(t, "tag", "--image", ours+":v1", "v2")
	u.Run(t, "config", "--image", ours+":v2", "--config.label", "a=b")
	_, got := layoutRead(t, ours, layoutRepo+":v2")
	require.NotEmpty(t, got)
	u.Run(t, "gc", "--layout", ours)
	layoutRead(t, ours, layoutRepo+":v1")
}

func TestLayoutPodman(t *testing.T) {
	t.Parallel()
	store, _, _ := layoutSource(t)
	p, dir := harness.Podman(t), t.TempDir()
	archive := layoutExport(t, store, dir+"/ours.tar", "v1")
	p.Run(t, "load", "-i", archive)
	name := "localhost/" + layoutRepo + ":v1" // as podman completes a name without a host
	for format, file := range map[string]string{
		"oci-archive": "oci.tar", "docker-archive": "docker.tar", "oci-dir": "oci",
	} {
		p.Run(t, "save", "--format", format, "-o", dir+"/"+file, name)
		back, _ := layoutRead(t, dir+"/"+file, layoutRepo+":v1")
		requireLayers(t, store, layoutRepo+":v1", back, layoutRepo+":v1")
	}
}

// TestLayoutDocker: Docker before 25 saves no OCI layout, and layers without compression.
func TestLayoutDocker(t *testing.T) {
	t.Parallel()
	store, _, _ := layoutSource(t)
	d, dir := harness.Docker(t), t.TempDir()
	d.Run(t, "load", "-i", layoutExport(t, store, dir+"/ours.tar", "v1"))
	name := layoutRepo + ":v1"
	require.Contains(t, d.Run(t, "images", "--format", "{{.Repository}}:{{.Tag}}"), name)
	d.Run(t, "tag", name, "other/image:v2")
	d.Run(t, "save", "-o", dir+"/saved.tar", name, "other/image:v2")
	for _, ref := range []string{name, "other/image:v2"} {
		back, _ := layoutRead(t, dir+"/saved.tar", ref)
		requireLayers(t, store, name, back, ref)
	}
}

func TestLayoutContainerd(t *testing.T) {
	t.Parallel()
	store, image, _ := layoutSource(t)
	c, dir := harness.Containerd(t), t.TempDir()
	archive := layoutExport(t, store, dir+"/ours.tar", "v1", "multi")
	c.Run(t, "images", "import", "--all-platforms", "--no-unpack", archive)
	name := "docker.io/" + layoutRepo
	require.Contains(t, c.Run(t, "images", "ls", "-q"), name+":v1")
	c.Run(t, "images", "export", "--all-platforms", dir+"/theirs.tar", name+":v1", name+":multi")
	_, got := layoutRead(t, dir+"/theirs.tar", layoutRepo+":v1")
	require.Equal(t, image.Digest, got)
	layoutRead(t, dir+"/theirs.tar", layoutRepo+":multi")
}
