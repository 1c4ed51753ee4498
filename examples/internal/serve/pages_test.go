package serve

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPagesAround checks what a page may do, depending on access control and -cors.
func TestPagesAround(t *testing.T) {
	const ui, evil = "https://ui.example", "https://evil.example"
	open, closed := access{externalURL: "https://registry.example"}, access{rules: "r"}
	for _, row := range []struct {
		access               access
		origins              []string
		host, method, origin string
		status               int
		readable             string // Access-Control-Allow-Origin
	}{
		{open, nil, "127.0.0.1:5000", "PUT", "", 200, ""},
		{open, nil, "registry.example", "PUT", "", 200, ""},
		{open, nil, "evil.example", "GET", "", 403, ""},
		{open, nil, "127.0.0.1:5000", "GET", evil, 200, ""},
		{open, nil, "127.0.0.1:5000", "PUT", evil, 403, ""},
		{open, []string{ui}, "127.0.0.1:5000", "PUT", ui, 200, ui},
		{open, []string{ui}, "127.0.0.1:5000", "PUT", evil, 403, ""},
		{open, []string{ui}, "evil.example", "GET", ui, 403, ui},
		{open, []string{"*"}, "127.0.0.1:5000", "GET", evil, 200, "*"},
		{open, []string{"*"}, "127.0.0.1:5000", "PUT", evil, 403, "*"},
		{open, []string{"*", ui}, "127.0.0.1:5000", "PUT", ui, 200, ui},
		{access{}, nil, "", "GET", "", 403, ""},
		{access{insecureOpen: true}, nil, "any.example", "PUT", "", 200, ""},
		{access{insecureOpen: true}, nil, "any.example", "PUT", evil, 403, ""},
		{closed, nil, "any.example", "PUT", "", 200, ""},
		{closed, nil, "any.example", "PUT", evil, 403, ""},
		{closed, nil, "any.example", "GET", evil, 200, ""},
		{closed, []string{"*"}, "any.example", "PUT", evil, 200, "*"},
		{closed, []string{ui}, "any.example", "PUT", ui, 200, ui},
	} {
		p := pages{origins: row.origins}
		require.NoError(t, p.check())
		h, err := p.around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), &row.access, nil)
		require.NoError(t, err)
		r := httptest.NewRequest(row.method, "/v2/", nil)
		if r.Host = row.host; row.origin != "" {
			r.Header.Set("Origin", row.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, row.status, w.Code, "%+v", row)
		require.Equal(t, row.readable, w.Header().Get("Access-Control-Allow-Origin"), "%+v", row)
	}
	require.Error(t, (&pages{origins: []string{"ui.example"}}).check())
}

func TestConfigCheck(t *testing.T) {
	c := config{addr: "127.0.0.1:5000", uploadTTL: time.Hour, minRate: 1, h2c: true}
	require.NoError(t, c.check())
	c.access = access{tlsCert: "c", tlsKey: "k"}
	require.ErrorContains(t, c.check(), "-h2c")
}
