package sse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/sse"
)

// newServer serves a Handler over HTTP/1.1.
func newServer(t testing.TB, opts *sse.Options) (*sse.Handler, *httptest.Server) {
	t.Helper()
	h, err := sse.New(opts)
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(h.Close) // first: Close of the server waits for the streams
	return h, server
}

// users are callers whose password is their name.
func users(t testing.TB, names ...string) auth.Authenticator {
	t.Helper()
	list := map[string]static.User{}
	for _, name := range names {
		list[name] = static.User{Secret: auth.Secret(name), Groups: []string{name}}
	}
	a, err := static.New(list, nil)
	require.NoError(t, err)
	return a
}

// message is a server-sent event as a client reads it.
type message struct {
	id, name, data string
}

func (m message) event(t testing.TB) notification.Event {
	t.Helper()
	var e notification.Event
	require.NoError(t, json.Unmarshal([]byte(m.data), &e))
	return e
}

// stream is an open stream.
type stream struct {
	t      testing.TB
	res    *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
	last   string // Last-Event-ID, as a browser keeps it
}

// open opens a stream as a user, or as an anonymous caller if user is "", and waits for its
// beginning.
func open(t testing.TB, server *httptest.Server, query, user, lastID string) *stream {
	t.Helper()
	res, cancel := get(t, server, query, user, lastID)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Equal(t, "no", res.Header.Get("X-Accel-Buffering"))
	s := &stream{t: t, res: res, lines: bufio.NewScanner(res.Body), cancel: cancel, last: lastID}
	t.Cleanup(s.close)
	require.True(t, s.lines.Scan())
	require.Equal(t, "retry: 3000", s.lines.Text())
	return s
}

// get sends a request.
func get(t testing.TB, server *httptest.Server, query, user, lastID string) (*http.Response, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events?"+query, nil)
	require.NoError(t, err)
	if user != "" {
		req.SetBasicAuth(user, user)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := server.Client().Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res, cancel
}

func (s *stream) close() {
	s.cancel()
	s.res.Body.Close()
}

// next returns the next message. ok is false at the end of the stream.
func (s *stream) next() (m message, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			s.last = value
		case "event":
			m.name = value
		case "data":
			m.data = value
		case "":
			if m.data != "" {
				m.id = s.last
				return m, true
			}
		}
	}
	return m, false
}

// take returns the next n events. It fails if there is a message of another name.
func (s *stream) take(n int) []notification.Event {
	s.t.Helper()
	var list []notification.Event
	for range n {
		m, ok := s.next()
		require.True(s.t, ok, "the stream ended after %d events", len(list))
		require.Empty(s.t, m.name)
		list = append(list, m.event(s.t))
	}
	return list
}

// ends fails unless the stream ends without another message.
func (s *stream) ends() {
	s.t.Helper()
	m, ok := s.next()
	require.False(s.t, ok, "another message: %v", m)
}

// ids returns the IDs of events.
func ids(events []notification.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// push returns n events of pushes.
func push(repo string, n int) []notification.Event {
	list := make([]notification.Event, n)
	for i := range list {
		list[i] = notification.Event{
			ID: notification.NewID(), Time: time.Now(), Action: notification.Push, Kind: notification.Manifest,
			Repository: repo, Tags: []string{fmt.Sprint("v", i)}, Actor: "ann", Instance: "one",
			Request: &notification.Request{Method: "PUT"},
		}
	}
	return list
}

// notify sends events to sinks.
func notify(t testing.TB, sink notification.Sink, events ...notification.Event) []notification.Event {
	t.Helper()
	require.NoError(t, sink.Notify(t.Context(), slices.Clone(events)))
	return events
}
