package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostauth(t *testing.T) {
	handler, err := newHandler(t.Context(), newApp("ann", "bob"))
	require.NoError(t, err)
	send := func(method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	require.Equal(t, 403, send("POST", "/login", "name=eve", form).Code)
	require.Equal(t, 401, send("POST", "/key", "", nil).Code)
	session := send("POST", "/login", url.Values{"name": {"ann"}}.Encode(), form).Result().Cookies()[0]
	require.True(t, session.Secure && session.HttpOnly, "%+v", session)
	require.Equal(t, http.SameSiteStrictMode, session.SameSite)
	key := strings.TrimSpace(send("POST", "/key", "", func(r *http.Request) { r.AddCookie(session) }).Body.String())

	as := func(name, key string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, key) }
	}
	require.Contains(t, send("GET", "/v2/", "", nil).Header().Get("WWW-Authenticate"),
		`Bearer realm="http://127.0.0.1/v2/token"`)
	require.Equal(t, 401, send("GET", "/v2/token", "", as("ann", "wrong")).Code)
	require.Equal(t, 401, send("GET", "/v2/token", "", as("bob", "")).Code, "without a key, the empty key is wrong")
	require.Equal(t, 200, send("GET", "/v2/token?scope=repository:ann/app:pull,push", "", as("ann", key)).Code)
	require.Equal(t, 202, send("POST", "/v2/ann/app/blobs/uploads/", "", as("ann", key)).Code)
	require.Equal(t, 403, send("POST", "/v2/bob/app/blobs/uploads/", "", as("ann", key)).Code)
	require.Equal(t, 403, send("POST", "/v2/ann/blobs/uploads/", "", as("ann", key)).Code)
	require.Equal(t, 401, send("GET", "/v2/ann/app/tags/list", "", nil).Code)
	require.Equal(t, 401, send("GET", "/v2/ann/app/tags/list", "", func(r *http.Request) { r.AddCookie(session) }).Code,
		"no cookies on /v2/")
	require.Equal(t, 404, send("GET", "/v2/ann/public/app/tags/list", "", nil).Code)
	for _, wrong := range []string{"", "Digest x", "Basic !", "Bearer x"} {
		require.Equal(t, 401, send("GET", "/v2/ann/public/app/tags/list", "",
			func(r *http.Request) { r.Header.Set("Authorization", wrong) }).Code, wrong)
	}
	require.Equal(t, 200, send("GET", "/v2/_catalog", "", as("ann", key)).Code)
}
