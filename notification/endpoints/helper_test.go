package endpoints_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/driver"
)

// killable is the storage as one process reaches it. It counts requests.
type killable struct {
	driver.Driver
	cut                 atomic.Bool // the process is dead or has lost its connection
	puts, lists, others atomic.Int64
}

var errCut = errors.Join(errors.New("cut off"), driver.ErrUnavailable)

func (k *killable) count(n *atomic.Int64) error {
	n.Add(1)
	if k.cut.Load() {
		return errCut
	}
	return nil
}

func (k *killable) Open(ctx context.Context, key string, o *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if err := k.count(&k.others); err != nil {
		return nil, driver.Info{}, err
	}
	return k.Driver.Open(ctx, key, o)
}

func (k *killable) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := k.count(&k.others); err != nil {
		return driver.Info{}, err
	}
	return k.Driver.Stat(ctx, key)
}

func (k *killable) Put(ctx context.Context, key string, body io.Reader, o *driver.PutOptions) (driver.Info, error) {
	if err := k.count(&k.puts); err != nil {
		return driver.Info{}, err
	}
	return k.Driver.Put(ctx, key, body, o)
}

func (k *killable) Delete(ctx context.Context, key, version string) error {
	if err := k.count(&k.puts); err != nil {
		return err
	}
	return k.Driver.Delete(ctx, key, version)
}

func (k *killable) List(ctx context.Context, prefix string, o *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if err := k.count(&k.lists); err != nil {
		return func(yield func(driver.Info, error) bool) { yield(driver.Info{}, err) }
	}
	return k.Driver.List(ctx, prefix, o)
}

// arrival is a request at a receiver.
type arrival struct {
	host   string
	at     time.Time
	header http.Header
	events []notification.Event
}

// receivers is the network: all receivers, by the host of their URLs. It is a transport.
type receivers struct {
	mu       sync.Mutex
	arrivals []arrival
	answer   map[string]func(e notification.Event) (status int, header http.Header) // by host; default: 200
	delay    map[string]time.Duration
}

func newReceivers() *receivers {
	return &receivers{answer: map[string]func(notification.Event) (int, http.Header){}, delay: map[string]time.Duration{}}
}

// respond sets what a host answers.
func (n *receivers) respond(host string, answer func(e notification.Event) (int, http.Header)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer[host] = answer
}

// status makes a host answer with a status.
func (n *receivers) status(host string, status int) {
	n.respond(host, func(notification.Event) (int, http.Header) { return status, nil })
}

func (n *receivers) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var m struct{ Events []notification.Event }
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	n.mu.Lock()
	delay, answer := n.delay[r.URL.Host], n.answer[r.URL.Host]
	n.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	status, header := 200, http.Header(nil)
	if answer != nil {
		status, header = answer(m.Events[0])
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if status == 200 {
		n.arrivals = append(n.arrivals, arrival{r.URL.Host, time.Now(), r.Header.Clone(), m.Events})
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("what went wrong")),
		Request: r}, nil
}

// all returns what has arrived.
func (n *receivers) all() []arrival {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]arrival{}, n.arrivals...)
}

// last returns the last k arrivals.
func (n *receivers) last(k int) []arrival {
	all := n.all()
	return all[len(all)-k:]
}

// wait makes a host answer late.
func (n *receivers) wait(host string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay[host] = d
}

// at returns the events that a host has accepted.
func (n *receivers) at(host string) (events []notification.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.arrivals {
		if a.host == host {
			events = append(events, a.events...)
		}
	}
	return events
}

// ids returns the IDs of the events that a host has accepted, in the order of their first arrival.
func (n *receivers) ids(host string) (ids []string) {
	seen := map[string]bool{}
	for _, e := range n.at(host) {
		if !seen[e.ID] {
			ids = append(ids, e.ID)
		}
		seen[e.ID] = true
	}
	return ids
}

// process is one replica.
type process struct {
	*endpoints.Endpoints
	storage *killable
	stop    func()
}

// kill ends a process: nothing of it reaches the storage any more.
func (p *process) kill() {
	p.storage.cut.Store(true)
	p.stop()
}

// start starts a replica.
func start(t *testing.T, d driver.Driver, n http.RoundTripper, change func(*endpoints.Options)) *process {
	t.Helper()
	o := &endpoints.Options{}
	if n != nil {
		o.Webhook = webhook.Options{Transport: n}
	}
	if change != nil {
		change(o)
	}
	p := &process{storage: &killable{Driver: d}}
	var err error
	p.Endpoints, err = endpoints.New(p.storage, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

// create makes an endpoint at a host.
func (p *process) create(t *testing.T, scope, host string, change func(*endpoints.Settings)) (
	endpoints.ID, auth.Secret) {
	t.Helper()
	parsed, err := endpoints.ParseScope(scope)
	require.NoError(t, err)
	s := endpoints.Settings{Name: host, URL: auth.Secret("https://" + host + "/hook?key=sesame"), Format: format.NameJSON}
	if change != nil {
		change(&s)
	}
	e, secret, err := p.Create(t.Context(), "ann", parsed, s)
	require.NoError(t, err)
	return e.ID, secret
}

// send announces events, one after the other, and returns their IDs.
func (p *process) send(t *testing.T, events ...notification.Event) (ids []string) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, p.Notify(t.Context(), []notification.Event{e}))
		ids = append(ids, e.ID)
	}
	return ids
}

// deliveries returns the recorded deliveries of an endpoint.
func (p *process) deliveries(t *testing.T, id endpoints.ID, dead bool) (all []endpoints.Delivery) {
	t.Helper()
	for d, err := range p.Deliveries(t.Context(), id, &endpoints.DeliveriesOptions{Dead: dead}) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// push returns the event of a push.
func push(repository, tag string) notification.Event {
	return notification.Event{ID: notification.NewID(), Time: time.Now().Round(0).UTC(), Action: notification.Push,
		Kind: notification.Manifest, Repository: repository, Tags: []string{tag},
		Target: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 7,
			Digest: digest.FromString(repository + tag)}}
}

// keys returns the keys with a prefix.
func keys(t *testing.T, d driver.Driver, prefix string) []string {
	t.Helper()
	found := []string{}
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		found = append(found, info.Key)
	}
	return found
}
