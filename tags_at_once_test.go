package registry_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	remote "github.com/registrykit/registry/client"
	"github.com/registrykit/registry/registrytest"
)

func manyTags(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%0127d", i)
	}
	return tags
}

func tagPuts(tags []string) *registry.PutOptions {
	opts := &registry.PutOptions{}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	return opts
}

// TestTagsAtOnceAreBounded: a request with more tags than fit into the response is refused before
// any tag is set.
func TestTagsAtOnceAreBounded(t *testing.T) {
	s, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img)
	put := func(tags []string) string {
		return "/v2/a/manifests/" + string(img.Descriptor.Digest) + "?" + url.Values{"tag": tags}.Encode()
	}
	for _, tags := range [][]string{manyTags(registry.MaxPushTags + 1), manyTags(4000),
		strings.Split(strings.Repeat("v1,", 4000), ",")[:4000]} {
		c.refused(414, "TAG_INVALID", "PUT", put(tags), img.Manifest)
		require.JSONEq(t, `{"name":"a","tags":[]}`, string(c.want(200, "GET", "/v2/a/tags/list", nil).body))
	}
	_, err := s.Registry.Backend(anybody).PutManifest(t.Context(), "a", "", img.Manifest,
		tagPuts(manyTags(registry.MaxPushTags+1)))
	var refused *registry.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 414, refused.Status())
	require.JSONEq(t, `{"name":"a","tags":[]}`, string(c.want(200, "GET", "/v2/a/tags/list", nil).body))
	most := manyTags(registry.MaxPushTags)
	a := c.want(201, "PUT", put(most), img.Manifest)
	require.ElementsMatch(t, most, a.Header.Values("OCI-Tag"))
	lines := 0
	for _, values := range a.Header {
		lines += len(values)
	}
	require.Less(t, lines, 100-20, "a proxy adds lines, too")
	_, all := c.pages("/v2/a/tags/list", "tags")
	require.ElementsMatch(t, most, all)
}

// TestTagsAtOnceOfClientAreSplit: package client sets any number of tags, although a registry
// limits those of one request.
func TestTagsAtOnceOfClientAreSplit(t *testing.T) {
	s, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 10)
	b, err := remote.New(s.URL, nil)
	require.NoError(t, err)
	require.NoError(t, img.Push(t.Context(), b, "a", manyTags(2*registry.MaxPushTags+1)...))
	_, all := c.pages("/v2/a/tags/list", "tags")
	require.Len(t, all, 2*registry.MaxPushTags+1)
}
