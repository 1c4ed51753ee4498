package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

var nextLink = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// next returns the path of the next page, or "" if there is none.
func (a *response) next(t testing.TB) string {
	t.Helper()
	link := a.Header.Get("Link")
	if link == "" {
		return ""
	}
	m := nextLink.FindStringSubmatch(link)
	require.NotNil(t, m, link)
	return m[1]
}

// pages follows the links of a list from path. It returns the number of pages and their elements
// under key.
func (c *client) pages(path, key string) (n int, all []string) {
	c.t.Helper()
	for path != "" {
		a := c.want(200, "GET", path, nil)
		n, all = n+1, append(all, a.list(c.t, key)...)
		path = a.next(c.t)
	}
	return n, all
}

// list returns the list under key in the response.
func (a *response) list(t testing.TB, key string) []string {
	t.Helper()
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	var v map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a.body, &v))
	var page []string
	require.NoError(t, json.Unmarshal(v[key], &page))
	require.NotNil(t, page, "%s", a.body)
	return page
}

func TestTags(t *testing.T) {
	_, c := newRegistry(t, &registry.Options{PageSize: 7})
	img := registrytest.RandomImage(1, 1, 10)
	var tags []string
	for i := range 20 {
		tags = append(tags, fmt.Sprintf("t%02d", i))
	}
	c.refused(404, "NAME_UNKNOWN", "GET", "/v2/a/tags/list", nil)
	c.refused(404, "NAME_UNKNOWN", "GET", "/v2/a/tags/list?n=0", nil)
	c.push("a", img)
	require.JSONEq(t, `{"name":"a","tags":[]}`, string(c.want(200, "GET", "/v2/a/tags/list", nil).body))
	c.push("a", img, tags...)

	for query, pages := range map[string]int{"": 3, "?n=7": 3, "?n=100": 3, "?n=5": 4, "?n=1": 20,
		"?n=99999999999999999999": 3} {
		n, all := c.pages("/v2/a/tags/list"+query, "tags")
		require.Equal(t, tags, all, query)
		require.Equal(t, pages, n, query)
	}
	_, all := c.pages("/v2/a/tags/list?last=t17", "tags")
	require.Equal(t, tags[18:], all)
	_, all = c.pages("/v2/a/tags/list?n=2&last=t17x", "tags")
	require.Equal(t, tags[18:], all)
	_, all = c.pages("/v2/a/tags/list?last=zzz", "tags")
	require.Empty(t, all)
	a := c.want(200, "GET", "/v2/a/tags/list?n=0", nil)
	require.JSONEq(t, `{"name":"a","tags":[]}`, string(a.body))
	require.Empty(t, a.Header.Get("Link"))
	a = c.want(200, "HEAD", "/v2/a/tags/list?n=3", nil)
	require.Empty(t, a.body)
	require.Equal(t, "/v2/a/tags/list?last=t02&n=3", a.next(t))
	require.NotEmpty(t, a.Header.Get("Content-Length"))
}

func TestCatalog(t *testing.T) {
	_, c := newRegistry(t, &registry.Options{PageSize: 3})
	require.JSONEq(t, `{"repositories":[]}`, string(c.want(200, "GET", "/v2/_catalog", nil).body))
	names := []string{"a", "a-b", "a.b", "a/b", "a/b/c", "ab", "b"}
	for _, name := range names {
		c.push(name, registrytest.RandomImage(1, 0, 0))
	}
	for query, pages := range map[string]int{"": 3, "?n=2": 4, "?n=1000": 3} {
		n, all := c.pages("/v2/_catalog"+query, "repositories")
		require.Equal(t, names, all)
		require.Equal(t, pages, n)
	}
	_, all := c.pages("/v2/_catalog?last=a/b", "repositories")
	require.Equal(t, names[4:], all)
}

func (c *client) referrers(path string) (pages [][]ocispec.Descriptor) {
	c.t.Helper()
	for path != "" {
		a := c.want(200, "GET", path, nil)
		require.Equal(c.t, "application/vnd.oci.image.index.v1+json", a.Header.Get("Content-Type"))
		require.Less(c.t, len(a.body), 4<<20)
		var index ocispec.Index
		require.NoError(c.t, json.Unmarshal(a.body, &index))
		require.Equal(c.t, 2, index.SchemaVersion)
		require.Equal(c.t, ocispec.MediaTypeImageIndex, index.MediaType)
		require.NotNil(c.t, index.Manifests, "%s", a.body)
		pages = append(pages, index.Manifests)
		path = a.next(c.t)
	}
	return pages
}

func TestReferrers(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{PageSize: 4})
	ctx := context.Background()
	subject := registrytest.RandomImage(1, 1, 10).Descriptor
	path := "/v2/a/referrers/" + string(subject.Digest)
	require.Equal(t, [][]ocispec.Descriptor{{}}, c.referrers(path))
	types := []string{"application/vnd.test.a+json", "application/vnd.test.b+json"}
	for i := range 10 {
		artifact := registrytest.Artifact(types[i%2], subject, map[string]string{"i": fmt.Sprint(i), "html": "<&>"})
		require.NoError(t, artifact.Push(ctx, s.Store, "a"))
	}
	pages := c.referrers(path)
	require.Len(t, pages, 3)
	seen := map[string]bool{}
	for _, page := range pages {
		for _, d := range page {
			seen[string(d.Digest)] = true
			require.Equal(t, "<&>", d.Annotations["html"])
		}
	}
	require.Len(t, seen, 10)

	filtered := path + "?artifactType=" + url.QueryEscape(types[0])
	a := c.want(200, "GET", filtered, nil)
	require.Equal(t, "artifactType", a.Header.Get("OCI-Filters-Applied"))
	require.NotContains(t, string(a.body), `\u003c`)
	pages = c.referrers(filtered)
	require.Len(t, pages, 2)
	for _, d := range append(pages[0], pages[1]...) {
		require.Equal(t, types[0], d.ArtifactType)
	}
	require.Equal(t, [][]ocispec.Descriptor{{}}, c.referrers(path+"?artifactType=x"))
	require.Empty(t, c.want(200, "GET", path, nil).Header.Get("OCI-Filters-Applied"))
	require.Equal(t, http.StatusOK, c.want(200, "HEAD", path, nil).StatusCode)
}

// TestReferrersPageSizeIsBounded: no page is larger than the limit of common clients.
func TestReferrersPageSizeIsBounded(t *testing.T) {
	s, c := newRegistry(t, nil)
	subject := registrytest.RandomImage(1, 1, 10).Descriptor
	for i := range 5 {
		artifact := registrytest.Artifact("a/b", subject, map[string]string{"i": fmt.Sprint(i),
			"x": strings.Repeat("x", 1<<20)})
		require.NoError(t, artifact.Push(context.Background(), s.Store, "a"))
	}
	pages := c.referrers("/v2/a/referrers/" + string(subject.Digest))
	require.Len(t, pages, 2)
	require.Len(t, append(pages[0], pages[1]...), 5)
}

func TestDeletes(t *testing.T) {
	_, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "v1", "v2", "v3")
	d := string(img.Descriptor.Digest)
	a := c.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	require.Equal(t, "0", a.Header.Get("Content-Length"))
	c.refused(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/v1", nil)
	c.want(404, "HEAD", "/v2/a/manifests/v1", nil)
	c.want(200, "HEAD", "/v2/a/manifests/v2", nil)
	c.want(202, "DELETE", "/v2/a/manifests/"+d, nil)
	for _, ref := range []string{"v2", "v3", d} {
		c.want(404, "HEAD", "/v2/a/manifests/"+ref, nil)
	}
	require.JSONEq(t, `{"name":"a","tags":[]}`, string(c.want(200, "GET", "/v2/a/tags/list", nil).body))
	blob := "/v2/a/blobs/" + string(c.pushBlob("a", []byte("x")))
	c.want(202, "DELETE", blob, nil)
	c.want(404, "HEAD", blob, nil)
	c.refused(404, "BLOB_UNKNOWN", "DELETE", blob, nil)
}

func TestDeletesDisabled(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{NoDelete: registry.NoDelete{Tags: true, Manifests: true, Blobs: true,
		Repositories: true}})
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "v1")
	for path, allow := range map[string]string{
		"manifests/v1": "GET, HEAD, PUT", "manifests/" + string(img.Descriptor.Digest): "GET, HEAD, PUT",
		"blobs/" + string(c.pushBlob("a", []byte("x"))): "GET, HEAD",
	} {
		a := c.refused(405, "UNSUPPORTED", "DELETE", "/v2/a/"+path, nil)
		require.Equal(t, allow, a.Header.Get("Allow"))
		c.want(200, "GET", "/v2/a/"+path, nil)
	}
	require.ErrorIs(t, s.Registry.Backend(anybody).DeleteRepository(context.Background(), "a", nil),
		registry.ErrUnsupported)
}
