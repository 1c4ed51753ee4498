package endpoints_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/memory"
)

// lines is a log in memory.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// local starts a replica that may send to loopback.
func local(t *testing.T, change func(*endpoints.Options)) *process {
	t.Helper()
	return start(t, memory.New(nil), nil, func(o *endpoints.Options) {
		o.Webhook = webhook.Options{AllowPrivate: true, Timeout: time.Second}
		if change != nil {
			change(o)
		}
	})
}

func settings(url string) endpoints.Settings {
	return endpoints.Settings{Name: "ci", URL: auth.Secret(url), Format: "json", Authorization: "Bearer sesame-token"}
}

// TestOverHTTP delivers from an outbox on a disk to a receiver that verifies the signatures.
func TestOverHTTP(t *testing.T) {
	got := make(chan string, 10)
	var verifier atomic.Pointer[webhook.Verifier]
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := verifier.Load().Read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		got <- string(body)
	}))
	defer receiver.Close()
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	p := start(t, d, nil, func(o *endpoints.Options) { o.Webhook.AllowPrivate = true })
	box, err := outbox.New(d, []outbox.Destination{{Name: "endpoints", Sink: p}}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- box.Run(ctx) }()
	e, secret, err := p.Create(t.Context(), "ann", endpoints.Scope{Namespace: "acme"}, settings(receiver.URL))
	require.NoError(t, err)
	v, err := webhook.NewVerifier([]auth.Secret{secret}, nil)
	require.NoError(t, err)
	verifier.Store(v)
	event := push("acme/app", "v1")
	require.NoError(t, box.Notify(t.Context(), []notification.Event{event}))
	require.Contains(t, <-got, event.ID)
	require.Eventually(t, func() bool {
		list := p.deliveries(t, e.ID, false)
		return len(list) == 1 && list[0].State == endpoints.Delivered && len(keys(t, d, "d/p/")) == 0
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, p.Remove(t.Context(), e.ID, nil))
	require.Empty(t, keys(t, d, "d/l/"))
	cancel()
	<-ended
}

// TestHostileReceivers: receivers that misbehave get no second request, no memory and no secret.
func TestHostileReceivers(t *testing.T) {
	log := &lines{}
	p := local(t, func(o *endpoints.Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	var followed atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer inner.Close()
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		status int
		text   string // in the error or the response
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
		}, 307, "status 307"},
		"huge body": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			chunk := bytes.Repeat([]byte("x"), 1<<16)
			for range 1 << 10 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, 400, "xxx"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, 0, "header"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // net/http notices the end of the connection after that
			<-r.Context().Done()
		}, 0, "deadline"},
		"echo": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			fmt.Fprintf(w, "\x1b[31m%s %s %s", r.URL.RequestURI(), r.Header.Get("Authorization"), "<script>")
		}, 500, "***"},
		"cut off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := httptest.NewServer(row.answer)
			defer receiver.Close()
			e, secret, err := p.Create(t.Context(), "ann", endpoints.Scope{}, settings(receiver.URL+"/hook?key=sesame-key"))
			require.NoError(t, err)
			d, err := p.Test(t.Context(), "ann", e.ID)
			require.NoError(t, err)
			require.Equal(t, endpoints.Dead, d.State)
			require.Equal(t, row.status, d.Status)
			require.Contains(t, d.Error+d.Response, row.text)
			require.LessOrEqual(t, len(d.Response), 200)
			require.LessOrEqual(t, len(d.Error), 500)
			shown := fmt.Sprintf("%+v %s", d, log)
			require.NotContains(t, shown, "sesame")
			require.NotContains(t, shown, secret.Value())
			require.NotContains(t, shown, "\x1b")
			require.NoError(t, p.Remove(t.Context(), e.ID, nil))
		})
	}
	require.Zero(t, followed.Load())
}

// TestAddresses: an endpoint does not reach the network of the registry, whatever the form of the address.
func TestAddresses(t *testing.T) {
	var reached atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer receiver.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(receiver.URL, "http://"), ":")
	p := start(t, memory.New(nil), nil, func(o *endpoints.Options) { o.MaxPerScope = 100 })
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1",
		"0.0.0.0", "[fe80::1]"} {
		e, _, err := p.Create(t.Context(), "ann", endpoints.Scope{}, settings("http://"+host+":"+port+"/"))
		require.NoError(t, err)
		d, err := p.Test(t.Context(), "ann", e.ID)
		require.NoError(t, err)
		require.Equal(t, endpoints.Dead, d.State)
		require.Equal(t, "webhook: the address is not allowed", d.Error, host)
	}
	require.Zero(t, reached.Load())
}
