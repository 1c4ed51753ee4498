package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/signin"
)

// TestPlainHTTP: a password that the network could read is refused before it is checked.
func TestPlainHTTP(t *testing.T) {
	s := newSite(t, nil, nil, nil)
	s.user(t, "ann")
	logins, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	proxy := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	for name, row := range map[string]struct {
		url, proto  string
		commandLine bool
		plainHTTP   bool
		status      int
	}{
		"TLS":                          {url: "https://hub.example/password", status: 200},
		"plain":                        {url: "http://hub.example/password", status: 403},
		"plain to loopback":            {url: "http://127.0.0.1:5000/password", status: 200},
		"a proxy with TLS":             {url: "http://hub.example/password", proto: "https", status: 200},
		"a proxy without TLS":          {url: "http://hub.example/password", proto: "http", status: 403},
		"a command line":               {url: "http://hub.example/password", commandLine: true, status: 403},
		"a permitted command line":     {url: "http://hub.example/password", commandLine: true, plainHTTP: true, status: 200},
		"a browser loses the cookie":   {url: "http://hub.example/password", plainHTTP: true, status: 403},
		"a browser at a loopback name": {url: "http://localhost/password", plainHTTP: true, status: 200},
	} {
		h, err := signin.New(s.people, s.sessions, make([]byte, 32),
			&signin.Options{Passwords: logins, TrustedProxies: proxy, PlainHTTP: row.plainHTTP})
		require.NoError(t, err)
		body := `{"name":"ann","password":"` + password + `"}`
		if row.commandLine {
			body = strings.Replace(body, "{", `{"commandLine":true,`, 1)
		}
		r := httptest.NewRequest(http.MethodPost, row.url, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if row.proto != "" {
			r.RemoteAddr = "10.0.0.1:1"
			r.Header.Set("X-Forwarded-Proto", row.proto)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, row.status, w.Code, "%s: %s", name, w.Body)
		if row.status == 403 {
			require.Contains(t, w.Body.String(), "PLAIN_HTTP", name)
			require.Empty(t, w.Result().Cookies(), name)
		}
	}
}

// TestFailHasWhatWasEntered: a page can show the form again, without the password.
func TestFailHasWhatWasEntered(t *testing.T) {
	var got signin.Failure
	s := newSite(t, nil, nil, nil)
	logins, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	h, err := signin.New(s.people, s.sessions, make([]byte, 32), &signin.Options{Passwords: logins,
		Fail: func(w http.ResponseWriter, _ *http.Request, f signin.Failure) { got = f; w.WriteHeader(f.Status) }})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "https://hub.example/password",
		strings.NewReader("name=ann&password=not+that+one&return=%2Fme"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 403, w.Code)
	require.Equal(t, "ann", got.Name)
	require.Equal(t, "/me", got.Return)
	require.Equal(t, "WRONG_PASSWORD", got.Code)
}
