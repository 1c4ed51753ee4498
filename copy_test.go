package registry_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// failingWriter fails the first Write of a body, as an HTTP/2 server does when its client gives up the
// stream. It keeps the bytes, from which the server may still send.
type failingWriter struct {
	http.ResponseWriter
	kept []byte
}

func (w *failingWriter) Write(p []byte) (int, error) {
	w.kept = p
	return 0, errors.New("the stream is closed")
}

// memoryBody is a Body in memory.
type memoryBody struct{ *strings.Reader }

func (memoryBody) Close() error { return nil }

// TestFailedBuffersAreNotUsedAgain: what one client gets is never written to a buffer from which a
// server may still send to another client.
func TestFailedBuffersAreNotUsedAgain(t *testing.T) {
	const size = 40 << 10
	text := "a"
	b := &blobs{size: size, open: func() io.ReadSeekCloser {
		return memoryBody{strings.NewReader(strings.Repeat(text, size))}
	}}
	reg, err := registry.New(b, nil)
	require.NoError(t, err)
	path := "/v2/a/blobs/" + string(digest.FromBytes(registrytest.RandomBytes(1, 1)))
	for range 20 {
		text = "a"
		w := &failingWriter{ResponseWriter: httptest.NewRecorder()}
		require.Panics(t, func() { reg.ServeHTTP(w, httptest.NewRequest("GET", path, nil)) })
		require.NotEmpty(t, w.kept)
		text = "b"
		r := httptest.NewRecorder()
		reg.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		require.Equal(t, 200, r.Code)
		require.Equal(t, strings.Repeat("a", len(w.kept)), string(w.kept))
	}
}
