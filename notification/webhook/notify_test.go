package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// ids returns the IDs of the events in a body of format.JSON.
func ids(t *testing.T, body []byte) (list []string) {
	t.Helper()
	var got struct{ Events []notification.Event }
	require.NoError(t, json.Unmarshal(body, &got))
	for _, e := range got.Events {
		list = append(list, e.ID)
	}
	return list
}

// TestGroups: many events go out in requests of at most MaxEvents, in order. After a failure, the
// caller knows how many were delivered.
func TestGroups(t *testing.T) {
	events := pushes(25)
	for failing := range 5 { // index of the request that fails
		n := 0
		server := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if n++; n == failing+1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		w := local(t, server.URL, &webhook.Options{Format: format.JSON(), MaxEvents: 7})
		err := w.Notify(t.Context(), events)
		delivered := notification.Delivered(err, len(events))
		require.Equal(t, min(failing*7, len(events)), delivered)
		require.NoError(t, w.Notify(t.Context(), events[delivered:]))
		var got, want []string
		for i, r := range server.all() {
			if i != failing {
				got = append(got, ids(t, r.body)...)
			}
		}
		for _, e := range events {
			want = append(want, e.ID)
		}
		require.Equal(t, want, got)
	}
}

// TestRefusedEvent: an event that the receiver refuses does not take the others of its message with
// it.
func TestRefusedEvent(t *testing.T) {
	events := pushes(9)
	bad := events[4].ID
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || bytes.Contains(body, []byte(bad)) {
			http.Error(w, "no such thing", http.StatusUnprocessableEntity)
		}
	}))
	t.Cleanup(server.Close)
	var attempts []webhook.Attempt
	w := local(t, server.URL, &webhook.Options{Format: format.JSON(), Observe: func(a webhook.Attempt) {
		attempts = append(attempts, a)
	}})
	err := w.Notify(t.Context(), events)
	require.ErrorIs(t, err, notification.ErrRefused)
	require.Equal(t, 4, notification.Delivered(err, len(events)))
	require.Len(t, attempts, 6, "all at once, then one by one up to the refused one")
	require.Len(t, attempts[0].Events, 9)
	require.Equal(t, []string{bad}, attempts[5].Events)
	err = w.Notify(t.Context(), events[4:5])
	require.ErrorIs(t, err, notification.ErrRefused)
	require.Zero(t, notification.Delivered(err, 1))
	require.NoError(t, w.Notify(t.Context(), events[5:]))
}

// TestObserve: the log of deliveries has everything but secrets.
func TestObserve(t *testing.T) {
	server := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fail") {
			http.Error(w, "first line\r\n\tsecond\x00 \xff line", http.StatusInternalServerError)
		}
	})
	var got []webhook.Attempt
	opts := &webhook.Options{Observe: func(a webhook.Attempt) { got = append(got, a) }}
	events := pushes(1)
	require.NoError(t, local(t, server.URL+"/hook", opts).Notify(t.Context(), events))
	err := local(t, server.URL+"/hook?fail", opts).Notify(t.Context(), events)
	require.EqualError(t, err, "webhook: "+server.URL+": status 500: first line second line")
	server.Close()
	require.Error(t, local(t, server.URL+"/hook", opts).Notify(t.Context(), events))
	require.Len(t, got, 3)
	for i, status := range []int{200, 500, 0} {
		a := got[i]
		require.Equal(t, server.URL, a.URL)
		require.Equal(t, events[0].ID, a.ID)
		require.Equal(t, []string{events[0].ID}, a.Events)
		require.Equal(t, status, a.Status)
		require.Equal(t, status == 200, a.Err == nil)
		require.False(t, a.Started.IsZero())
		require.Positive(t, a.Duration)
	}
	require.Equal(t, "first line second line", got[1].Response)
}

// TestNoSecretInErrors: a receiver that repeats the whole request does not reveal secrets.
func TestNoSecretInErrors(t *testing.T) {
	secret := webhook.NewSecret()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		switch {
		case r.Header.Get("X-Mode") == "basic":
			user, password, _ := r.BasicAuth()
			fmt.Fprintf(w, "%s at %s for %s\n", user, password, secret.Value())
		default:
			fmt.Fprintf(w, "%s %s %s\n%s\n%s\n%s", r.RequestURI, r.URL.RawQuery, r.URL.Query().Get("key"),
				r.Header.Get("Authorization"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
				r.Header.Get("X-Api-Key"))
		}
	}))
	t.Cleanup(server.Close)
	basic := "Basic YW5uOmh1bnRlcjI=" // ann:hunter2
	for mode, authorization := range map[string]auth.Secret{"plain": "Bearer hunter2-token", "basic": auth.Secret(basic)} {
		var attempt webhook.Attempt
		w := local(t, server.URL+"/services/T0/hunter2hunter2hunter2?key=hunter2%20q", &webhook.Options{
			Secrets: []auth.Secret{secret}, Authorization: authorization,
			Header:  http.Header{"X-Api-Key": {"hunter2"}, "X-Mode": {mode}},
			Observe: func(a webhook.Attempt) { attempt = a },
		})
		err := w.Notify(t.Context(), pushes(1))
		text := fmt.Sprintf("%v %+v %v %#v %v", err, attempt, w, attempt, errors.Unwrap(err))
		require.Contains(t, text, "status 500")
		require.Contains(t, text, "***")
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, "YW5u")
		require.NotContains(t, text, secret.Value()[6:])
	}
}

// TestNew: mistakes are found at start, and errors do not contain the URL.
func TestNew(t *testing.T) {
	for _, raw := range []string{"", "hunter2", "ftp://ci.example/hunter2", "//ci.example/hunter2", "https:///hunter2",
		"https://ann:hunter2@ci.example", "https://hunter2@ci.example", "https://ci.example/#hunter2",
		"https://ann:hunter2%zz@ci.example/", "https://[hunter2", "https://ci.example:0/hunter2",
		"https://ci.example:65536/hunter2", "https://ci.example:hunter2/", "HTTPS:hunter2", "https://ci example/hunter2"} {
		_, err := webhook.New(raw, nil)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, raw := range []string{"https://ci.example", "http://ci.example:8080/a%2Fb?x=1;y&z=%zz", "HTTPS://CI.example/",
		"https://[2001:4860::8888]/", "https://bücher.example/"} {
		_, err := webhook.New(raw, nil)
		require.NoError(t, err, raw)
	}
	proxy := &url.URL{Scheme: "gopher", Host: "proxy.example"}
	for name, opts := range map[string]webhook.Options{
		"timeout": {Timeout: -1}, "retry": {MaxRetryAfter: -1}, "events": {MaxEvents: -1},
		"newline": {Authorization: "Bearer hunter2\r\nX: y"}, "control": {Authorization: "Bearer \x00hunter2"},
		"reserved": {Header: http.Header{"webhook-id": {"hunter2"}}}, "ce": {Header: http.Header{"ce-id": {"hunter2"}}},
		"authorization": {Header: http.Header{"authorization": {"hunter2"}}},
		"length":        {Header: http.Header{"Content-Length": {"7"}}}, "name": {Header: http.Header{"X Y": {"hunter2"}}},
		"value": {Header: http.Header{"X": {"hunter2\n"}}}, "agent": {UserAgent: "hunter2\n"},
		"proxy": {Proxy: proxy}, "both": {Transport: http.DefaultTransport, AllowPrivate: true},
	} {
		_, err := webhook.New("https://ci.example", &opts)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestOwnIDs: IDs that a host chose itself do not make the signed text ambiguous.
func TestOwnIDs(t *testing.T) {
	server := newReceiver(t, nil)
	w := local(t, server.URL, nil)
	for _, id := range []string{"a.b", "a\nb", "ü", strings.Repeat("a", 200), ""} {
		events := pushes(1)
		events[0].ID = id
		require.NoError(t, w.Notify(t.Context(), events))
		require.NoError(t, w.Notify(t.Context(), events))
	}
	all := server.all()
	seen := map[string]int{}
	for i := range all {
		require.Regexp(t, `^id_[0-9a-f]{32}$`, all[i].header.Get(webhook.HeaderID))
		seen[all[i].header.Get(webhook.HeaderID)]++
	}
	require.Len(t, seen, 5)
}

// TestConcurrentNotify is for the race detector.
func TestConcurrentNotify(t *testing.T) {
	server := newReceiver(t, nil)
	w := local(t, server.URL, &webhook.Options{Secrets: []auth.Secret{webhook.NewSecret()},
		Format: format.CloudEvents(format.Binary, nil), Observe: func(webhook.Attempt) {}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.Notify(t.Context(), pushes(5)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, server.all(), 40)
}

// TestNothingToSend: events that the format leaves out are delivered without a request.
func TestNothingToSend(t *testing.T) {
	server := newReceiver(t, nil)
	events := pushes(3)
	for i := range events {
		events[i].Action = notification.Missing
	}
	require.NoError(t, local(t, server.URL, nil).Notify(t.Context(), events))
	require.Empty(t, server.all())
}
