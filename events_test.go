package registry_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// batches is a Sink that keeps the events of each call.
type batches struct {
	mu  sync.Mutex
	all [][]notification.Event
	err error
}

func (b *batches) Notify(_ context.Context, events []notification.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, events)
	return b.err
}

// take returns the events since the last call, one element for each call of the Sink.
func (b *batches) take() [][]notification.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

// eventSite is a registry whose events are recorded, with a history and two repositories: "src"
// with the blob, and "a" with the blobs of the images.
type eventSite struct {
	t     *testing.T
	sink  *batches
	store *storage.Store
	reg   *registry.Registry
	http  *client
	ids   map[string]bool
}

const eventUser = "ann"

func newEventSite(t *testing.T, opts registry.Options) *eventSite {
	store, err := storage.New(t.Context(), memory.New(nil), &storage.Options{History: time.Hour})
	require.NoError(t, err)
	s := &eventSite{t: t, sink: &batches{}, store: store, ids: map[string]bool{}}
	opts.Sink, opts.Instance = s.sink, "replica-1"
	opts.Authenticator = auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		name, _, _ := r.BasicAuth()
		return auth.Identity{Name: name}, nil
	})
	s.reg, err = registry.New(store, &opts)
	require.NoError(t, err)
	s.http = newClient(t, strings.Replace(startServer(t, s.reg), "//", "//"+eventUser+":x@", 1))
	return s
}

// require requires that the Sink got the events of one operation in one call, or with no events
// that it was not called. It checks and then removes what differs from run to run.
func (s *eventSite) require(method string, want []notification.Event) {
	t := s.t
	t.Helper()
	got := s.sink.take()
	if want == nil {
		require.Empty(t, got)
		return
	}
	require.Len(t, got, 1)
	last, first := "", got[0][0]
	for i := range got[0] {
		e := &got[0][i]
		id, err := uuid.Parse(e.ID)
		require.NoError(t, err)
		require.Equal(t, uuid.Version(7), id.Version())
		require.Greater(t, e.ID, last, "IDs ascend")
		require.False(t, s.ids[e.ID], "the ID is unique")
		s.ids[e.ID], last = true, e.ID
		require.WithinDuration(t, time.Now(), e.Time, time.Minute)
		require.Equal(t, first.Time, e.Time)
		if method == "" {
			require.Nil(t, e.Request)
		} else {
			require.NoError(t, uuid.Validate(e.Request.ID))
			require.True(t, strings.HasPrefix(e.Request.RemoteAddr, "127.0.0.1:"))
			require.Equal(t, first.Request, e.Request)
			_, host, _ := strings.Cut(s.http.base, "@")
			require.Equal(t, notification.Request{ID: e.Request.ID, Method: method, Host: host,
				RemoteAddr: e.Request.RemoteAddr, UserAgent: "Go-http-client/1.1"}, *e.Request)
		}
		require.Equal(t, "replica-1", e.Instance)
		require.Equal(t, eventUser, e.Actor)
		e.ID, e.Time, e.Instance, e.Actor, e.Request = "", time.Time{}, "", "", nil
	}
	require.Equal(t, want, got[0])
}

// eventStep is an operation, over HTTP and from Go code, and its events. Steps are done in order.
type eventStep struct {
	name string
	http func(c *client)                              // nil if HTTP has no such operation
	call func(t *testing.T, b registry.Backend) error // an error is expected if there are no events
	via  string                                       // the HTTP method of the request with the events
	want []notification.Event                         // nil if there are none
}

// TestEventsOfEachOperation performs every operation over HTTP and from Go code, with and without
// an Authorizer, and requires exactly its events, once.
func TestEventsOfEachOperation(t *testing.T) {
	allow := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		if who.Name != eventUser {
			return auth.ErrDenied
		}
		return nil
	})
	for name, authorizer := range map[string]auth.Authorizer{"open": nil, "authorized": allow} {
		t.Run(name+"/http", func(t *testing.T) {
			s := newEventSite(t, registry.Options{Authorizer: authorizer})
			b := s.reg.Backend(auth.Identity{Name: eventUser})
			for _, step := range eventSteps(t, s.store) {
				via := step.via
				if step.http == nil {
					via = ""
					_ = step.call(t, b)
				} else {
					step.http(s.http)
				}
				t.Log(step.name)
				s.require(via, step.want)
			}
		})
		t.Run(name+"/go", func(t *testing.T) {
			s := newEventSite(t, registry.Options{Authorizer: authorizer})
			b := s.reg.Backend(auth.Identity{Name: eventUser})
			for _, step := range eventSteps(t, s.store) {
				err := step.call(t, b)
				t.Log(step.name, err)
				if step.want != nil {
					require.NoError(t, err)
				}
				s.require("", step.want)
			}
		})
	}
}

func event(action notification.Action, kind notification.Kind, target *ocispec.Descriptor,
	tags ...string) notification.Event {
	return notification.Event{Action: action, Kind: kind, Repository: "a", Target: target, Tags: tags}
}

// moved returns the event of a tag that moved to a manifest from another.
func moved(to *ocispec.Descriptor, from *registrytest.Content, tag string) notification.Event {
	e := event(notification.Move, notification.Tag, to, tag)
	e.Previous = from.Descriptor.Digest
	return e
}

// typed returns the descriptor of a content in events.
func typed(c *registrytest.Content, artifactType string) *ocispec.Descriptor {
	desc := c.Descriptor
	desc.ArtifactType = artifactType
	return &desc
}

func blobOf(content []byte) *ocispec.Descriptor {
	return &ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(content),
		Size: int64(len(content))}
}
