package embedding

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// slow is a registry on a directory, whose server is shut down while a request is in flight.
type slow struct {
	dir     string
	begun   chan struct{} // gets a value when a body begins to be read
	wire    wire
	content []byte
}

// start serves the directory.
func (s *slow) start(t *testing.T) (*http.Server, *harness.Client) {
	t.Helper()
	reg := newRegistry(t, openStore(t, s.dir), &registry.Options{Interceptors: []registry.Interceptor{
		func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
			if op.Kind == registry.OpAppend {
				select {
				case s.begun <- struct{}{}:
				default:
				}
			}
			return next(ctx)
		},
	}})
	server, transport := s.wire.listen(t, reg)
	client := harness.NewClient(server.URL)
	client.HTTP.Transport = transport
	return server.Config, client
}

// patch sends the content chunk by chunk through a pipe. It returns the pipe and the future
// response.
func (s *slow) patch(t *testing.T, c *harness.Client, location string) (*io.PipeWriter, chan int) {
	t.Helper()
	body, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		resp, err := c.Send(context.WithoutCancel(t.Context()), http.MethodPatch, location,
			http.Header{"Content-Type": {"application/octet-stream"}}, body, -1)
		if err != nil {
			body.CloseWithError(err)
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	return w, status
}

// onEachWire runs a test over every version of HTTP, and requires that no goroutine is left.
func onEachWire(t *testing.T, test func(t *testing.T, s *slow)) {
	for _, w := range append(wires(), plain()) {
		t.Run(w.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("push", func(t *testing.T) {
				test(t, &slow{dir: t.TempDir(), begun: make(chan struct{}, 1), wire: w, content: harness.RandomBytes(1, 8<<20)})
			})
			goleak.VerifyNone(t, before)
		})
	}
}

func plain() wire {
	w := wire{name: "HTTP1", want: "HTTP/1.1"}
	w.protocols.SetHTTP1(true)
	return w
}

// finish completes the push from an upload on, and requires that all its content is there.
func (s *slow) finish(t *testing.T, c *harness.Client, location string) {
	t.Helper()
	d := digest.FromBytes(s.content)
	require.NoError(t, c.Commit(t.Context(), location, d, nil, 0))
	config := []byte("{}")
	_, err := c.PushBlob(t.Context(), "team/app", config)
	require.NoError(t, err)
	manifest := harness.Manifest("", config, s.content)
	require.NoError(t, c.PutManifest(t.Context(), "team/app", "latest", imagespec.MediaTypeImageManifest, manifest))
	require.NoError(t, c.PullManifest(t.Context(), "team/app", "latest", digest.FromBytes(manifest)))
	require.NoError(t, c.PullBlob(t.Context(), "team/app", d))
}

// TestShutdown shuts the server down in the middle of a layer. The request in flight is completed,
// no other is accepted, and a second server on the same directory takes the rest of the push.
func TestShutdown(t *testing.T) {
	onEachWire(t, func(t *testing.T, s *slow) {
		server, c := s.start(t)
		location, err := c.Begin(t.Context(), "team/app")
		require.NoError(t, err)
		w, status := s.patch(t, c, location)
		half := len(s.content) / 2
		_, err = w.Write(s.content[:half])
		require.NoError(t, err)
		<-s.begun

		stopped := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
			defer cancel()
			stopped <- server.Shutdown(ctx)
		}()
		late := harness.NewClient(c.Base)
		late.HTTP.Transport = c.HTTP.Transport.(*http.Transport).Clone() // a connection of its own
		require.Eventually(t, func() bool {
			_, err := late.Begin(t.Context(), "team/app")
			return err != nil
		}, 10*time.Second, 10*time.Millisecond, "the server still lets requests in")
		require.Empty(t, stopped, "it stopped before the request had ended")
		late.HTTP.CloseIdleConnections()

		_, err = w.Write(s.content[half:])
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, http.StatusAccepted, <-status)
		require.NoError(t, <-stopped)

		_, next := s.start(t)
		offset, location, err := next.Offset(t.Context(), location)
		require.NoError(t, err)
		require.EqualValues(t, len(s.content), offset)
		s.finish(t, next, location)
	})
}

// TestShutdownOfStuckPush has a client that sends no more bytes. The server waits as long as the
// application wants. The part of the layer that has arrived is kept, and the client continues from
// there.
func TestShutdownOfStuckPush(t *testing.T) {
	onEachWire(t, func(t *testing.T, s *slow) {
		server, c := s.start(t)
		location, err := c.Begin(t.Context(), "team/app")
		require.NoError(t, err)
		w, status := s.patch(t, c, location)
		_, err = w.Write(s.content[:len(s.content)/2])
		require.NoError(t, err)
		<-s.begun

		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, server.Shutdown(ctx), context.DeadlineExceeded)
		require.NoError(t, server.Close())
		// the transport waits for its body even if the connection is gone
		require.NoError(t, w.CloseWithError(io.ErrUnexpectedEOF))
		require.NotEqual(t, http.StatusAccepted, <-status)

		_, next := s.start(t)
		var offset int64
		require.Eventually(t, func() bool { // the handler of the old server may still be at it
			var now string
			offset, now, err = next.Offset(t.Context(), location)
			if err != nil || offset == 0 {
				return false
			}
			location = now
			return true
		}, 20*time.Second, 20*time.Millisecond)
		location, err = next.Patch(t.Context(), location, offset, s.content[offset:])
		require.NoError(t, err)
		s.finish(t, next, location)
	})
}
