package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// visitor returns the client of a request of a user to another handler, with more headers, which are pairs.
func (s *site) visitor(t *testing.T, user string, header ...string) *api.Visitor {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/ui/", strings.NewReader("a=b"))
	r.SetBasicAuth(user, password)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	v, err := s.api.Visit(r)
	require.NoError(t, err)
	return v
}

// TestVisitorLeavesNothing: a body that a page does not read, and a page whose client hangs up, leave no goroutine.
func TestVisitorLeavesNothing(t *testing.T) {
	s, _ := withAudit(t)
	for range 300 { // more than fits into the buffers of a stream
		s.do(t, "boss", "GET", "/v1/users", nil).want(200)
	}
	v := s.visitor(t, "boss")
	none := goleak.IgnoreCurrent()
	for _, path := range []string{"/v1/users", "/v1/user", "/v1/audit", "/v1/nothing",
		"/v1/audit/export?since=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.invalid"+path, http.NoBody)
		require.NoError(t, err)
		res, err := v.RoundTrip(r)
		require.NoError(t, err, path)
		require.NotZero(t, res.StatusCode)
		cancel()
		_, err = v.RoundTrip(r)
		require.ErrorIs(t, err, context.Canceled)
	}
	stream, err := v.ExportAudit(t.Context(), client.AuditQuery{Since: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	for range v.Users(t.Context(), nil) {
		break
	}
	goleak.VerifyNone(t, none)
}

// closedBody notices that it was closed.
type closedBody struct {
	io.Reader
	closed chan struct{}
}

func (b *closedBody) Close() error {
	close(b.closed)
	return nil
}

// TestVisitorBodies: a handler that does not read the body of a request responds, and the body is closed.
func TestVisitorBodies(t *testing.T) {
	s := newPeople(t)
	v := s.visitor(t, "bob")
	for path, status := range map[string]int{"/v1/users": 403, "/v1/nothing": 404, "/v1/parts": 405} {
		in, out := io.Pipe()
		body := &closedBody{in, make(chan struct{})}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.invalid"+path, body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		res, err := v.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, status, res.StatusCode, path)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		<-body.closed
		require.NoError(t, out.Close())
	}
}

// TestVisitorHeaders: conditions and the description of the body are those of the request of the API, and not those
// that the sender has put into its own request.
func TestVisitorHeaders(t *testing.T) {
	s := newPeople(t)
	v := s.visitor(t, "ann", "If-Match", "*", "If-None-Match", "*", "Content-Type", "application/x-www-form-urlencoded",
		"Range", "bytes=0-1", "Expect", "100-continue", "Content-Length", "3", "X-HTTP-Method-Override", "DELETE",
		"X-Method-Override", "DELETE", "Accept", "text/html", "Accept-Encoding", "gzip")
	u, version, err := v.User(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, "ann", u.Name)
	name := "Ann"
	_, _, err = v.UpdateUser(t.Context(), "ann", version, types.ProfileChange{FullName: &name}, nil)
	require.NoError(t, err)
	_, _, err = v.UpdateUser(t.Context(), "ann", version, types.ProfileChange{FullName: &name}, nil)
	require.ErrorIs(t, err, client.ErrChanged)
	require.Equal(t, "ann", v.Identity().Name)
}

// TestVisitorOfAnother: the identity is that of the sender of the page, whatever headers a request of the API has.
func TestVisitorOfAnother(t *testing.T) {
	s := newPeople(t)
	v := s.visitor(t, "bob")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.invalid/v1/user", http.NoBody)
	require.NoError(t, err)
	r.SetBasicAuth("boss", password)
	res, err := v.RoundTrip(r)
	require.NoError(t, err)
	require.Contains(t, string(readAll(t, res)), `"name":"bob"`)
}

// TestVisitorPanics: code of the host that panics ends a request with an error, also in a goroutine of the API.
func TestVisitorPanics(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Bin, opts.Tags, opts.Accounts = s.store.Inventory(), s.store.Inventory(), s.people
		opts.Protects = func(string) func(string) bool { return func(string) bool { panic("of the host") } }
	})
	s.push(t, "ann", "acme/app", "v1")
	s.push(t, "ann", "acme/app", "v2")
	for _, tags := range [][]string{{"v1"}, {"v1", "v2"}} {
		_, err := s.visitor(t, "ann").PreviewDeletion(t.Context(), "acme/app", types.Deletion{Tags: tags})
		var answered *client.Error
		require.True(t, errors.As(err, &answered), "%v", err)
		require.Equal(t, 500, answered.Status)
	}
}
