package api_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/registrytest"
)

func TestImages(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app", "manifests")
	var i types.Image
	a := c.do(t, "ann", "GET", path+"/v1", nil).want(200).into(&i)
	require.Equal(t, "image", i.Kind)
	require.Len(t, i.Layers, 2)
	require.Equal(t, types.Platform{OS: "linux", Architecture: "amd64"}, i.Config.Platform)
	require.Equal(t, "registrytest", i.Config.Author)
	require.NotEmpty(t, i.Config.Labels["seed"])
	require.Equal(t, `"`+i.Digest+`"`, a.header.Get("ETag"))
	byDigest := c.do(t, "ann", "GET", path+"/"+i.Digest, nil).want(200)
	require.Equal(t, a.body, byDigest.body)
	raw := c.do(t, "ann", "GET", path+"/v1/content", nil).want(200)
	require.Equal(t, string(imageOne.Manifest), string(raw.body))
	require.Equal(t, `"`+i.Digest+`"`, raw.header.Get("ETag"))
	c.do(t, "ann", "GET", path+"/none", nil).fails(404, "MANIFEST_UNKNOWN")
	c.do(t, "ann", "GET", path+"/sha256:x", nil).fails(400, "DIGEST_INVALID")

	index := registrytest.Index(imageOne, imageTwo)
	require.NoError(t, index.Push(t.Context(), c.store, "acme/app", "index"))
	i = types.Image{}
	c.do(t, "ann", "GET", path+"/index", nil).want(200).into(&i)
	require.Equal(t, "index", i.Kind)
	require.Len(t, i.Manifests, 2)
	require.Nil(t, i.Config)
}

// TestConfigs: an image whose configuration is malformed or missing is shown, and says so.
func TestConfigs(t *testing.T) {
	c := newContentSite(t)
	push := func(config string, missing bool) types.Image {
		d := digest.FromString(config)
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},`+
			`"layers":[]}`, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, d, len(config))
		if !missing {
			_, err := registry.PushBlob(t.Context(), c.store, "acme/app", d, bytes.NewReader([]byte(config)))
			require.NoError(t, err)
		}
		_, err := c.store.PutManifest(t.Context(), "acme/app", ocispec.MediaTypeImageManifest, []byte(manifest),
			&registry.PutOptions{Sparse: missing, Tags: []registry.TagPut{{Name: "odd"}}})
		require.NoError(t, err)
		var i types.Image
		c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "odd"), nil).want(200).into(&i)
		require.Equal(t, "image", i.Kind)
		return i
	}
	i := push(`{"os":1,"config":{"Env":["A=1"],"Labels":[]},"created":"99999999-01-01T00:00:00Z"}`, false)
	require.Contains(t, i.Config.Malformed, "config.Labels")
	require.Equal(t, []string{"A=1"}, i.Config.Env)
	i = push(`[]`, false)
	require.Nil(t, i.Config)
	require.NotEmpty(t, i.ConfigError)
	i = push(`{"absent":true}`, true)
	require.Nil(t, i.Config)
	require.NotEmpty(t, i.ConfigError)
}

// TestChart: a Helm chart has the facts of its Chart.yaml.
func TestChart(t *testing.T) {
	c := newContentSite(t)
	push := func(config string) (i types.Image) {
		d, err := registry.PushBlob(t.Context(), c.store, "acme/app", "", strings.NewReader(config))
		require.NoError(t, err)
		manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",`+
			`"digest":%q,"size":%d},"layers":[]}`, d.Digest, d.Size)
		_, err = c.store.PutManifest(t.Context(), "acme/app", ocispec.MediaTypeImageManifest, []byte(manifest),
			&registry.PutOptions{Tags: []registry.TagPut{{Name: "chart"}}})
		require.NoError(t, err)
		c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "chart"), nil).want(200).into(&i)
		require.Equal(t, "artifact", i.Kind)
		require.Equal(t, d.Digest.String(), i.ConfigDescriptor.Digest)
		return i
	}
	i := push(`{"name":"shop","version":"1.2.3","deprecated":true,"keywords":["a"],"maintainers":[{"name":"ann"}],` +
		`"dependencies":[{"name":"db","version":"1.x"}],"home":1}`)
	require.Equal(t, &types.Chart{Name: "shop", Version: "1.2.3", Deprecated: true, Keywords: []string{"a"},
		Maintainers:  []types.ChartMaintainer{{Name: "ann"}},
		Dependencies: []types.ChartDependency{{Name: "db", Version: "1.x"}}, Malformed: []string{"home"}}, i.Chart)
	i = push(`[]`)
	require.Nil(t, i.Chart)
	require.NotEmpty(t, i.ConfigError)
}

func TestReferrers(t *testing.T) {
	c := newContentSite(t)
	for i := range 3 {
		kind := fmt.Sprintf("example/kind%d", i%2)
		a := registrytest.Artifact(kind, imageOne.Descriptor, map[string]string{"i": fmt.Sprint(i)})
		require.NoError(t, a.Push(t.Context(), c.store, "acme/app"))
	}
	path := repoPath("acme/app", "manifests", "v1", "referrers")
	var list types.ReferrerList
	count := 0
	for next := path + "?limit=1"; next != ""; {
		next = c.do(t, "ann", "GET", next, nil).want(200).into(&list).next()
		count += len(list.Items)
	}
	require.Equal(t, 3, count)
	c.do(t, "ann", "GET", path+"?artifactType=example/kind0", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "example/kind0", list.Items[0].ArtifactType)
	require.NotEmpty(t, list.Items[0].Annotations["i"])
	require.Zero(t, list.Items[0].TotalSize)
	c.do(t, "ann", "GET", path+"?details=true&limit=1000", nil).want(200).into(&list)
	require.Len(t, list.Items, 3)
	for _, r := range list.Items {
		require.Greater(t, r.TotalSize, r.Size)
	}
	c.do(t, "ann", "GET", path+"?details=x", nil).fails(400, "INVALID")
	c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "none", "referrers"), nil).fails(404, "MANIFEST_UNKNOWN")
	none := repoPath("acme/app", "manifests", digest.FromString("x").String(), "referrers")
	c.do(t, "ann", "GET", none, nil).want(200).into(&list)
	require.Empty(t, list.Items)
}

func TestDeleteImage(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app", "manifests", imageOne.Descriptor.Digest.String())
	c.do(t, "ann", "DELETE", path, nil).fails(428, "PRECONDITION_REQUIRED")
	c.do(t, "ann", "DELETE", path, nil, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
	c.do(t, "ann", "DELETE", repoPath("acme/app", "manifests", "v1"), nil, "If-Match: *").fails(400, "DIGEST_INVALID")
	c.do(t, "ann", "DELETE", path+"?unused=true", nil, "If-Match: *").fails(403, "DENIED")
	c.do(t, "ann", "DELETE", path+"?unused=maybe", nil, "If-Match: *").fails(400, "INVALID")
	a := c.do(t, "ann", "GET", path, nil).want(200)
	c.do(t, "ann", "DELETE", path, nil, a.ifMatch()).want(204)
	c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "v1"), nil).fails(404, "MANIFEST_UNKNOWN")
}
