package clients

import (
	"encoding/json"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

func skopeo(t *testing.T) *harness.Program { return harness.NewProgram(t, "skopeo") }

func TestSkopeoImage(t *testing.T) {
	s, ref := skopeo(t), "docker://"+registry.Addr+"/skopeo/image"
	img := harness.Image(t, "amd64", t.Name())
	want, err := img.Digest()
	require.NoError(t, err)

	s.Run(t, "copy", "--dest-tls-verify=false", "--preserve-digests", "oci:"+harness.Layout(t, img)+":latest", ref+":one")
	s.Run(t, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", ref+":one", ref+":two")
	require.Equal(t, want.String(), registry.DigestOf(t, "skopeo/image", "two"))

	var tags struct{ Tags []string }
	require.NoError(t, json.Unmarshal([]byte(s.Run(t, "list-tags", "--tls-verify=false", ref)), &tags))
	require.Equal(t, []string{"one", "two"}, tags.Tags)

	dir := t.TempDir()
	s.Run(t, "copy", "--src-tls-verify=false", ref+"@"+want.String(), "oci:"+dir+":back")
	var inspect struct{ Digest string }
	require.NoError(t, json.Unmarshal([]byte(s.Run(t, "inspect", "oci:"+dir+":back")), &inspect))
	require.Equal(t, want.String(), inspect.Digest)

	s.Run(t, "delete", "--tls-verify=false", ref+":one") // skopeo deletes the manifest that the tag names
	gone(t, "skopeo/image", want.String())
	gone(t, "skopeo/image", "one")
}

func TestSkopeoIndex(t *testing.T) {
	s, ref := skopeo(t), "docker://"+registry.Addr+"/skopeo/index:all"
	// skopeo rewrites an index once. A copy of the rewritten index must be unchanged.
	s.Run(t, "copy", "--all", "--dest-tls-verify=false", "oci:"+harness.Layout(t, harness.Index(t, t.Name()))+":latest",
		ref)
	s.Run(t, "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", ref, ref+"-again")
	require.Equal(t, registry.DigestOf(t, "skopeo/index", "all"), registry.DigestOf(t, "skopeo/index", "all-again"))

	for _, arch := range []string{"amd64", "arm64"} {
		var inspect struct{ Architecture string }
		out := s.Run(t, "inspect", "--override-arch", arch, "--tls-verify=false", ref)
		require.NoError(t, json.Unmarshal([]byte(out), &inspect))
		require.Equal(t, arch, inspect.Architecture)
	}
	s.Run(t, "copy", "--all", "--src-tls-verify=false", ref, "dir:"+t.TempDir())
}

// TestSkopeoFormats pushes the formats that skopeo converts to: Docker manifests and layers
// compressed with zstd.
func TestSkopeoFormats(t *testing.T) {
	s := skopeo(t)
	src := "oci:" + harness.Layout(t, harness.Image(t, "amd64", t.Name())) + ":latest"
	for _, c := range []struct {
		tag, mediaType string
		args           []string
	}{
		{"v2s2", "application/vnd.docker.distribution.manifest.v2+json", []string{"--format", "v2s2"}},
		{"zstd", "application/vnd.oci.image.manifest.v1+json", []string{"--format", "oci", "--dest-compress-format", "zstd"}},
	} {
		t.Run(c.tag, func(t *testing.T) {
			ref := "docker://" + registry.Addr + "/skopeo/formats:" + c.tag
			s.Run(t, append(append([]string{"copy", "--dest-tls-verify=false"}, c.args...), src, ref)...)
			r, err := harness.NewClient(registry.URL()).Do(t.Context(), 200, "GET", "/v2/skopeo/formats/manifests/"+c.tag,
				harness.Accept(), nil)
			require.NoError(t, err)
			require.Equal(t, c.mediaType, r.Header.Get("Content-Type"))
			s.Run(t, "copy", "--src-tls-verify=false", ref, "dir:"+t.TempDir())
		})
	}
}

// TestSkopeoBigLayer moves a layer of 500 MB both ways.
func TestSkopeoBigLayer(t *testing.T) {
	s, ref := skopeo(t), "docker://"+registry.Addr+"/skopeo/big:latest"
	img := harness.BigImage(t, t.TempDir(), 1, 500_000_000)
	want, err := img.Digest()
	require.NoError(t, err)
	s.Run(t, "copy", "--dest-tls-verify=false", "--preserve-digests", "oci:"+harness.Layout(t, img)+":latest", ref)
	require.Equal(t, want.String(), registry.DigestOf(t, "skopeo/big", "latest"))
	s.Run(t, "copy", "--src-tls-verify=false", ref, "dir:"+t.TempDir()) // checks each digest while it writes
}
