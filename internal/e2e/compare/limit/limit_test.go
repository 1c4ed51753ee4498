package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// start starts the limit on a temporary folder.
func start(t *testing.T) (*server, string) {
	t.Helper()
	s, err := newServer(t.TempDir(), 64<<10)
	require.NoError(t, err)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func send(t *testing.T, method, url string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, b
}

// TestReads checks that the limit responds as the registry that it has recorded, and to nothing
// else.
func TestReads(t *testing.T) {
	small, large := []byte("small"), bytes.Repeat([]byte("large"), 20_000)
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Docker-Content-Digest", "sha256:ab")
		content := small
		if r.URL.Path == "/v2/large" {
			content = large
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}))
	defer registry.Close()
	_, url := start(t)
	resp, _ := send(t, "GET", url+"/v2/small", nil, nil)
	require.Equal(t, 404, resp.StatusCode, "it does not record yet")
	resp, _ = send(t, "POST", url+"/limit/learn?from="+registry.URL, nil, nil)
	require.Equal(t, 200, resp.StatusCode)
	read := func() {
		resp, body := send(t, "GET", url+"/v2/small", nil, nil)
		require.Equal(t, small, body)
		require.Equal(t, "sha256:ab", resp.Header.Get("Docker-Content-Digest"))
		resp, body = send(t, "HEAD", url+"/v2/small", nil, nil)
		require.Empty(t, body)
		require.EqualValues(t, len(small), resp.ContentLength)
		_, body = send(t, "GET", url+"/v2/large", nil, nil)
		require.True(t, bytes.Equal(large, body))
		resp, body = send(t, "GET", url+"/v2/large", http.Header{"Range": {"bytes=3-70002"}}, nil)
		require.Equal(t, 206, resp.StatusCode)
		require.True(t, bytes.Equal(large[3:70003], body))
	}
	read()
	send(t, "POST", url+"/limit/learn", nil, nil)
	read()
	require.Equal(t, 3, asked)
	resp, _ = send(t, "GET", url+"/v2/other", nil, nil)
	require.Equal(t, 404, resp.StatusCode)
}

// TestWrites checks that each commit is hashed, stored and synced.
func TestWrites(t *testing.T) {
	s, url := start(t)
	for i, content := range [][]byte{bytes.Repeat([]byte("s"), 1000), bytes.Repeat([]byte("l"), 2*smallBody+1)} {
		sum := sha256.Sum256(content)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		resp, _ := send(t, "POST", url+"/v2/a/blobs/uploads/", nil, nil)
		require.Equal(t, 202, resp.StatusCode)
		location := url + resp.Header.Get("Location")
		resp, _ = send(t, "PATCH", location, nil, content[:600])
		require.Equal(t, 202, resp.StatusCode)
		resp, _ = send(t, "PUT", location+"?digest="+digest, nil, content[600:])
		require.Equal(t, 201, resp.StatusCode)
		_, syncs := send(t, "GET", url+"/limit/syncs", nil, nil)
		require.Equal(t, fmt.Sprint(i+1), string(syncs))
		resp, _ = send(t, "PUT", location+"?digest="+digest, nil, nil)
		require.Equal(t, 500, resp.StatusCode, "the upload has ended")
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "upload-*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "only the large one is a file")
	stored, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Len(t, stored, 2*smallBody+1)

	resp, _ := send(t, "POST", url+"/v2/a/blobs/uploads/", nil, nil)
	resp, _ = send(t, "PUT", url+resp.Header.Get("Location")+"?digest=sha256:ab", nil, []byte("other"))
	require.Equal(t, 500, resp.StatusCode, "the digest is wrong")
	for method, path := range map[string]string{"PUT": "/v2/a/manifests/latest", "DELETE": "/v2/a/manifests/latest",
		"POST": "/v2/a/blobs/uploads/?mount=sha256:ab&from=b"} {
		before := s.log.syncs.Load()
		resp, _ := send(t, method, url+path, nil, []byte("{}"))
		require.Less(t, resp.StatusCode, 300)
		require.Equal(t, before+1, s.log.syncs.Load(), method)
	}
}

// TestLogIsShared checks that all concurrent callers return and that none waits for a sync of its
// own.
func TestLogIsShared(t *testing.T) {
	l, err := openLog(t.TempDir())
	require.NoError(t, err)
	const callers, times = 16, 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range times {
				if err := l.append(make([]byte, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, l.syncs.Load(), int64(callers*times))
	require.Positive(t, l.syncs.Load())
}
