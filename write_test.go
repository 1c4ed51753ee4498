package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// startUpload starts an upload and returns its path.
func (c *client) startUpload(repo string) string {
	c.t.Helper()
	a := c.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", nil)
	location := a.Header.Get("Location")
	require.True(c.t, strings.HasPrefix(location, "/v2/"+repo+"/blobs/uploads/"), location)
	require.Equal(c.t, "0-0", a.Header.Get("Range"))
	require.True(c.t, strings.HasSuffix(location, "/"+a.Header.Get("Docker-Upload-UUID")))
	return location
}

// standsAt checks the headers that describe an upload, and returns its next URL.
func (a *response) standsAt(t testing.TB, last string) string {
	t.Helper()
	require.Equal(t, "0-"+last, a.Header.Get("Range"))
	require.NotEmpty(t, a.Header.Get("Docker-Upload-UUID"))
	require.NotEmpty(t, a.Header.Get("Location"))
	return a.Header.Get("Location")
}

func (a *response) isBlob(t testing.TB, repo string, d digest.Digest) {
	t.Helper()
	require.Equal(t, "/v2/"+repo+"/blobs/"+string(d), a.Header.Get("Location"))
	require.Equal(t, string(d), a.Header.Get("Docker-Content-Digest"))
	require.Equal(t, "0", a.Header.Get("Content-Length"))
}

func TestUploadInEachWay(t *testing.T) {
	_, c := newRegistry(t, &registry.Options{ChunkMinLength: 1000})
	content := registrytest.RandomBytes(1, 100_000)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		d := algorithm.FromBytes(content)
		query := "?digest=" + string(d)
		for name, push := range map[string]func(repo string) *response{
			"post": func(repo string) *response {
				return c.do("POST", "/v2/"+repo+"/blobs/uploads/"+query, content)
			},
			"post without slash, without length": func(repo string) *response {
				return c.do("POST", "/v2/"+repo+"/blobs/uploads"+query, strings.NewReader(string(content)))
			},
			"post put": func(repo string) *response {
				return c.do("PUT", c.startUpload(repo)+query, content)
			},
			"announced": func(repo string) *response {
				a := c.want(202, "POST", "/v2/"+repo+"/blobs/uploads/?digest-algorithm="+string(algorithm), nil)
				require.Equal(t, "1000", a.Header.Get("OCI-Chunk-Min-Length"))
				return c.do("PUT", a.Header.Get("Location")+query, content)
			},
			"stream": func(repo string) *response {
				a := c.want(202, "PATCH", c.startUpload(repo), strings.NewReader(string(content)))
				return c.do("PUT", a.standsAt(t, "99999")+query, nil)
			},
			"chunks": func(repo string) *response {
				location := c.startUpload(repo)
				location = c.want(202, "PATCH", location, content[:50_000], "Content-Range: 0-49999").standsAt(t, "49999")
				location = c.want(202, "PATCH", location, content[50_000:99_999],
					"Content-Range: bytes 50000-99998/*").standsAt(t, "99998")
				location = c.want(202, "PATCH", location, content[99_999:], "Content-Range: 99999-99999").standsAt(t, "99999")
				return c.do("PUT", location+query, nil)
			},
			"last chunk in the put": func(repo string) *response {
				a := c.want(202, "PATCH", c.startUpload(repo), content[:50_000])
				return c.do("PUT", a.Header.Get("Location")+query, content[50_000:], "Content-Range: 50000-99999")
			},
		} {
			repo := strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-") + "/" + string(algorithm)
			a := push(repo)
			require.Equal(t, 201, a.StatusCode, "%s: %s", name, a.body)
			a.isBlob(t, repo, d)
			require.Equal(t, content, c.want(200, "GET", a.Header.Get("Location"), nil).body)
		}
	}
}

func TestUploadOutOfOrder(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 3000)
	query := "?digest=" + string(digest.FromBytes(content))
	start := c.startUpload("a")
	bad := func(method, location string, body any, rangeHeader, last string) {
		t.Helper()
		a := c.refused(416, "BLOB_UPLOAD_INVALID", method, location, body, "Content-Range: "+rangeHeader)
		c.want(204, "GET", a.standsAt(t, last), nil).standsAt(t, last)
	}
	bad("PATCH", start, content[1000:2000], "1000-1999", "0")
	bad("PATCH", start, content[:1000], "0-1999", "0")
	bad("PATCH", start, content[:1000], "nonsense", "0")
	bad("PATCH", start, strings.NewReader(""), "0-999", "0")
	location := c.want(202, "PATCH", start, content[:1000], "Content-Range: 0-999").standsAt(t, "999")
	for _, l := range []string{start, location} {
		bad("PATCH", l, content[:1000], "0-999", "999")
		bad("PATCH", l, content[500:1500], "500-1499", "999")
		bad("PATCH", l, content[2000:], "2000-2999", "999")
		bad("PUT", l+query, content[2000:], "2000-2999", "999")
		bad("PUT", l+query, nil, "1000-1999", "999")
		bad("PUT", l+query, content[1000:1001], "1000-1999", "999")
		bad("PATCH", l, content[1000:1001], "9999999999999999999999-9999999999999999999999", "999")
	}
	// The registry may find a chunked body too long or too short only after it has stored a part of
	// it. The response reports the offset.
	a := c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", location, strings.NewReader(string(content[1000:1500])),
		"Content-Range: 1000-1999")
	location = a.standsAt(t, "1499")
	a = c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", location, strings.NewReader(string(content[1500:2500])),
		"Content-Range: 1500-1999")
	location = a.standsAt(t, "1999")
	c.want(201, "PUT", location+query, content[2000:], "Content-Range: 2000-2999")
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", location, nil)
}

func TestUploadWrongDigest(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := []byte("content")
	d := string(digest.FromString("other"))
	location := c.startUpload("a")
	c.refused(400, "DIGEST_INVALID", "PUT", location+"?digest="+d, content)
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", location, nil)
	c.refused(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest="+d, content)
	c.refused(400, "DIGEST_INVALID", "POST", "/v2/a/blobs/uploads/?digest="+d, nil)
	c.want(404, "HEAD", "/v2/a/blobs/"+d, nil)
	c.want(404, "HEAD", "/v2/a/blobs/"+string(digest.FromBytes(content)), nil)
}

func TestUploadCancel(t *testing.T) {
	_, c := newRegistry(t, nil)
	location := c.startUpload("a")
	location = c.want(202, "PATCH", location, "abc").standsAt(t, "2")
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "DELETE", strings.Replace(location, "/v2/a/", "/v2/b/", 1), nil)
	c.want(204, "DELETE", location, nil)
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", location, nil)
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", location, "abc")
	c.refused(404, "BLOB_UPLOAD_UNKNOWN", "PUT", location+"?digest="+string(digest.FromString("abc")), nil)
}

func TestMount(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 100)
	d := c.pushBlob("a", content)
	c.want(201, "POST", "/v2/b/blobs/uploads/?from=a&mount="+string(d), nil).isBlob(t, "b", d)
	c.want(201, "POST", "/v2/c/blobs/uploads/?mount="+string(d), nil).isBlob(t, "c", d)
	require.Equal(t, content, c.want(200, "GET", "/v2/b/blobs/"+string(d), nil).body)
	for _, query := range []string{"?from=x&mount=" + string(d), "?mount=" + sha256Zeros, "?from=a&mount=" + sha256Zeros} {
		a := c.want(202, "POST", "/v2/d/blobs/uploads/"+query, nil)
		c.want(201, "PUT", a.Header.Get("Location")+"?digest="+string(d), content)
	}
}

func TestMaxBlobSize(t *testing.T) {
	_, c := newRegistry(t, &registry.Options{MaxBlobSize: 1000})
	content := registrytest.RandomBytes(1, 1001)
	query := "?digest=" + string(digest.FromBytes(content))
	c.refused(413, "SIZE_INVALID", "POST", "/v2/a/blobs/uploads/"+query, content)
	c.refused(413, "SIZE_INVALID", "POST", "/v2/a/blobs/uploads/"+query, strings.NewReader(string(content)))
	c.refused(413, "SIZE_INVALID", "PATCH", c.startUpload("a"), content)
	c.refused(413, "SIZE_INVALID", "PUT", c.startUpload("a")+query, strings.NewReader(string(content)))
	location := c.want(202, "PATCH", c.startUpload("a"), content[:600]).Header.Get("Location")
	c.refused(413, "SIZE_INVALID", "PATCH", location, content[600:])
	c.pushBlob("a", content[:1000])
}

func TestManifestPush(t *testing.T) {
	_, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 2, 100)
	d, mediaType := string(img.Descriptor.Digest), "Content-Type: "+img.Descriptor.MediaType
	a := c.refused(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/manifests/v1", img.Manifest, mediaType)
	errs := a.errors(t)
	require.Len(t, errs, 3)
	for i, blob := range img.Blobs {
		require.JSONEq(t, `{"digest":"`+string(digest.FromBytes(blob))+`"}`, string(errs[i].Detail))
	}
	c.push("a", img)

	created := func(a *response) {
		t.Helper()
		require.Equal(t, "/v2/a/manifests/"+d, a.Header.Get("Location"))
		require.Equal(t, d, a.Header.Get("Docker-Content-Digest"))
		require.Equal(t, "0", a.Header.Get("Content-Length"))
	}
	a = c.want(201, "PUT", "/v2/a/manifests/v1", strings.NewReader(string(img.Manifest)), mediaType+"; charset=utf-8")
	created(a)
	require.Empty(t, a.Header.Values("OCI-Tag"))
	created(c.want(201, "PUT", "/v2/a/manifests/v2", img.Manifest))
	a = c.want(201, "PUT", "/v2/a/manifests/"+d+"?tag=v3&tag=v4&tag=v3", img.Manifest, mediaType)
	created(a)
	require.ElementsMatch(t, []string{"v3", "v4"}, a.Header.Values("OCI-Tag"))
	for _, tag := range []string{"v1", "v2", "v3", "v4"} {
		require.Equal(t, img.Manifest, c.want(200, "GET", "/v2/a/manifests/"+tag, nil).body)
	}

	artifact := registrytest.Artifact("application/x.test", img.Descriptor, nil)
	c.pushBlob("a", artifact.Blobs[0])
	for _, ref := range []string{"signature", string(artifact.Descriptor.Digest)} {
		a = c.want(201, "PUT", "/v2/a/manifests/"+ref, artifact.Manifest, "Content-Type: "+artifact.Descriptor.MediaType)
		require.Equal(t, d, a.Header.Get("OCI-Subject"))
	}
	c.push("a", registrytest.Index(img, artifact), "index")

	c.refused(400, "DIGEST_INVALID", "PUT", "/v2/a/manifests/"+sha256Zeros, img.Manifest, mediaType)
	c.refused(400, "TAG_INVALID", "PUT", "/v2/a/manifests/v1?tag=v2", img.Manifest, mediaType)
	c.refused(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", "{", mediaType)
	c.refused(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", img.Manifest,
		"Content-Type: "+artifact.Descriptor.MediaType+"x")
}

func TestManifestTooLarge(t *testing.T) {
	_, c := newRegistry(t, &registry.Options{MaxManifestSize: 1000})
	large := strings.Repeat(" ", 1001)
	c.refused(413, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", large)
	c.refused(413, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", strings.NewReader(large))
	c.refused(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", large[:1000])
}

func TestHostBodyLimitIs413(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	c := newClient(t, startServer(t, http.MaxBytesHandler(s.Registry, 1000)))
	c.refused(413, "SIZE_INVALID", "PATCH", c.startUpload("a"), strings.NewReader(strings.Repeat("x", 1001)))
	c.refused(413, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/x", strings.NewReader(strings.Repeat("x", 1001)))
}
