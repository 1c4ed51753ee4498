package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// pushes returns n events.
func pushes(n int) []notification.Event {
	events := make([]notification.Event, n)
	for i := range events {
		events[i] = notification.Event{
			ID: notification.NewID(), Time: time.Unix(1_800_000_000, 0).UTC(), Action: notification.Push,
			Kind: notification.Manifest, Repository: "team/app", Tags: []string{"v1"},
			Target: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 3},
		}
	}
	return events
}

// received is a request at a receiver.
type received struct {
	header http.Header
	body   []byte
}

// receiver is an HTTP server that records requests and answers as answer says.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.requests = append(r.requests, received{req.Header.Clone(), body})
		r.mu.Unlock()
		if answer != nil {
			answer(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// local returns a Webhook that may send to loopback.
func local(t *testing.T, url string, opts *webhook.Options) *webhook.Webhook {
	t.Helper()
	o := options.Value(opts)
	o.AllowPrivate = o.Transport == nil
	w, err := webhook.New(url, &o)
	require.NoError(t, err)
	t.Cleanup(w.CloseIdleConnections)
	return w
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
