package setup_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/examples/hub/setup"
	"github.com/registrykit/registry/storage/memory"
)

const password = "correct horse battery staple"

// send sends a request to the page: a GET of a path, or a POST of a form.
func send(page http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	if form != nil {
		r = httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	return w
}

// fill returns the form with the token that the page has put into it.
func fill(t *testing.T, shown, name, password, again string) url.Values {
	t.Helper()
	m := regexp.MustCompile(`name="token" value="([^"]*)"`).FindStringSubmatch(shown)
	require.Len(t, m, 2, shown)
	return url.Values{"token": {m[1]}, "name": {name}, "password": {password}, "again": {again}}
}

// TestSetup: the link makes one admin, once.
func TestSetup(t *testing.T) {
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	old, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	token, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	var log bytes.Buffer
	page := setup.New(people, slog.New(slog.NewTextHandler(&log, nil)))

	w := send(page, setup.Path+token.Value(), nil)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	shown := w.Body.String()

	w = send(page, setup.Path, fill(t, shown, "ann", password, password+"!"))
	require.Equal(t, 422, w.Code)
	require.Contains(t, w.Body.String(), "The passwords differ")
	w = send(page, setup.Path, fill(t, shown, "ann", "short", "short"))
	require.Equal(t, 422, w.Code)
	w = send(page, setup.Path, fill(t, w.Body.String(), `"><script>`, password, password))
	require.Equal(t, 422, w.Code)
	require.NotContains(t, w.Body.String(), "<script>")

	w = send(page, setup.Path+old.Value(), nil)
	require.Equal(t, 200, w.Code, "a wrong token looks like the right one")
	w = send(page, setup.Path, fill(t, w.Body.String(), "eve", password, password))
	require.Equal(t, 403, w.Code)

	w = send(page, setup.Path, fill(t, shown, "ann", password, password))
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), "The first admin is <strong>ann</strong>")
	w = send(page, setup.Path, fill(t, shown, "eve", password, password))
	require.Equal(t, 403, w.Code)
	w = send(page, setup.Path+token.Value(), nil)
	require.Equal(t, http.StatusGone, w.Code)
	require.NotContains(t, w.Body.String(), "<form")
	require.NotContains(t, log.String(), token.Value())
	require.NotContains(t, log.String(), password)

	again, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	require.Empty(t, again)
}

// TestRefused: other methods and large forms.
func TestRefused(t *testing.T) {
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	page := setup.New(people, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("PUT", setup.Path, nil))
	require.Equal(t, 405, w.Code)
	require.Equal(t, 400, send(page, setup.Path, url.Values{"token": {strings.Repeat("x", 1<<20)}}).Code)
}

func TestLogPath(t *testing.T) {
	require.Equal(t, "/setup/<token>", setup.LogPath("/setup/abc"))
	require.Equal(t, "/setup/", setup.LogPath("/setup/"))
	require.Equal(t, "/v2/", setup.LogPath("/v2/"))
}
