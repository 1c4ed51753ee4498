package sse_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/sse"
)

func TestNewRefusesNegativeOptions(t *testing.T) {
	for _, opts := range []sse.Options{{Keep: -1}, {MaxClients: -1}, {Heartbeat: -1}, {WriteTimeout: -1}, {Recheck: -1},
		{Poll: -1}} {
		_, err := sse.New(&opts)
		require.Error(t, err)
	}
}

// TestStreamOverHTTP: events arrive at once, over HTTP/1.1 and HTTP/2, with deadlines of the server
// that are shorter than the stream.
func TestStreamOverHTTP(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			h, err := sse.New(nil)
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(middleware.LocalOnly(h))
			server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
			server.EnableHTTP2 = proto == "HTTP/2.0"
			if server.EnableHTTP2 {
				server.StartTLS()
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			t.Cleanup(h.Close)
			s := open(t, server, "", "", "")
			require.Equal(t, proto, s.res.Proto)
			for range 12 {
				sent := notify(t, h, push("a", 2)...)
				require.Equal(t, ids(sent), ids(s.take(2)))
				<-time.After(50 * time.Millisecond) // longer in all than the deadlines
			}
		})
	}
}

// TestStreamResumes: a client that comes back gets each event that it has missed once. If the events
// are no longer kept, a message says so.
func TestStreamResumes(t *testing.T) {
	h, server := newServer(t, &sse.Options{Keep: 10})
	s := open(t, server, "", "", "")
	first := notify(t, h, push("a", 3)...)
	got := s.take(2) // and goes away before it has read the third
	s.close()
	missed := notify(t, h, push("a", 7)...)

	s = open(t, server, "", "", got[1].ID)
	require.Equal(t, append(ids(first[2:]), ids(missed)...), ids(s.take(8)))
	s.close()
	s = open(t, server, "after="+missed[6].ID, "", "")
	live := notify(t, h, push("a", 1)...)
	require.Equal(t, ids(live), ids(s.take(1)))
	s.close()

	kept := notify(t, h, push("a", 10)...)
	for name, id := range map[string]string{"old": got[1].ID, "of another process": notification.NewID(), "bad": "x"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, server, "", "", id)
			m, ok := s.next()
			require.True(t, ok)
			require.Equal(t, "missing", m.name)
			require.Equal(t, notification.Missing, m.event(t).Action)
			require.Equal(t, ids(kept), ids(s.take(10)))
		})
	}
}

// TestStreamHeartbeat: a stream without events for its caller has comments, which also carry the
// position after events that the caller does not ask for.
func TestStreamHeartbeat(t *testing.T) {
	h, server := newServer(t, &sse.Options{Heartbeat: 20 * time.Millisecond, Keep: 5})
	s := open(t, server, "repository=mine", "", "")
	others := notify(t, h, push("other", 20)...)
	for s.last != others[19].ID {
		require.True(t, s.lines.Scan())
		if id, ok := strings.CutPrefix(s.lines.Text(), "id: "); ok {
			s.last = id
		}
	}
	s.close()
	mine := notify(t, h, push("mine", 1)...)
	s = open(t, server, "repository=mine", "", s.last)
	require.Equal(t, ids(mine), ids(s.take(1)))
}

// TestStreamParameters: the parameters of the request select events.
func TestStreamParameters(t *testing.T) {
	for query, want := range map[string][]string{
		"":                                     {"a/x push", "a/x move", "b delete", "a/y/z pull"},
		"action=push&action=move":              {"a/x push", "a/x move"},
		"repository=a/*":                       {"a/x push", "a/x move"},
		"repository=a/**&repository=b":         {"a/x push", "a/x move", "b delete", "a/y/z pull"},
		"kind=tag":                             {"a/x move"},
		"repository=a/**&action=pull&kind=tag": nil,
	} {
		t.Run(query, func(t *testing.T) {
			h, server := newServer(t, nil)
			s := open(t, server, query, "", "")
			for i, e := range []notification.Event{
				{Repository: "a/x", Action: notification.Push, Kind: notification.Manifest},
				{Repository: "a/x", Action: notification.Move, Kind: notification.Tag, Tags: []string{"v1"}},
				{Repository: "b", Action: notification.Delete, Kind: notification.Repository},
				{Repository: "a/y/z", Action: notification.Pull, Kind: notification.Blob},
				{Action: notification.Missing},
			} {
				e.ID = fmt.Sprint("id-", i)
				notify(t, h, e)
			}
			var got []string
			for {
				m, ok := s.next()
				require.True(t, ok)
				if m.name == "missing" { // everyone gets it
					break
				}
				e := m.event(t)
				got = append(got, e.Repository+" "+string(e.Action))
			}
			require.Equal(t, want, got)
		})
	}
}

// TestRefusals: what is no request for a stream is refused in the form of the registry.
func TestRefusals(t *testing.T) {
	h, server := newServer(t, &sse.Options{MaxClients: 1})
	for name, row := range map[string]struct {
		method, query, lastID string
		status                int
	}{
		"HEAD":              {"HEAD", "", "", 405},
		"POST":              {"POST", "", "", 405},
		"OPTIONS":           {"OPTIONS", "", "", 405},
		"unknown parameter": {"GET", "repo=a", "", 400},
		"malformed query":   {"GET", "repository=%zz", "", 400},
		"malformed pattern": {"GET", "repository=[a", "", 400},
		"empty pattern":     {"GET", "repository=", "", 400},
		"long pattern":      {"GET", "repository=" + strings.Repeat("a", 300), "", 400},
		"many patterns":     {"GET", strings.Repeat("repository=a&", 40), "", 400},
		"newline in an ID":  {"GET", "after=a%0Adata:+x", "", 400},
		"long ID":           {"GET", "", strings.Repeat("a", 20_000), 400},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), row.method, server.URL+"/?"+row.query, nil)
			require.NoError(t, err)
			req.Header.Set("Last-Event-Id", row.lastID)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, row.status, res.StatusCode)
			require.Equal(t, "application/json", res.Header.Get("Content-Type"))
			if row.status == 405 {
				require.Equal(t, "GET", res.Header.Get("Allow"))
			}
		})
	}
	s := open(t, server, "", "", "")
	res, _ := get(t, server, "", "", "")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "10", res.Header.Get("Retry-After"))
	s.close()
	require.Eventually(t, func() bool { // once the server has noticed
		res, cancel := get(t, server, "", "", "")
		defer cancel()
		return res.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
	h.Close()
	h.Close()
	res, _ = get(t, server, "", "", "")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
}

// TestStreamEndsOnShutdown: a host that registers Close can shut its server down.
func TestStreamEndsOnShutdown(t *testing.T) {
	h, err := sse.New(nil)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	server.Config.RegisterOnShutdown(h.Close)
	server.Start()
	defer server.Close()
	s := open(t, server, "", "", "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, server.Config.Shutdown(ctx))
	s.ends()
}

// TestStreamSlowClient: a client that does not read is cut off, and holds up neither Notify nor the
// other clients.
func TestStreamSlowClient(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", h2), func(t *testing.T) {
			ended := make(chan struct{}, 10)
			h, err := sse.New(&sse.Options{WriteTimeout: 200 * time.Millisecond, Keep: 2000})
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if r.URL.Query().Get("action") == "push" {
						ended <- struct{}{}
					}
				}()
				h.ServeHTTP(w, r)
			}))
			server.Config.ConnState = func(c net.Conn, _ http.ConnState) {
				if tc, ok := c.(*net.TCPConn); ok {
					_ = tc.SetWriteBuffer(4 << 10)
				}
			}
			server.EnableHTTP2 = h2
			if h2 {
				server.StartTLS()
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			t.Cleanup(h.Close)
			slow := open(t, server, "action=push", "", "")
			fast := open(t, server, "", "", "")
			big := push("a", 1)[0]
			big.Request.UserAgent = strings.Repeat("x", 16<<10)
			for sent := 0; ; sent++ {
				require.Less(t, sent, 100_000)
				big.ID = notification.NewID()
				notify(t, h, big)
				require.Equal(t, big.ID, fast.take(1)[0].ID)
				select {
				case <-ended:
					slow.close()
					return
				default:
				}
			}
		})
	}
}

// TestStreamRegains: a client that reads slower than events arrive hears that it has missed some, and
// goes on.
func TestStreamRegains(t *testing.T) {
	h, server := newServer(t, &sse.Options{Keep: 4})
	s := open(t, server, "", "", "")
	events := push("a", 5000)
	for _, e := range events {
		e.Request.UserAgent = strings.Repeat("x", 16<<10)
		notify(t, h, e)
	}
	lost := false
	for {
		m, ok := s.next()
		require.True(t, ok)
		lost = lost || m.name == "missing"
		if m.id == events[4999].ID && m.name == "" {
			break
		}
	}
	require.True(t, lost)
}

// TestStreamManyClients: a hundred clients, which come and go, get each event once and in order.
func TestStreamManyClients(t *testing.T) {
	const clients, events = 100, 300
	h, server := newServer(t, nil)
	server.Client().Transport.(*http.Transport).MaxConnsPerHost = 0
	var ready, all sync.WaitGroup
	ready.Add(clients)
	results := make([][]string, clients)
	for n := range clients {
		s := open(t, server, "", "", "")
		all.Go(func() {
			ready.Done()
			for len(results[n]) < events {
				m, ok := s.next()
				if !ok || m.name != "" {
					t.Errorf("client %d: message %v, %v", n, m, ok)
					return
				}
				results[n] = append(results[n], m.id)
				if len(results[n])%(30+n) == 0 { // comes back
					s.close()
					s = open(t, server, "", "", s.last)
				}
			}
		})
	}
	ready.Wait()
	sent := push("a", events)
	var senders sync.WaitGroup
	for part := range 4 {
		senders.Go(func() {
			for i := part; i < events; i += 4 {
				notify(t, h, sent[i])
			}
		})
	}
	senders.Wait()
	all.Wait()
	for n := range clients {
		require.Equal(t, results[0], results[n])
	}
	require.ElementsMatch(t, ids(sent), results[0])
}

// TestStreamIgnoresBrokenIDs: an ID that would break the format is left out.
func TestStreamIgnoresBrokenIDs(t *testing.T) {
	h, server := newServer(t, nil)
	s := open(t, server, "", "", "")
	notify(t, h, notification.Event{ID: "a\nevent: x", Repository: "r\n\ndata: y", Action: notification.Push})
	m, ok := s.next()
	require.True(t, ok)
	require.Empty(t, m.id)
	require.Empty(t, m.name)
	require.Equal(t, "r\n\ndata: y", m.event(t).Repository)
}

// TestStreamRequestBody: a client that announces a body and does not send it does not hold a
// refused request open.
func TestStreamRequestBody(t *testing.T) {
	_, server := newServer(t, nil)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "405")
}
