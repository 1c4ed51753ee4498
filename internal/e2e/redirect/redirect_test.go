// Package redirect checks that clients fetch layers from the storage itself, by the URLs in
// redirects of the registry.
package redirect

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

func TestS3(t *testing.T) {
	pulls(t, harness.Options{Bucket: harness.NewMinIO(t)})
}

func TestAzure(t *testing.T) {
	a := harness.NewAzurite(t)
	a.Create(t, "redirect")
	pulls(t, harness.Options{Storage: a.URL("redirect", ""), Env: a.Env()})
}

// pulls pushes an image with a layer of 3 MiB and pulls it with each client, which must follow the
// redirect.
func pulls(t *testing.T, o harness.Options) {
	o.Args = []string{"-redirect", "-log-level", "error"}
	server := harness.New(t, o)
	seen := harness.NewRecorder(t, server.URL())
	img := harness.BigImage(t, t.TempDir(), 1, 3<<20)
	layout := harness.Layout(t, img)
	skopeo := harness.NewProgram(t, "skopeo")
	skopeo.Run(t, "copy", "--dest-tls-verify=false", "--preserve-digests", "oci:"+layout+":latest",
		"docker://"+seen.Addr+"/redirect/image:one")
	require.Zero(t, seen.Count(` 307$`))
	layers, err := img.Layers()
	require.NoError(t, err)
	layer, err := layers[0].Digest()
	require.NoError(t, err)
	ref := seen.Addr + "/redirect/image:one"
	followed := 0
	for _, c := range []struct {
		name string
		pull func(t *testing.T)
	}{
		{"docker", func(t *testing.T) { harness.Docker(t).Run(t, "pull", ref) }},
		{"containerd", func(t *testing.T) {
			harness.Containerd(t).Run(t, "content", "fetch", "--plain-http", ref)
		}},
		{"skopeo", func(t *testing.T) {
			skopeo.Run(t, "copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+t.TempDir()+":back")
		}},
		{"crane", func(t *testing.T) {
			crane := harness.NewProgram(t, "crane")
			crane.Run(t, "validate", "--remote", ref)
			crane.Run(t, "pull", ref, t.TempDir()+"/image.tar")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.pull(t)
			n := seen.Count(`^GET /v2/redirect/image/blobs/` + layer.String() + ` 307$`)
			require.Greater(t, n, followed, "the layer comes from the storage:\n%s", seen)
			followed = n
		})
	}
	require.Zero(t, seen.Count(`^HEAD .* 307$`), "HEAD is answered here: a URL signed for GET is refused for it")

	c := harness.NewClient(server.URL())
	c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	path := "/v2/redirect/image/blobs/" + layer.String()
	r, err := c.Do(t.Context(), http.StatusTemporaryRedirect, http.MethodGet, path, nil, nil)
	require.NoError(t, err)
	again, err := c.Do(t.Context(), http.StatusTemporaryRedirect, http.MethodGet, path, nil, nil)
	require.NoError(t, err)
	require.Equal(t, r.Location(), again.Location(), "one URL for all, for a while")
	_, err = c.Do(t.Context(), http.StatusOK, http.MethodHead, path, nil, nil)
	require.NoError(t, err)
	part, err := harness.NewClient("").Do(t.Context(), http.StatusPartialContent, http.MethodGet, r.Location(),
		http.Header{"Range": {"bytes=1000-1999"}}, nil)
	require.NoError(t, err)
	require.Len(t, part.Body, 1000)
	other, err := harness.NewClient("").Do(t.Context(), http.StatusOK, http.MethodGet, forged(r.Location()), nil, nil)
	require.Error(t, err, "who changes the URL gets nothing")
	require.Equal(t, http.StatusForbidden, other.Status)
}

// forged returns the URL with another signature.
func forged(location string) string {
	for _, name := range []string{"X-Amz-Signature=", "sig="} {
		if before, after, ok := strings.Cut(location, name); ok {
			first := "0"
			if after[0] == '0' {
				first = "1"
			}
			return before + name + first + after[1:]
		}
	}
	return location
}
