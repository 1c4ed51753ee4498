package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// withBlobs returns a server of a registry with a Sink. Repository "a" has an image under v1 and
// v2, and the blobs of another one, which is returned.
func withBlobs(t *testing.T, opts *registry.Options) (s *registrytest.Server, c *client, next *registrytest.Content) {
	s, c = newRegistry(t, opts)
	one, next := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(5, 1, 10)
	require.NoError(t, one.Push(t.Context(), s.Store, "a", "v1", "v2"))
	for _, b := range next.Blobs {
		_, err := registry.PushBlob(t.Context(), s.Store, "a", "", bytes.NewReader(b))
		require.NoError(t, err)
	}
	return s, c, next
}

// TestEventNotRecordedIsUnavailable: if the Sink cannot record an event, the client gets 503, and
// the body of a pull is not sent. A push that is repeated succeeds and has its event.
func TestEventNotRecordedIsUnavailable(t *testing.T) {
	var log bytes.Buffer
	sink := &batches{err: fmt.Errorf("outbox: %w: disk full", notification.ErrNotRecorded)}
	s, c, next := withBlobs(t, &registry.Options{Sink: sink, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	blob := digest.FromBytes(next.Blobs[1])
	refused := func(method, path string, body any, header ...string) {
		t.Helper()
		log.Reset()
		a := c.refused(503, "UNAVAILABLE", method, path, body, header...)
		require.Contains(t, a.errors(t)[0].Message, "event could not be recorded")
		require.NotContains(t, string(a.body), "disk full")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
		require.Empty(t, a.Header.Get("Docker-Content-Digest"))
		require.Contains(t, log.String(), "disk full")
		require.Len(t, sink.take(), 1, "the Sink is called once")
	}
	mediaType := "Content-Type: " + next.Descriptor.MediaType
	refused("GET", "/v2/a/manifests/v1", nil)
	refused("GET", "/v2/a/blobs/"+string(blob), nil)
	refused("GET", "/v2/a/blobs/"+string(blob), nil, "Range: bytes=0-1")
	refused("PUT", "/v2/a/manifests/v1", next.Manifest, mediaType)
	refused("POST", "/v2/a/blobs/uploads/?digest="+string(digest.FromString("x")), "x")
	refused("POST", "/v2/b/blobs/uploads/?mount="+string(blob)+"&from=a", nil)
	refused("DELETE", "/v2/a/manifests/v2", nil)
	c.want(200, "HEAD", "/v2/a/manifests/v1", nil)

	// All of it has happened.
	require.Equal(t, next.Descriptor.Digest, digestOf(t, s, "v1"))
	_, err := s.Store.StatManifest(t.Context(), "a", reference.Ref{Tag: "v2"}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = s.Store.StatBlob(t.Context(), "b", blob, nil)
	require.NoError(t, err)

	sink.err = nil
	c.want(201, "PUT", "/v2/a/manifests/v1", next.Manifest, mediaType)
	c.pushBlob("a", []byte("x"))
	c.want(201, "POST", "/v2/b/blobs/uploads/?mount="+string(blob)+"&from=a", nil)
	c.want(200, "GET", "/v2/a/manifests/v1", nil)
	c.want(404, "DELETE", "/v2/a/manifests/v2", nil)
	require.Len(t, sink.take(), 4)
}

// closer is a body that records whether it was closed.
type closer struct {
	io.ReadSeeker
	closed *bool
}

func (c closer) Close() error {
	*c.closed = true
	return nil
}

// reportless is a Backend that reports nothing about what it does, and whose blobs record their
// Close.
type reportless struct {
	registry.Unimplemented
	closed bool
}

func (r *reportless) OpenBlob(context.Context, string, digest.Digest, *registry.OpenOptions) (*registry.Blob, error) {
	return &registry.Blob{Body: closer{strings.NewReader("x"), &r.closed}}, nil
}

func (r *reportless) DeleteManifest(context.Context, string, reference.Ref, *registry.DeleteOptions) error {
	return nil
}

func (r *reportless) DeleteBlob(context.Context, string, digest.Digest, *registry.DeleteOptions) error {
	return nil
}

// TestEventNotRecordedClosesBody: a pull whose event cannot be recorded closes what it has opened.
func TestEventNotRecordedClosesBody(t *testing.T) {
	b := &reportless{}
	r, err := registry.New(b, &registry.Options{Sink: &batches{err: notification.ErrNotRecorded}})
	require.NoError(t, err)
	_, err = r.Backend(anybody).OpenBlob(t.Context(), "a", sha256Zeros, nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorIs(t, err, notification.ErrNotRecorded)
	require.True(t, b.closed)
}

// TestEventOfDeleteWithoutReport: if the Backend does not say what it has deleted, the event has
// what the caller named.
func TestEventOfDeleteWithoutReport(t *testing.T) {
	sink := &batches{}
	r, err := registry.New(&reportless{}, &registry.Options{Sink: sink})
	require.NoError(t, err)
	b, d := r.Backend(anybody), &ocispec.Descriptor{Digest: sha256Zeros}
	require.NoError(t, b.DeleteManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil))
	require.NoError(t, b.DeleteManifest(t.Context(), "a", reference.Ref{Digest: sha256Zeros}, nil))
	require.NoError(t, b.DeleteBlob(t.Context(), "a", sha256Zeros, nil))
	want := []notification.Event{
		event(notification.Delete, notification.Tag, nil, "v1"),
		event(notification.Delete, notification.Manifest, d),
		event(notification.Delete, notification.Blob, d),
	}
	for i, got := range sink.take() {
		require.Len(t, got, 1)
		want[i].ID, want[i].Time, want[i].Instance = got[0].ID, got[0].Time, got[0].Instance
		require.Equal(t, want[i], got[0])
	}
}

// TestEventsKeepReportsOfCaller: a Go caller gets the report of a delete, and can change what it
// got without changing the event.
func TestEventsKeepReportsOfCaller(t *testing.T) {
	for _, sink := range []*batches{nil, {}} {
		opts := &registry.Options{}
		if sink != nil {
			opts.Sink = sink
		}
		s, _, _ := withBlobs(t, opts)
		b := s.Registry.Backend(anybody)
		m, err := b.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		require.NoError(t, err)
		d := m.Descriptor.Digest
		m.Descriptor.Digest = "changed"
		calls := 0
		require.NoError(t, b.DeleteManifest(t.Context(), "a", reference.Ref{Digest: d}, &registry.DeleteOptions{
			Deleted: func(target ocispec.Descriptor, tags []string) {
				calls++
				require.Equal(t, d, target.Digest)
				require.Equal(t, []string{"v1", "v2"}, tags)
				tags[0] = "changed"
			},
		}))
		require.Equal(t, 1, calls)
		if sink != nil {
			all := sink.take()
			require.Len(t, all, 2)
			require.Equal(t, d, all[0][0].Target.Digest)
			require.Equal(t, []string{"v1", "v2"}, all[1][0].Tags)
		}
	}
}

// TestSinkErrorsAndPanicsAreLogged: they change nothing for the client, and no request ends the
// process.
func TestSinkErrorsAndPanicsAreLogged(t *testing.T) {
	for name, notify := range map[string]notification.BatchFunc{
		"down":   func(context.Context, []notification.Event) error { return errors.New("the receiver is down") },
		"panic":  func(context.Context, []notification.Event) error { panic("the receiver is down") },
		"abort":  func(context.Context, []notification.Event) error { panic(http.ErrAbortHandler) },
		"denied": func(context.Context, []notification.Event) error { return registry.ErrDenied },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			_, c, next := withBlobs(t, &registry.Options{Sink: notify, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			c.want(201, "PUT", "/v2/a/manifests/v1", next.Manifest, "Content-Type: "+next.Descriptor.MediaType)
			require.Equal(t, 1, strings.Count(log.String(), "event not delivered"))
			require.Contains(t, log.String(), "action=push")
			require.Contains(t, log.String(), "events=2")
			require.Equal(t, next.Manifest, c.want(200, "GET", "/v2/a/manifests/v1", nil).body)
			c.want(202, "DELETE", "/v2/a/manifests/v1", nil)
			require.Equal(t, 3, strings.Count(log.String(), "event not delivered"))
		})
	}
}

// TestSinkOutlivesRequest: the context of the Sink is not cancelled with the request, and has the
// values of the host.
func TestSinkOutlivesRequest(t *testing.T) {
	entered, leave, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s, _, next := withBlobs(t, &registry.Options{Sink: notification.BatchFunc(
		func(ctx context.Context, _ []notification.Event) error {
			close(entered)
			<-leave
			require.Equal(t, "of the host", ctx.Value(contextKey{}))
			result <- ctx.Err()
			return nil
		})})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "of the host"))
	done := make(chan error, 1)
	go func() {
		_, err := s.Registry.Backend(anybody).PutManifest(ctx, "a", next.Descriptor.MediaType, next.Manifest, nil)
		done <- err
	}()
	<-entered
	cancel()
	close(leave)
	require.NoError(t, <-result)
	require.NoError(t, <-done)
}

// TestRefusedRequestsHaveNoEvents: what the Authorizer or an Interceptor refuses has no events, and
// what the options forbid neither.
func TestRefusedRequestsHaveNoEvents(t *testing.T) {
	sink := &batches{}
	s, c, next := withBlobs(t, &registry.Options{
		Sink: sink, MaxManifestSize: 10, MaxBlobSize: 1, NoDelete: registry.NoDelete{Tags: true},
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				if a.Name == "secret" {
					return auth.ErrDenied
				}
			}
			return nil
		}),
		Interceptors: []registry.Interceptor{
			func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
				if err := next(ctx); err != nil || op.Kind != registry.OpDeleteManifest {
					return err
				}
				return registry.ErrDenied.WithMessage("refused afterwards")
			}},
	})
	for _, path := range []string{"manifests/v1", "blobs/" + sha256Zeros} {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			c.want(401, method, "/v2/secret/"+path, nil)
		}
	}
	c.want(401, "POST", "/v2/secret/blobs/uploads/?digest="+sha256Zeros, "x")
	c.want(413, "PUT", "/v2/a/manifests/v1", next.Manifest, "Content-Type: "+next.Descriptor.MediaType)
	c.want(413, "POST", "/v2/a/blobs/uploads/?digest="+string(digest.FromString("xx")), "xx")
	c.want(405, "DELETE", "/v2/a/manifests/v1", nil)
	c.want(403, "DELETE", "/v2/a/manifests/"+string(digestOf(t, s, "v1")), nil)
	require.Empty(t, sink.take())
}

// TestRequestIDOption: the ID of the proxy is used, and a new one without an ID or if the function
// panics. It is asked for once, for requests with events only. Texts of the client are limited.
func TestRequestIDOption(t *testing.T) {
	sink, asked := &batches{}, 0
	_, c, next := withBlobs(t, &registry.Options{Sink: sink, RequestID: func(r *http.Request) string {
		asked++
		if r.Header.Get("X-Request-Id") == "panic" {
			panic("no ID")
		}
		return r.Header.Get("X-Request-Id")
	}})
	put := func(header ...string) *notification.Request {
		header = append(header, "Content-Type: "+next.Descriptor.MediaType)
		c.want(201, "PUT", "/v2/a/manifests/v1", next.Manifest, header...)
		all := sink.take()
		require.Len(t, all, 1)
		for _, e := range all[0] {
			require.Equal(t, all[0][0].Request.ID, e.Request.ID)
		}
		host, err := os.Hostname()
		require.NoError(t, err)
		require.Equal(t, host, all[0][0].Instance, "the default")
		return all[0][0].Request
	}
	require.Equal(t, "abc", put("X-Request-Id: abc").ID)
	require.Len(t, put().ID, 36)
	require.Len(t, put("X-Request-Id: panic").ID, 36)
	require.Equal(t, 3, asked)
	c.want(200, "HEAD", "/v2/a/manifests/v1", nil)
	require.Equal(t, 3, asked)
	long := put("X-Request-Id: "+strings.Repeat("i", 9999), "User-Agent: "+strings.Repeat("ü", 9999))
	require.Len(t, long.ID, 512)
	require.Len(t, long.UserAgent, 512)
	require.True(t, utf8.ValidString(put("User-Agent: x"+strings.Repeat("ü", 9999)).UserAgent))
}

// TestNoSinkCostsNothing: without a Sink, a pull allocates nothing beyond the check of the access.
// The result of the backend is passed on as it is.
func TestNoSinkCostsNothing(t *testing.T) {
	ref := reference.Ref{Tag: "v1"}
	fixed := &fixedManifest{m: &registry.Manifest{Content: []byte("{}")}}
	allocs := func(sink notification.Sink, f func(b registry.Backend)) float64 {
		r, err := registry.New(fixed, &registry.Options{Sink: sink})
		require.NoError(t, err)
		b := registry.Guard(r, anybody)
		return testing.AllocsPerRun(1000, func() { f(b) })
	}
	get := func(b registry.Backend) { _, _ = b.GetManifest(t.Context(), "a", ref) }
	head := func(b registry.Backend) { _, _ = b.StatManifest(t.Context(), "a", ref, nil) }
	check := func(b registry.Backend) {
		_ = registry.Authorize(t.Context(), b, &registry.Op{Kind: registry.OpGetManifest, Repository: "a", Ref: ref})
	}
	want := allocs(nil, check)
	require.Equal(t, want, allocs(nil, get))
	sink := notification.BatchFunc(func(context.Context, []notification.Event) error { return nil })
	require.Equal(t, allocs(nil, head), allocs(sink, head), "a HEAD has no event")
	require.Greater(t, allocs(sink, get), want)
}

// fixedManifest is a Backend with one manifest that allocates nothing.
type fixedManifest struct {
	registry.Unimplemented
	m *registry.Manifest
}

func (f *fixedManifest) GetManifest(context.Context, string, reference.Ref) (*registry.Manifest, error) {
	return f.m, nil
}

func (f *fixedManifest) StatManifest(context.Context, string, reference.Ref,
	*registry.StatOptions) (ocispec.Descriptor, error) {
	return f.m.Descriptor, nil
}

// BenchmarkEvents shows what a Sink that does nothing costs a GET and a HEAD of a manifest.
func BenchmarkEvents(b *testing.B) {
	store := registrytest.NewStore(b)
	img := registrytest.RandomImage(1, 8, 10)
	require.NoError(b, img.Push(b.Context(), store, "a", "v1"))
	nothing := notification.BatchFunc(func(context.Context, []notification.Event) error { return nil })
	for name, sink := range map[string]notification.Sink{"none": nil, "sink": nothing} {
		r, err := registry.New(store, &registry.Options{Sink: sink})
		require.NoError(b, err)
		backend, ref := r.Backend(anybody), reference.Ref{Tag: "v1"}
		b.Run("GET/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.GetManifest(b.Context(), "a", ref); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("HEAD/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.StatManifest(b.Context(), "a", ref, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
