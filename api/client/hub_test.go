package client_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/hub/site"
	"github.com/registrykit/registry/internal/apicheck"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

const password = "correct horse battery staple"

// hubConfig is the configuration of the hub of a test. upstreamURL is replaced.
const hubConfig = `
history: 24h
collection: {grace: 1ns}
scrub: {every: 0}
usage: {every: 1h}
events: {allowPrivate: true}
retention:
  rules: [{name: builds, tags: ["build-*"], keep: {newest: 1}}]
mirror:
  upstreams: [{name: hub.example, urls: ["upstreamURL"]}]
`

// hub is a running hub with all parts. Every request of its clients and every response is compared with the
// description.
type hub struct {
	url    string
	driver driver.Driver
	image  *registrytest.Content // acme/app:v1
	check  *apicheck.Checker

	mu   sync.Mutex
	used map[string]bool // operations that were carried out, or conflicted with the state
}

// newHub starts a hub with the admin ann, the repositories acme/app and acme/lost, and an upstream.
func newHub(t *testing.T) *hub {
	t.Helper()
	d := memory.New(nil)
	h := &hub{driver: d, image: registrytest.RandomImage(1, 2, 1000), used: map[string]bool{}}
	store, err := storage.New(t.Context(), d, &storage.Options{Grace: 1})
	require.NoError(t, err)
	lost := registrytest.RandomImage(9, 1, 100_000)
	require.NoError(t, lost.Push(t.Context(), store, "acme/lost", "v1"))
	var keys []string
	for info, err := range d.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		keys = append(keys, info.Key)
	}
	for _, key := range keys {
		_, err := d.Put(t.Context(), key, bytes.NewReader(make([]byte, 100_000)), nil)
		require.NoError(t, err)
	}
	_, err = scrub.Run(t.Context(), store, d, &scrub.Options{Repair: true, Settle: -1})
	require.NoError(t, err)
	require.NoError(t, h.image.Push(t.Context(), store, "acme/app", "v1", "build-1", "build-2"))

	upstream := upstreamtest.New(t)
	upstream.Image("library/app", "v1", []byte("one"))
	c, err := config.Parse("hub.yaml", []byte(strings.ReplaceAll(hubConfig, "upstreamURL", upstream.URL)))
	require.NoError(t, err)
	running, err := site.New(t.Context(), &site.Options{Config: c, Driver: d, Addr: "127.0.0.1:0",
		Spans: noop.NewTracerProvider(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	server := httptest.NewServer(running)
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { running.Run(ctx) })
	ended.Go(func() { running.Deliver(ctx) })
	t.Cleanup(func() {
		server.Close()
		stop()
		ended.Wait()
	})
	h.url = server.URL
	nobody := h.client(t, nil)
	description, err := nobody.Description(t.Context())
	require.NoError(t, err)
	h.check, err = apicheck.New(description)
	require.NoError(t, err)
	token, err := running.SetupToken(t.Context())
	require.NoError(t, err)
	ann, err := nobody.SetUp(t.Context(), types.Setup{Token: token.Value(), Name: "ann", Password: password})
	require.NoError(t, err)
	require.Equal(t, "ann", ann.Name)
	return h
}

// client returns a client of the hub.
func (h *hub) client(t *testing.T, opts *client.Options) *client.Client {
	t.Helper()
	if opts == nil {
		opts = &client.Options{}
	}
	opts.HTTP = &http.Client{Transport: &recorder{t, h}}
	c, err := client.New(h.url+"/api", opts)
	require.NoError(t, err)
	return c
}

// as returns a client of a user with the password of all users.
func (h *hub) as(t *testing.T, user string) *client.Client {
	t.Helper()
	return h.client(t, &client.Options{Name: user, Secret: auth.Secret(password), PageSize: 2})
}

// recorder compares exchanges with the description of a hub.
type recorder struct {
	t *testing.T
	h *hub
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || r.h.check == nil {
		return res, err
	}
	got, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(got))
	if err != nil {
		return nil, err
	}
	described := req.Clone(req.Context())
	described.URL.Path = strings.TrimPrefix(req.URL.Path, "/api")
	described.URL.RawPath = strings.TrimPrefix(req.URL.RawPath, "/api")
	err = r.h.check.Check(apicheck.Exchange{Request: described, RequestBody: sent, Status: res.StatusCode,
		Header: res.Header, ResponseBody: got})
	if err != nil {
		r.t.Errorf("%v: %s", err, got)
	}
	if operation, err := r.h.check.Operation(described); err == nil &&
		(res.StatusCode < 300 || res.StatusCode == http.StatusConflict) { // a job may not be running
		r.h.mu.Lock()
		r.h.used[operation] = true
		r.h.mu.Unlock()
	}
	return res, nil
}

// unused returns the operations that no client has used.
func (h *hub) unused() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var unused []string
	for _, operation := range h.check.Operations() {
		if !h.used[operation] {
			unused = append(unused, operation)
		}
	}
	return unused
}

// all returns the elements of a list.
func all[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var elements []T
	for v, err := range list {
		require.NoError(t, err)
		elements = append(elements, v)
	}
	return elements
}
