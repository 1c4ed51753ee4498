package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// TestNewRefuses: a URL or options that would leak credentials, or make no sense, are errors without secrets.
func TestNewRefuses(t *testing.T) {
	const secret = "hunter2"
	login := &client.Options{Name: "ann", Secret: secret}
	for _, row := range []struct {
		url  string
		opts *client.Options
		want string
	}{
		{"hub.example.com/api", nil, "must have the form"},
		{"ftp://hub.example.com/api", nil, "must have the form"},
		{"https://", nil, "must have the form"},
		{"https://hub.example.com/api?a=b", nil, "must have the form"},
		{"https://hub.example.com/api#a", nil, "must have the form"},
		{"https://ann:" + secret + "@hub.example.com/api", nil, "contains credentials"},
		{"https://ann:" + secret + "%@hub.example.com/api", nil, "malformed"},
		{"http://hub.example.com/api", login, "has no TLS"},
		{"http://127.0.0.1.example.com/api", login, "has no TLS"},
		{"http://hub.example.com/api", &client.Options{Session: secret}, "has no TLS"},
		{"https://hub.example.com/api", &client.Options{Name: "ann"}, "belong together"},
		{"https://hub.example.com/api", &client.Options{Secret: secret}, "belong together"},
		{"https://hub.example.com/api", &client.Options{Name: "ann", Secret: secret, Session: secret}, "both"},
		{"https://hub.example.com/api", &client.Options{PageSize: -1}, "negative"},
	} {
		_, err := client.New(row.url, row.opts)
		require.ErrorContains(t, err, row.want, row.url)
		require.NotContains(t, err.Error(), secret)
	}
	for _, u := range []string{"https://hub.example.com/api/", "http://localhost:5000/api", "http://[::1]:5000"} {
		_, err := client.New(u, login)
		require.NoError(t, err, u)
	}
	_, err := client.New("http://hub.example.com", &client.Options{Name: "ann", Secret: secret, PlainHTTP: true})
	require.NoError(t, err)
	_, err = client.NewSignIn("http://hub.example.com/signin", nil)
	require.ErrorContains(t, err, "has no TLS", "a password would be sent")
}

// serve starts a server, and returns a client of it with credentials.
func serve(t *testing.T, f http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/api", &client.Options{Name: "ann", Secret: "hunter2", PageSize: 2})
	require.NoError(t, err)
	return c
}

// TestRedirects: the client follows no redirect, so credentials reach no other server.
func TestRedirects(t *testing.T) {
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		_, err := c.Caller(t.Context())
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, status, e.Status)
		require.Error(t, c.AddAdmin(t.Context(), "bob", nil))
	}
	require.False(t, reached.Load())
}

// TestLinks: only the cursor of a Link header counts, whatever server and path it names.
func TestLinks(t *testing.T) {
	var paths []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path+"?"+r.URL.Query().Get("after"))
		switch r.URL.Query().Get("after") {
		case "":
			w.Header().Set("Link", `<https://evil.example/v1/admins?after=two&limit=1>; rel="next"`)
			io.WriteString(w, `{"items":[{"name":"a"},{"name":"b"}]}`)
		case "two":
			w.Header().Set("Link", `<//evil.example/x?after=a%26b%2Fc>; rel="next"`)
			io.WriteString(w, `{"items":[]}`)
		default:
			w.Header().Set("Link", `<::malformed>; rel="next"`)
			io.WriteString(w, `{"items":[{"name":"c"}]}`)
		}
	})
	names := ""
	for _, u := range all(t, c.Users(t.Context(), nil)) {
		names += u.Name
	}
	require.Equal(t, "abc", names, "an empty page is not the last one")
	require.Equal(t, []string{"/api/v1/users?", "/api/v1/users?two", "/api/v1/users?a&b/c"}, paths)
}

// TestListsThatDoNotEnd: a list that repeats its cursor is an error. A consumer that stops ends any list.
func TestListsThatDoNotEnd(t *testing.T) {
	requests := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Link", `</api/v1/users?after=same>; rel="next"`)
		io.WriteString(w, `{"items":[{"name":"a"}]}`)
	})
	var last error
	for _, err := range c.Users(t.Context(), nil) {
		last = err
	}
	require.ErrorContains(t, last, "does not end")
	require.Equal(t, 2, requests)
	for range c.Users(t.Context(), nil) {
		break
	}
	require.Equal(t, 3, requests)
}

// TestHugeResponses: the client reads no more than its limit.
func TestHugeResponses(t *testing.T) {
	filler := strings.Repeat("x", 1<<20)
	var sent atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/bob") {
			w.WriteHeader(http.StatusConflict)
		}
		io.WriteString(w, `{"name":"`)
		for range 200 {
			n, err := io.WriteString(w, filler)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	_, err := c.Caller(t.Context())
	require.ErrorContains(t, err, "more than")
	require.Less(t, sent.Swap(0), int64(150<<20))
	_, _, err = c.User(t.Context(), "bob")
	require.ErrorIs(t, err, client.ErrConflict)
	require.Less(t, sent.Swap(0), int64(50<<20))
	for _, err = range c.Organisations(t.Context()) {
	}
	require.Error(t, err)
	require.Less(t, sent.Load(), int64(150<<20))
}

// TestErrors: an error has the problem of the response, or only the status if the body is no problem.
func TestErrors(t *testing.T) {
	for _, row := range []struct {
		status    int
		body      string
		is        error
		text      string
		retry     string
		wantRetry time.Duration
	}{
		{401, `{"code":"UNAUTHORIZED","status":401,"detail":"invalid credentials"}`, client.ErrUnauthorized,
			"invalid credentials (UNAUTHORIZED, status 401)", "", 0},
		{403, `{"code":"DENIED","status":200}`, client.ErrDenied, "Forbidden (DENIED, status 403)", "", 0},
		{404, `<html>`, client.ErrNotFound, "Not Found (status 404)", "", 0},
		{409, `{"code":"TAKEN"}`, client.ErrConflict, "Conflict (TAKEN, status 409)", "", 0},
		{412, ``, client.ErrChanged, "Precondition Failed (status 412)", "", 0},
		{429, `{"code":5}`, nil, "Too Many Requests (status 429)", "7", 7 * time.Second},
		{503, `{}`, nil, "Service Unavailable (status 503)", "-1", 0},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if row.retry != "" {
				w.Header().Set("Retry-After", row.retry)
			}
			w.WriteHeader(row.status)
			io.WriteString(w, row.body)
		})
		_, err := c.Caller(t.Context())
		require.EqualError(t, err, row.text)
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, row.status, e.Status)
		require.Equal(t, row.wantRetry, e.RetryAfter)
		for _, is := range []error{client.ErrUnauthorized, client.ErrDenied, client.ErrNotFound, client.ErrConflict,
			client.ErrChanged} {
			require.Equal(t, is == row.is, errors.Is(err, is), "%v %v", row.status, is)
		}
	}
	for _, body := range []string{``, `{`, `[]`, `{"items":5}`, `{"items":[5]}`} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		var err error
		for _, err = range c.Jobs(t.Context()) {
		}
		require.Error(t, err, body)
	}
}

// TestRequests: a request has the credentials, the condition, an escaped path and the query.
func TestRequests(t *testing.T) {
	var got *http.Request
	var body []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("ETag", `"two"`)
		io.WriteString(w, `{"name":"acme/app","added":"by a later version"}`)
	})
	public := "public"
	repo, version, err := c.UpdateRepository(t.Context(), "acme/app", `"one"`, types.RepositoryChange{Visibility: &public})
	require.NoError(t, err)
	require.Equal(t, "acme/app", repo.Name)
	require.Equal(t, client.Version(`"two"`), version)
	require.Equal(t, "/api/v1/repositories/acme%2Fapp", got.URL.EscapedPath())
	require.Equal(t, `"one"`, got.Header.Get("If-Match"))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.JSONEq(t, `{"visibility":"public"}`, string(body))
	name, password, ok := got.BasicAuth()
	require.True(t, ok)
	require.Equal(t, "ann hunter2", name+" "+password)
	require.NoError(t, c.DeleteUser(t.Context(), "b/../ob?", client.AnyVersion,
		&client.ChangeOptions{Reason: "a & b", Force: true}))
	require.Equal(t, "/api/v1/users/b%2F..%2Fob%3F", got.URL.EscapedPath())
	require.Equal(t, url.Values{"reason": {"a & b"}, "force": {"true"}}, got.URL.Query())
	require.Empty(t, body)
	require.Equal(t, "*", got.Header.Get("If-Match"))
}

// TestContext: the end of a context ends a request, a stream and a wait.
func TestContext(t *testing.T) {
	stop := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/plans") {
			io.WriteString(w, "{}\n")
			w.(http.Flusher).Flush()
		}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(stop) })
	ctx, cancel := context.WithCancel(t.Context())
	body, err := c.RetentionPlan(ctx)
	require.NoError(t, err)
	defer body.Close()
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, context.Canceled)
	for _, err = range c.Users(ctx, nil) {
	}
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Caller(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestConcurrentUse: a client is used by many goroutines.
func TestConcurrentUse(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"name":%q}`, r.URL.Path)
	})
	var ended sync.WaitGroup
	for i := range 20 {
		ended.Go(func() {
			name := fmt.Sprint("user", i)
			if u, _, err := c.User(t.Context(), name); err != nil || u.Name != "/api/v1/users/"+name {
				t.Errorf("%v %v", u, err)
			}
		})
	}
	ended.Wait()
}

// TestWait: the device flow polls until the user has confirmed, more slowly if the server says so.
func TestWait(t *testing.T) {
	answers := []string{"AUTHORIZATION_PENDING", "", "ACCESS_DENIED"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var poll types.DevicePoll
		if json.NewDecoder(r.Body).Decode(&poll) != nil || poll.Handle != "the handle" ||
			r.URL.Path != "/signin/device/corp/poll" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v %v", r.URL, poll)
		}
		code := answers[0]
		answers = answers[1:]
		if code == "" {
			io.WriteString(w, `{"name":"ann","session":"rks_1"}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"code":%q,"status":400}`, code)
	}))
	t.Cleanup(server.Close)
	in, err := client.NewSignIn(server.URL+"/signin", &client.Options{Name: "ann", Secret: "not sent"})
	require.NoError(t, err)
	begun := types.DeviceStart{Handle: "the handle", Interval: 1, Expires: time.Now().Add(time.Minute)}
	got, err := in.Wait(t.Context(), "corp", begun)
	require.NoError(t, err)
	require.Equal(t, "rks_1", got.Session)
	_, err = in.Wait(t.Context(), "corp", begun)
	require.ErrorContains(t, err, "ACCESS_DENIED")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = in.Wait(ctx, "corp", begun)
	require.ErrorIs(t, err, context.Canceled)
}
