package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

var contentRange = regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+)$`)

// FuzzRange: for any Range header, the response is the whole blob, the parts that its header
// declares, or 416.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=5-", "bytes=-5", "bytes=0-9,20-29", "bytes=-0", "bytes=9-1",
		"items=1-2", "bytes=99999999999999999999-", "bytes=0-,0-",
		" bytes = 1 - 2 ", "bytes=1-2,,3-4", "BYTES=1-1"} {
		f.Add(s)
	}
	reg, err := registry.New(registrytest.NewStore(f), nil)
	require.NoError(f, err)
	content := registrytest.RandomBytes(1, 1000)
	desc, err := registry.PushBlob(context.Background(), reg.Backend(anybody), "a", "", bytes.NewReader(content))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest("GET", "/v2/a/blobs/"+string(desc.Digest), nil)
		req.Header.Set("Range", header)
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, req)
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
		slice := func(s string, b []byte) {
			t.Helper()
			require.Regexp(t, contentRange, s)
			var first, last, size int
			_, err := fmt.Sscanf(s, "bytes %d-%d/%d", &first, &last, &size)
			require.NoError(t, err)
			require.Equal(t, 1000, size)
			require.True(t, 0 <= first && first <= last && last < 1000, s)
			require.Equal(t, content[first:last+1], b)
		}
		switch w.Code {
		case http.StatusOK:
			require.Equal(t, content, w.Body.Bytes())
		case http.StatusRequestedRangeNotSatisfiable:
			require.Equal(t, "bytes */1000", w.Header().Get("Content-Range"))
		case http.StatusPartialContent:
			mediaType, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
			require.NoError(t, err)
			if mediaType != "multipart/byteranges" {
				slice(w.Header().Get("Content-Range"), w.Body.Bytes())
				return
			}
			require.Less(t, w.Body.Len(), 10_000)
			for r := multipart.NewReader(w.Body, params["boundary"]); ; {
				p, err := r.NextPart()
				if errors.Is(err, io.EOF) {
					return
				}
				require.NoError(t, err)
				b, err := io.ReadAll(p)
				require.NoError(t, err)
				slice(p.Header.Get("Content-Range"), b)
			}
		default:
			require.Fail(t, "status", "%d", w.Code)
		}
	})
}

// FuzzRequest: no request causes a server error, and every error response has the JSON of the spec.
func FuzzRequest(f *testing.F) {
	img := registrytest.RandomImage(1, 1, 10)
	d := string(img.Descriptor.Digest)
	for _, r := range registry.Routes("a", "v1", d, "b", "x") {
		f.Add([]byte(r.Method + " " + r.Path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
	}
	for _, s := range []string{
		"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n" +
			"Content-Length: 2\r\n\r\n{}",
		"PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Range: 0-2\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET http://x/v2/a/tags/list?n=1&last=%00 HTTP/1.0\r\nIf-None-Match: *\r\nRange: bytes=0-\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	reg, err := registry.New(registrytest.NewStore(f), nil)
	require.NoError(f, err)
	require.NoError(f, img.Push(context.Background(), reg.Backend(anybody), "a", "v1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, req)
		require.Less(t, w.Code, 500, "%s", w.Body)
		if w.Code < 400 {
			return
		}
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		if req.Method == http.MethodHead {
			require.Zero(t, w.Body.Len())
			return
		}
		var v struct {
			Errors []struct{ Code, Message string }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		require.NotEmpty(t, v.Errors)
		require.NotEmpty(t, v.Errors[0].Code)
		require.False(t, strings.ContainsAny(w.Header().Get("Location"), "\r\n"))
	})
}
