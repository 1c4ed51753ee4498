package clients

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestResume closes the connection in the middle of a PATCH, three times. Each time it asks how
// many bytes have arrived, and continues from there.
func TestResume(t *testing.T) {
	const size = 32 << 20
	content := harness.RandomBytes(4, size)
	c := harness.NewClient(registry.URL())
	location, err := c.Begin(t.Context(), "resume/patch")
	require.NoError(t, err)

	var offset int64
	for range 3 {
		cut := offset + size/5
		hangUp(t, location, content[offset:cut])
		var arrived int64
		require.Eventually(t, func() bool { // the server notices a little later
			var next string
			arrived, next, err = c.Offset(t.Context(), location)
			if err == nil {
				location = next
			}
			return err == nil && arrived > offset
		}, 20*time.Second, 50*time.Millisecond, "%v", err)
		require.LessOrEqual(t, arrived, cut)
		offset = arrived
	}
	location, err = c.Patch(t.Context(), location, offset, content[offset:])
	require.NoError(t, err)
	d := digest.FromBytes(content)
	require.NoError(t, c.Commit(t.Context(), location, d, nil, 0))
	require.NoError(t, c.PullBlob(t.Context(), "resume/patch", d))
}

// hangUp sends a chunked PATCH whose body never ends, and closes the connection when all bytes were
// sent.
func hangUp(t *testing.T, location string, chunk []byte) {
	t.Helper()
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, w := io.Pipe()
	go func() {
		_, _ = io.Copy(w, bytes.NewReader(chunk))
		time.Sleep(200 * time.Millisecond)
		cancel()
		w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	resp, err := harness.NewClient(registry.URL()).Send(cancelled, http.MethodPatch, location,
		http.Header{"Content-Type": {"application/octet-stream"}}, body, -1)
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err)
}
