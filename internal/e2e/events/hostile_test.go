package events

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// hostile is a receiver that misbehaves.
type hostile struct {
	url      string
	requests atomic.Int64
	bytes    atomic.Int64 // of bodies that the sender let it write
}

// serve answers with handler.
func (h *hostile) serve(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		handler(w, r)
	}))
	h.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
}

// write writes a gigabyte, as long as the sender reads.
func (h *hostile) write(w http.ResponseWriter) {
	chunk := make([]byte, 64<<10)
	for range 1 << 30 / len(chunk) {
		n, err := w.Write(chunk)
		h.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// hostiles are the receivers of TestHostileReceivers by name.
var hostiles = map[string]func(t *testing.T, h *hostile){
	"hangs before the response": func(t *testing.T, h *hostile) {
		h.serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
	},
	"accepts connections only": func(t *testing.T, h *hostile) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		h.url = "http://" + listener.Addr().String()
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				h.requests.Add(1)
				t.Cleanup(func() { _ = c.Close() })
			}
		}()
	},
	"fails with a body of 1 GB": func(t *testing.T, h *hostile) {
		h.serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			h.write(w)
		})
	},
	"redirects for ever": func(t *testing.T, h *hostile) {
		h.serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"/again", http.StatusTemporaryRedirect)
		})
	},
	"is not HTTP": func(t *testing.T, h *hostile) {
		h.serve(t, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "220 smtp.example ready\r\n")
				_ = c.Close()
			}
		})
	},
}

// TestHostileReceivers runs a server with a receiver that misbehaves, and a good one. Pushes are
// not delayed, the good receiver gets every event, and the other one is called again and again, with
// bounds for time, bytes and memory.
func TestHostileReceivers(t *testing.T) {
	for name, start := range hostiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, good := &hostile{}, newReceiver(t)
			start(t, h)
			server := harness.New(t, options(t, append(webhookArgs(t, good.URL, quickRetries...),
				"-webhook", h.url+"/x#name=bad&format=json&timeout=1s")))
			all := pushSome(t, server)
			requireAnnounced(t, all, good, 10*time.Second)
			require.Eventually(t, func() bool { return h.requests.Load() >= 2 }, 20*time.Second, 50*time.Millisecond,
				"the receiver is called again")
			require.LessOrEqual(t, h.requests.Load(), int64(60), "attempts are spread out, and redirects are not followed")
			// The kernel buffers more than the sender reads.
			require.LessOrEqual(t, h.bytes.Load()/max(1, h.requests.Load()), int64(16<<20))
			memory, err := harness.Memory(server.PID(), "VmHWM")
			require.NoError(t, err)
			require.Less(t, memory, int64(200<<20))
			require.NotEmpty(t, logged(t, server, "bad"), "the log names the webhook that fails")
			start := time.Now()
			require.NoError(t, server.Stop())
			require.Less(t, time.Since(start), 10*time.Second)
		})
	}
}

// TestEarlyClose has a receiver that answers 200 and closes the connection within the body. Only
// the status counts, so each event is delivered once.
func TestEarlyClose(t *testing.T) {
	r := newReceiver(t)
	r.set(func() fault { return truncated })
	server := harness.New(t, options(t, webhookArgs(t, r.URL, quickRetries...)))
	all := pushSome(t, server)
	requireAnnounced(t, all, r, 10*time.Second)
	require.NoError(t, server.Stop())
	duplicates, _ := r.duplicates()
	require.Zero(t, duplicates)
}

// TestPrivateAddresses sends no request to private addresses, whether the URL has the address or a
// name that resolves to it, while a webhook with the field allow is delivered.
func TestPrivateAddresses(t *testing.T) {
	r := newReceiver(t)
	args := webhookArgs(t, r.URL, append(quickRetries, "allow: [127.0.0.0/8]")...)
	args = args[:len(args):len(args)]
	for i, a := range args {
		if a == "-webhook-allow-private" {
			args = append(args[:i:i], args[i+1:]...)
			break
		}
	}
	name := &hostile{}
	name.serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(name.url, "http://"))
	require.NoError(t, err)
	server := harness.New(t, options(t, append(args,
		"-webhook", "http://169.254.169.254/latest/meta-data/#name=metadata&timeout=5s",
		"-webhook", "http://localhost:"+port+"/x#name=resolved&timeout=5s")))
	all := pushSome(t, server)
	requireAnnounced(t, all, r, 10*time.Second)
	for _, name := range []string{"metadata", "resolved"} {
		require.Eventually(t, func() bool { return len(logged(t, server, name)) > 0 }, 10*time.Second, 50*time.Millisecond)
	}
	require.Zero(t, name.requests.Load())
	require.NoError(t, server.Stop())
}

// TestReceiverKilled cuts off the receiver in the middle of requests, again and again.
func TestReceiverKilled(t *testing.T) {
	r := newReceiver(t)
	server := harness.New(t, options(t, webhookArgs(t, r.URL, quickRetries...)))
	all := &ledger{}
	pushers := newPushers(2, 1, all, func() *harness.Client { return harness.NewClient(server.URL()) })
	done := make(chan struct{})
	go func() {
		pushAll(t.Context(), pushers, size(25, 1000))
		close(done)
	}()
	cuts := 0
	for ; !ended(done, 50*time.Millisecond); cuts++ {
		r.CloseClientConnections()
	}
	requireAnnounced(t, all, r, time.Minute)
	requireOrder(t, all, r.received())
	t.Logf("%d cuts: %s", cuts, summary(t, all, r))
}

// TestTerminate stops the server with SIGTERM while events wait. It ends soon, and the next process
// delivers them at once, without waiting for a lease.
func TestTerminate(t *testing.T) {
	r := newReceiver(t)
	r.set(func() fault { return status500 })
	o := options(t, webhookArgs(t, r.URL, quickRetries...))
	server := harness.New(t, o)
	all := pushSome(t, server)
	start := time.Now()
	require.NoError(t, server.Stop())
	require.Less(t, time.Since(start), 5*time.Second)
	r.set(nil)
	o.Addr = server.Addr
	harness.New(t, o)
	requireAnnounced(t, all, r, 10*time.Second)
}

// pushSome pushes a few images, each in less than a second.
func pushSome(t *testing.T, server *harness.Server) *ledger {
	t.Helper()
	all := &ledger{}
	p := newPushers(1, 1, all, func() *harness.Client { return harness.NewClient(server.URL()) })[0]
	start := time.Now()
	p.run(t.Context(), 5)
	require.Less(t, time.Since(start), 5*time.Second)
	_, open := all.acknowledged()
	require.Empty(t, open)
	return all
}

// TestCorruptOutbox overwrites stored events, all but the first, while the server is down. The
// server reports each object that it cannot read, tells the receiver that events are missing, keeps
// the object, and goes on.
func TestCorruptOutbox(t *testing.T) {
	r := newReceiver(t)
	r.set(func() fault { return status500 })
	o := options(t, webhookArgs(t, r.URL, quickRetries...))
	server := harness.New(t, o)
	pushSome(t, server)
	require.NoError(t, server.Stop())
	corrupt := corruptOutbox(t, o.Storage)
	require.NotEmpty(t, corrupt)

	r.set(nil)
	o.Addr = server.Addr
	server = harness.New(t, o)
	after := &ledger{}
	p := newPushers(1, 2, after, func() *harness.Client { return harness.NewClient(server.URL()) })[0]
	p.repo = "events/after"
	p.run(t.Context(), 5)
	requireAnnounced(t, after, r, 20*time.Second)
	require.True(t, slices.ContainsFunc(r.received(), func(e event) bool { return e.Action == "missing" }))
	require.NotEmpty(t, logged(t, server, "cannot be read"))
	for path, content := range corrupt {
		kept, err := os.ReadFile(path)
		require.NoError(t, err, "the object is kept")
		require.Equal(t, content, string(kept))
	}
}

// corruptOutbox overwrites the stored events below a storage folder, but for the first object. It
// returns the files with their content. docs/layout.md has the keys.
func corruptOutbox(t *testing.T, dir string) map[string]string {
	t.Helper()
	corrupt, first := map[string]string{}, true
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, "/e/s/") {
			return err
		}
		if first { // WalkDir goes in the order of names
			first = false
			return nil
		}
		corrupt[path] = "{ this is no event"
		return os.WriteFile(path, []byte(corrupt[path]), 0o600)
	}))
	return corrupt
}
