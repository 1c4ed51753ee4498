package registry_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/registrytest"
)

// The tests of this file send requests that violate the spec but that real clients send. The
// registry serves them.

// TestMountThatCannotBeStartsAnUpload: clients name the source by its name in another registry or
// omit it, and continue with an upload.
func TestMountThatCannotBeStartsAnUpload(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 100)
	for _, d := range []digest.Digest{digest.SHA256.FromBytes(content), digest.SHA512.FromBytes(content)} {
		c.want(201, "POST", "/v2/source/blobs/uploads/?digest="+string(d), content)
		start := func(query url.Values) string {
			a := c.want(202, "POST", "/v2/target/blobs/uploads/?"+query.Encode(), nil)
			require.Equal(t, "0-0", a.Header.Get("Range"))
			return a.Header.Get("Location")
		}
		for _, from := range append(notAName, "", "Library/X", "localhost:5000/x", strings.Repeat("a", 300)) {
			start(url.Values{"mount": {string(d)}, "from": {from}})
		}
		for _, mount := range append(notADigest, "") {
			start(url.Values{"mount": {mount}})
			start(url.Values{"mount": {mount}, "from": {"source"}})
		}
		c.want(404, "HEAD", "/v2/target/blobs/"+string(d), nil)
		at := start(url.Values{"mount": {string(d)}, "from": {"Library/X"}})
		c.want(201, "PUT", at+"?digest="+string(d), content).isBlob(t, "target", d)
	}
}

// TestMountFromNameThatTheBackendRefusesStartsAnUpload: the prefix of a [filter.Sub] can make a
// valid name too long.
func TestMountFromNameThatTheBackendRefusesStartsAnUpload(t *testing.T) {
	b, err := filter.Sub(registrytest.NewStore(t), "tenant")
	require.NoError(t, err)
	c := serve(t, b, &registry.Options{})
	c.want(202, "POST", "/v2/a/blobs/uploads/?mount="+sha256Zeros+"&from="+strings.Repeat("a", 255), nil)
	c.refused(400, "NAME_INVALID", "POST", "/v2/"+strings.Repeat("a", 255)+"/blobs/uploads/?from=a&mount="+sha256Zeros,
		nil)
}

// TestUploadStatusHeadIsLikeGet: some proxies and clients send HEAD instead of GET.
func TestUploadStatusHeadIsLikeGet(t *testing.T) {
	_, c := newRegistry(t, nil)
	at := c.want(202, "PATCH", c.startUpload("a"), "hello").standsAt(t, "4")
	head, get := c.want(204, "HEAD", at, nil), c.want(204, "GET", at, nil)
	head.standsAt(t, "4")
	head.Header.Del("Date")
	get.Header.Del("Date")
	require.Equal(t, get.Header, head.Header)
	c.want(404, "HEAD", strings.Replace(at, "/v2/a/", "/v2/b/", 1), nil)
	require.Contains(t, c.want(405, "POST", at, nil).Header.Get("Allow"), "HEAD")
}

// TestListLastNeedNotBeAName: last may be any text. The page has the names that are greater than
// the text.
func TestListLastNeedNotBeAName(t *testing.T) {
	s, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 0, 0)
	names := []string{"a", "team", "team-x", "team.x", "team/a", "team/b", "team0", "x", "x/sha256"}
	for _, name := range names {
		require.NoError(t, img.Push(t.Context(), s.Store, name))
	}
	tags := []string{"1", "Z", "_", "a", "a-b", "a.b", "a0", "ab", "z"}
	require.NoError(t, img.Push(t.Context(), s.Store, "a", tags...))
	lasts := append([]string{"a/b", "team/", "team//", "a.", "Team", "~", "~a", "zz" + strings.Repeat("z", 300)},
		notATag...)
	for _, last := range append(lasts, notAName...) {
		for path, want := range map[string][]string{"/v2/_catalog": names, "/v2/a/tags/list": tags} {
			greater := []string{}
			for _, name := range want {
				if name > last {
					greater = append(greater, name)
				}
			}
			key := map[string]string{"/v2/_catalog": "repositories", "/v2/a/tags/list": "tags"}[path]
			for _, n := range []string{"", "&n=2", "&n="} {
				_, got := c.pages(path+"?last="+url.QueryEscape(last)+n, key)
				require.ElementsMatch(t, greater, got, "%s behind %q", path, last)
			}
		}
	}
}

// TestListCountWithoutValueIsAbsent: n= without a value selects the default number of elements.
func TestListCountWithoutValueIsAbsent(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{PageSize: 2})
	require.NoError(t, registrytest.RandomImage(1, 0, 0).Push(t.Context(), s.Store, "a", "1", "2", "3"))
	for _, path := range []string{"/v2/a/tags/list?n", "/v2/a/tags/list?n="} {
		a := c.want(200, "GET", path, nil)
		require.Equal(t, []string{"1", "2"}, a.list(t, "tags"))
		require.NotEmpty(t, a.next(t))
	}
	c.want(200, "GET", "/v2/_catalog?n=", nil)
	c.refused(400, "PAGINATION_NUMBER_INVALID", "GET", "/v2/_catalog?n=&n=", nil)
}

// TestUploadEmptyContentRangeIsNoChunk: a client that pushes in chunks ends with a PUT without a
// body, but computes a Content-Range for it.
func TestUploadEmptyContentRangeIsNoChunk(t *testing.T) {
	_, c := newRegistry(t, nil)
	five, none := "?digest="+string(digest.FromString("hello")), "?digest="+string(digest.FromString(""))
	after5 := func() string { return c.want(202, "PATCH", c.startUpload("a"), "hello").standsAt(t, "4") }
	// Each request has a reader of its own, because the transport may still read the body of a
	// request that was refused.
	for _, body := range []func() any{func() any { return nil }, func() any { return strings.NewReader("") }} {
		c.want(201, "PUT", after5()+five, body(), "Content-Range: 5-4")
		c.want(201, "PUT", after5()+five, body(), "Content-Range: bytes 5-4/5")
		c.want(201, "PUT", c.startUpload("a")+none, body(), "Content-Range: 0--1")
		at := c.want(202, "PATCH", after5(), body(), "Content-Range: 5-4").standsAt(t, "4")
		c.want(202, "PATCH", c.startUpload("a"), body(), "Content-Range: 0--1")
		for _, wrong := range []string{"0--1", "3-2", "6-5", "5-3", "5-5"} {
			c.refused(416, "BLOB_UPLOAD_INVALID", "PUT", at+five, body(), "Content-Range: "+wrong).standsAt(t, "4")
			c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", at, body(), "Content-Range: "+wrong).standsAt(t, "4")
		}
		c.want(201, "PUT", at+five, body(), "Content-Range: 5-4")
	}
	c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", after5(), "!", "Content-Range: 5-4")
	c.refused(416, "BLOB_UPLOAD_INVALID", "PUT", after5()+five, strings.NewReader("!"), "Content-Range: 5-4")
}

// TestUploadSeveralDigestsAreAllVerified: a client may send a digest for each algorithm that it
// supports.
func TestUploadSeveralDigestsAreAllVerified(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 100_000)
	d256, d512 := string(digest.SHA256.FromBytes(content)), string(digest.SHA512.FromBytes(content))
	other256, other512 := string(digest.SHA256.FromString("other")), string(digest.SHA512.FromString("other"))
	push := map[string]func(query string) *response{
		"put":  func(query string) *response { return c.do("PUT", c.startUpload("a")+query, content) },
		"post": func(query string) *response { return c.do("POST", "/v2/a/blobs/uploads/"+query, content) },
		"patch": func(query string) *response {
			a := c.want(202, "PATCH", c.startUpload("a"), content)
			return c.do("PUT", a.Header.Get("Location")+query, nil)
		},
		"patch and put": func(query string) *response {
			a := c.want(202, "PATCH", c.startUpload("a"), content[:70_000])
			return c.do("PUT", a.Header.Get("Location")+query, content[70_000:])
		},
	}
	for name, push := range push {
		for _, wrong := range [][]string{{d256, other512}, {other256, d512}, {d512, other256}, {other512, d256},
			{d256, other256}, {d256, d512, other512}} {
			a := push("?digest=" + strings.Join(wrong, "&digest="))
			require.Equal(t, 400, a.StatusCode, "%s %v: %s", name, wrong, a.body)
			require.Equal(t, "DIGEST_INVALID", a.errors(t)[0].Code)
			for _, d := range wrong {
				c.want(404, "HEAD", "/v2/a/blobs/"+d, nil)
			}
		}
	}
	for name, push := range push {
		for _, right := range [][]string{{d256, d512}, {d512, d256}, {d256, d256}, {d256, d512, d256, d512}} {
			a := push("?digest=" + strings.Join(right, "&digest="))
			require.Equal(t, 201, a.StatusCode, "%s %v: %s", name, right, a.body)
			a.isBlob(t, "a", digest.Digest(right[0]))
			require.Equal(t, content, c.want(200, "GET", a.Header.Get("Location"), nil).body)
		}
	}
}
