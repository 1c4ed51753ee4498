package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
)

func TestManifestRead(t *testing.T) {
	_, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 100)
	c.push("a/b", img, "v1")
	d := string(img.Descriptor.Digest)

	for _, ref := range []string{"v1", d} {
		path := "/v2/a/b/manifests/" + ref
		for _, method := range []string{"GET", "HEAD"} {
			for _, header := range []string{"Accept: */*", "Accept: text/plain", "Range: bytes=0-5", `If-None-Match: "x"`} {
				a := c.want(200, method, path, nil, header)
				require.Equal(t, img.Descriptor.MediaType, a.Header.Get("Content-Type"))
				require.Equal(t, strconv.Itoa(len(img.Manifest)), a.Header.Get("Content-Length"))
				require.Equal(t, d, a.Header.Get("Docker-Content-Digest"))
				require.Equal(t, `"`+d+`"`, a.Header.Get("ETag"))
				require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
				if method == "GET" {
					require.Equal(t, img.Manifest, a.body)
				} else {
					require.Empty(t, a.body)
				}
			}
			for _, header := range []string{`"` + d + `"`, `W/"` + d + `"`, `"x", "` + d + `"`, "*"} {
				a := c.want(304, method, path, nil, "If-None-Match: "+header)
				require.Empty(t, a.body)
				require.Equal(t, `"`+d+`"`, a.Header.Get("ETag"))
			}
		}
	}
	c.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/b/manifests/v2", nil)
	c.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/manifests/v1", nil)
	c.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/b/manifests/"+sha256Zeros, nil, "If-None-Match: *")
	a := c.want(404, "HEAD", "/v2/a/b/manifests/v2", nil)
	require.NotEmpty(t, a.Header.Get("Content-Length"))
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
}

func TestBlobRead(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 300_000)
	d := c.pushBlob("a", content)
	path := "/v2/a/blobs/" + string(d)
	tag := `"` + string(d) + `"`

	for _, method := range []string{"GET", "HEAD"} {
		a := c.want(200, method, path, nil)
		require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
		require.Equal(t, "300000", a.Header.Get("Content-Length"))
		require.Equal(t, "bytes", a.Header.Get("Accept-Ranges"))
		require.Equal(t, string(d), a.Header.Get("Docker-Content-Digest"))
		require.Equal(t, tag, a.Header.Get("ETag"))
		c.want(304, method, path, nil, "If-None-Match: "+tag)
		a = c.want(412, method, path, nil, `If-Match: "x"`)
		require.Empty(t, a.Header.Get("Docker-Content-Digest"))
		c.want(200, method, path, nil, "If-Match: "+tag)
	}
	c.want(200, "HEAD", path, nil, "Range: bytes=0-5")
	c.want(200, "HEAD", path, nil, "Range: bytes=400000-")
	require.Equal(t, content, c.want(200, "GET", path, nil).body)

	for _, r := range []struct {
		header      string
		first, last int
	}{
		{"bytes=0-0", 0, 0}, {"bytes=100-199", 100, 199}, {"bytes=299000-", 299_000, 299_999}, {"bytes=-1", 299_999, 299_999},
		{"bytes=100000-999999999999999999999", 100_000, 299_999}, {"bytes=-99999999", 0, 299_999},
		{"bytes=5-5,400000-", 5, 5},
	} {
		a := c.want(206, "GET", path, nil, "Range: "+r.header)
		require.Equal(t, fmt.Sprintf("bytes %d-%d/300000", r.first, r.last), a.Header.Get("Content-Range"))
		require.Equal(t, content[r.first:r.last+1], a.body)
		require.Equal(t, strconv.Itoa(len(a.body)), a.Header.Get("Content-Length"))
	}
	for _, header := range []string{"Range: bytes=300000-", "Range: bytes=5-4", "Range: bytes=-0", "Range: bytes=x",
		"Range: bytes"} {
		a := c.refused(416, "SIZE_INVALID", "GET", path, nil, header)
		require.Equal(t, "bytes */300000", a.Header.Get("Content-Range"))
		require.Empty(t, a.Header.Get("ETag"))
	}
	// The registry ignores unknown units, ranges whose condition does not hold, and ranges that
	// would only make the response larger.
	for _, headers := range [][]string{
		{"Range: lines=0-5"}, {"Range: bytes=0-5", `If-Range: "x"`}, {"Range: bytes=400000-", `If-Range: "x"`},
		{"Range: bytes=0-,0-,0-"}, {"Range: bytes=0-299999,5-6"}, {"Range: bytes=" + strings.Repeat("1-1,", 2000) + "1-1"},
	} {
		require.Equal(t, content, c.want(200, "GET", path, nil, headers...).body)
	}
	require.Equal(t, content[:6], c.want(206, "GET", path, nil, "Range: bytes=0-5", "If-Range: "+tag).body)
	c.want(304, "GET", path, nil, "Range: bytes=0-5", "If-None-Match: "+tag)
	c.refused(404, "BLOB_UNKNOWN", "GET", "/v2/b/blobs/"+string(d), nil)
	c.want(404, "HEAD", "/v2/b/blobs/"+string(d), nil)
}

func TestBlobSeveralRanges(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 300_000)
	path := "/v2/a/blobs/" + string(c.pushBlob("a", content))
	a := c.want(206, "GET", path, nil, "Range: bytes=0-99,200000-200099,-5")
	mediaType, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/byteranges", mediaType)
	require.Equal(t, strconv.Itoa(len(a.body)), a.Header.Get("Content-Length"))
	r := multipart.NewReader(strings.NewReader(string(a.body)), params["boundary"])
	for _, want := range [][2]int{{0, 100}, {200_000, 200_100}, {299_995, 300_000}} {
		p, err := r.NextPart()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("bytes %d-%d/300000", want[0], want[1]-1), p.Header.Get("Content-Range"))
		b, err := io.ReadAll(p)
		require.NoError(t, err)
		require.Equal(t, content[want[0]:want[1]], b)
	}
	_, err = r.NextPart()
	require.ErrorIs(t, err, io.EOF)
}

// TestBlobManyRanges: requests with as many ranges as those of zstd:chunked clients get parts, not
// the whole blob.
func TestBlobManyRanges(t *testing.T) {
	_, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 5_000_000)
	path := "/v2/a/blobs/" + string(c.pushBlob("a", content))
	for _, n := range []int{17, 200, 1024} {
		var header strings.Builder
		for i := range n {
			fmt.Fprintf(&header, ",%d-%d", i*4000, i*4000+i)
		}
		a := c.want(206, "GET", path, nil, "Range: bytes="+header.String()[1:])
		require.Equal(t, strconv.Itoa(len(a.body)), a.Header.Get("Content-Length"))
		require.Less(t, len(a.body), n*n/2+n*200+200, "little is sent besides the parts")
		_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		require.NoError(t, err)
		r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
		for i := range n {
			p, err := r.NextPart()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("bytes %d-%d/5000000", i*4000, i*4000+i), p.Header.Get("Content-Range"))
			b, err := io.ReadAll(p)
			require.NoError(t, err)
			require.Equal(t, content[i*4000:i*4000+i+1], b)
		}
		_, err = r.NextPart()
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestEmptyBlob(t *testing.T) {
	_, c := newRegistry(t, nil)
	d := c.pushBlob("a", nil)
	require.Equal(t, digest.FromString(""), d)
	for _, method := range []string{"GET", "HEAD"} {
		for _, header := range []string{"Accept: */*", "Range: bytes=0-", "Range: bytes=-5"} {
			a := c.want(200, method, "/v2/a/blobs/"+string(d), nil, header)
			require.Equal(t, "0", a.Header.Get("Content-Length"))
			require.Empty(t, a.body)
		}
	}
	require.Equal(t, http.StatusNotModified, c.do("GET", "/v2/a/blobs/"+string(d), nil,
		`If-None-Match: "`+string(d)+`"`).StatusCode)
}
