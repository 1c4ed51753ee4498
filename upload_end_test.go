package registry_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// TestEndedUploadIsUnknown: an upload that has ended for any reason is unknown, at each of its
// URLs.
func TestEndedUploadIsUnknown(t *testing.T) {
	for name, end := range map[string]func(c *client, location string){
		"pushed in the PUT": func(c *client, at string) {
			c.want(201, "PUT", at+"?digest="+string(digest.FromString("one")), "one")
		},
		"pushed in a PATCH": func(c *client, at string) {
			at = c.want(202, "PATCH", at, "one").Header.Get("Location")
			c.want(201, "PUT", at+"?digest="+string(digest.FromString("one")), nil)
		},
		"wrong digest": func(c *client, at string) {
			c.refused(400, "DIGEST_INVALID", "PUT", at+"?digest="+string(digest.FromString("two")), "one")
		},
		"cancelled": func(c *client, at string) { c.want(204, "DELETE", at, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			_, c := newRegistry(t, nil)
			location := c.startUpload("a/b")
			end(c, location)
			c.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", location, nil)
			c.refused(404, "BLOB_UPLOAD_UNKNOWN", "PATCH", location, "two")
			c.refused(404, "BLOB_UPLOAD_UNKNOWN", "PUT", location+"?digest="+string(digest.FromString("two")), "two")
			c.refused(404, "BLOB_UPLOAD_UNKNOWN", "DELETE", location, nil)
			c.want(404, "HEAD", "/v2/a/b/blobs/"+string(digest.FromString("two")), nil)
		})
	}
}

// TestConcurrentEqualPutsOneWins: if several clients send the same PUT, one succeeds, and the
// others do not remove its blob.
func TestConcurrentEqualPutsOneWins(t *testing.T) {
	_, c := newRegistry(t, nil)
	for round := range 100 {
		content := bytes.Repeat(fmt.Appendf(nil, "%08d", round), 5000)
		url := c.base + c.startUpload("a/b") + "?digest=" + string(digest.FromBytes(content))
		var won atomic.Int64
		done := make(chan error)
		for range 3 {
			go func() {
				req, _ := http.NewRequest("PUT", url, bytes.NewReader(content))
				res, err := c.http.Do(req)
				if err == nil {
					err = res.Body.Close()
					if res.StatusCode == 201 {
						won.Add(1)
					}
				}
				done <- err
			}()
		}
		for range 3 {
			require.NoError(t, <-done)
		}
		require.EqualValues(t, 1, won.Load(), "round %d", round)
		require.Equal(t, content, c.want(200, "GET", "/v2/a/b/blobs/"+string(digest.FromBytes(content)), nil).body)
	}
}

// TestManifestHasOneMediaTypePerDigest: a repository does not store the same bytes under two media
// types.
func TestManifestHasOneMediaTypePerDigest(t *testing.T) {
	_, c := newRegistry(t, nil)
	config := c.pushBlob("a/b", []byte("{}"))
	content := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[]}`, config)
	const (
		oci    = "application/vnd.oci.image.manifest.v1+json"
		docker = "application/vnd.docker.distribution.manifest.v2+json"
	)
	c.want(201, "PUT", "/v2/a/b/manifests/oci", content, "Content-Type: "+oci)
	c.refused(400, "MANIFEST_INVALID", "PUT", "/v2/a/b/manifests/docker", content, "Content-Type: "+docker)
	for _, method := range []string{"GET", "HEAD"} {
		require.Equal(t, oci, c.want(200, method, "/v2/a/b/manifests/oci", nil).Header.Get("Content-Type"))
	}
	c.want(202, "DELETE", "/v2/a/b/manifests/"+string(digest.FromString(content)), nil)
	c.want(201, "PUT", "/v2/a/b/manifests/docker", content, "Content-Type: "+docker)
}

// TestRefusedOverHTTP2: the response arrives although the registry refuses the body.
func TestRefusedOverHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(registrytest.NewServer(t, nil).Registry)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL)
	c.http.Transport = s.Client().Transport
	c.refused(413, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/v1", make([]byte, 7<<20),
		"Content-Type: application/vnd.oci.image.manifest.v1+json")
}

// TestAllowHeaderOmitsDisabledDeletes: the header does not contain DELETE if that is disabled,
// whichever method is refused.
func TestAllowHeaderOmitsDisabledDeletes(t *testing.T) {
	off := registry.NoDelete{Tags: true, Manifests: true, Blobs: true, Repositories: true}
	_, c := newRegistry(t, &registry.Options{NoDelete: off})
	for _, path := range []string{"/v2/a/manifests/v1", "/v2/a/blobs/" + sha256Zeros} {
		for _, method := range []string{"DELETE", "OPTIONS"} {
			allow := c.want(405, method, path, nil).Header.Get("Allow")
			require.Contains(t, allow, "GET")
			require.NotContains(t, allow, "DELETE")
		}
	}
}

// TestIfMatch: manifests and blobs treat the header in the same way.
func TestIfMatch(t *testing.T) {
	_, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "v1")
	tag := `"` + string(img.Descriptor.Digest) + `"`
	c.want(200, "GET", "/v2/a/manifests/v1", nil, "If-Match: "+tag)
	c.want(412, "GET", "/v2/a/manifests/v1", nil, `If-Match: "`+sha256Zeros+`"`)
}
