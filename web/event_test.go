package web_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/web"
)

// newEventSite starts a site with a stream of events.
func newEventSite(t *testing.T) *site {
	t.Helper()
	return newSite(t, func(s *site, _ *api.Options, page *web.Options) {
		users, err := accounts.NewAuthenticator(s.people, nil)
		require.NoError(t, err)
		stream, err := sse.New(&sse.Options{Authenticator: users, Authorizer: accounts.NewAuthorizer(s.people)})
		require.NoError(t, err)
		s.onEvents = func(events []notification.Event) { require.NoError(t, stream.Notify(t.Context(), events)) }
		t.Cleanup(stream.Close)
		page.Events = stream
	})
}

// TestEvents: people see the last events of the repositories that they may pull from, and go on with the stream.
func TestEvents(t *testing.T) {
	s := newEventSite(t)
	require.Contains(t, s.get(t, "ann", "/events").text, "There are no events yet.")
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	r := s.get(t, "ann", "/events")
	first := r.doc.Find("tbody tr").First()
	require.Contains(t, first.Text(), "push manifest")
	require.Equal(t, "/ui/repositories/acme/app", first.Find("a").AttrOr("href", ""))
	require.Equal(t, "v1", first.Find(".chip").Text())
	require.Contains(t, first.Text(), "ann")
	require.Zero(t, s.get(t, "bob", "/events").doc.Find("tbody tr").Length())
	require.Zero(t, s.get(t, "", "/events").doc.Find("tbody tr").Length())

	table := r.doc.Find("#events")
	require.Equal(t, "/ui/events/stream", table.AttrOr("data-stream", ""))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		s.url+"/ui/events/stream?after="+table.AttrOr("data-after", ""), nil)
	require.NoError(t, err)
	req.SetBasicAuth("ann", password)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	s.pushImage(t, "ann", "acme/app", "v2", amd64, "layer")
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			require.NotContains(t, lines.Text(), `"v1"`, "the stream goes on after the page")
		}
		if strings.Contains(lines.Text(), `"v2"`) {
			return
		}
	}
	require.Fail(t, "the stream has ended")
}

// TestHostileEvents: a stream of any content shows as text.
func TestHostileEvents(t *testing.T) {
	for _, body := range []string{"", "data: x\n\n", "id\n\n\n", "data: {}\n\ndata: []\n\n", strings.Repeat("x", 5<<20)} {
		s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) {
			page.Events = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		})
		require.Equal(t, http.StatusOK, s.get(t, "ann", "/events").StatusCode)
	}
	text := `data: {"action":"<script>alert(1)</script>","repository":"javascript:alert(1)","kind":"\u202egnp",` +
		`"tags":["\"><img src=x onerror=alert(1)>","a\u0000b"],"actor":"</td><h1>","target":{"digest":"<b>"},` +
		`"time":"2026-01-01T00:00:00Z"}` + "\n\n"
	s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) {
		page.Events = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write([]byte(text))
			}
		})
	})
	r := s.get(t, "ann", "/events")
	require.Equal(t, 50, r.doc.Find("tbody tr").Length())
	require.NotContains(t, string(r.body), "\u202e")
	refusing := newSite(t, func(_ *site, _ *api.Options, page *web.Options) {
		page.Events = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no", http.StatusForbidden)
		})
	})
	require.Zero(t, refusing.get(t, "ann", "/events").doc.Find("tbody tr").Length())
}
