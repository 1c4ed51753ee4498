package server

import (
	"net/http"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// page are the headers that a browser sends for a page.
func page(origin, site string) http.Header {
	return http.Header{"Origin": {origin}, "Sec-Fetch-Site": {site}}
}

// TestWebPagesRefused checks that web pages cannot use a server that every user may use.
func TestWebPagesRefused(t *testing.T) {
	s := start(t, "-external-url", "https://registry.example")
	c := harness.NewClient(s.URL())
	do := func(host, method, path string, header http.Header, want int) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, nil)
		require.NoError(t, err)
		if req.Host = host; header != nil {
			req.Header = header
		}
		res, err := c.HTTP.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, "%s %s of %s %v", method, path, host, header)
		return res
	}
	const uploads = "/v2/app/blobs/uploads/"
	for _, host := range []string{"", "localhost", "127.0.0.1:1", "[::1]:5000", "registry.example"} {
		do(host, "GET", "/v2/_catalog", nil, 200)
		do(host, "POST", uploads, nil, 202)
	}
	do("evil.example:5000", "GET", "/v2/_catalog", nil, 403)
	do("evil.example:5000", "POST", uploads, nil, 403)
	do("evil.example:5000", "DELETE", "/v2/app/manifests/v1", nil, 403)
	do("evil.example:5000", "GET", "/readyz", nil, 200)
	do("", "POST", uploads, page("https://evil.example", "cross-site"), 403)
	do("", "POST", uploads, http.Header{"Origin": {"https://evil.example"}}, 403)
	do("", "POST", uploads, page(s.URL(), "same-origin"), 202)
	res := do("", "GET", "/v2/_catalog", page("https://evil.example", "cross-site"), 200)
	require.Empty(t, res.Header["Access-Control-Allow-Origin"])

	// With -insecure-open, any name may lead here, and pages still cannot write.
	s = start(t, "-insecure-open")
	do("any.example", "GET", "/v2/_catalog", nil, 200)
	do("any.example", "POST", uploads, nil, 202)
	do("any.example", "POST", uploads, page("https://evil.example", "cross-site"), 403)
}

func TestCORS(t *testing.T) {
	s := start(t, "-cors", "https://ui.example", "-cors", "http://localhost:3000")
	c := harness.NewClient(s.URL())
	for _, origin := range []string{"https://ui.example", "http://localhost:3000"} {
		header := page(origin, "cross-site")
		r, err := c.Do(t.Context(), 202, "POST", "/v2/app/blobs/uploads/", header, nil)
		require.NoError(t, err)
		require.Equal(t, origin, r.Header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, r.Header.Get("Access-Control-Expose-Headers"), "Location")
		r, err = c.Do(t.Context(), 404, "GET", "/v2/app/manifests/none", header, nil)
		require.NoError(t, err)
		require.Equal(t, origin, r.Header.Get("Access-Control-Allow-Origin"))

		header.Set("Access-Control-Request-Method", "DELETE")
		r, err = c.Do(t.Context(), 204, "OPTIONS", "/v2/app/manifests/none", header, nil)
		require.NoError(t, err)
		require.Contains(t, r.Header.Get("Access-Control-Allow-Methods"), "DELETE")
	}
	r, err := c.Do(t.Context(), 403, "POST", "/v2/app/blobs/uploads/", page("https://evil.example", "cross-site"), nil)
	require.NoError(t, err)
	require.Empty(t, r.Header["Access-Control-Allow-Origin"])
	require.Equal(t, []string{"Origin"}, r.Header["Vary"])

	// Any page may read, but not write while every caller may write.
	c = harness.NewClient(start(t, "-cors", "*").URL())
	r, err = c.Do(t.Context(), 200, "GET", "/v2/_catalog", page("https://any.example", "cross-site"), nil)
	require.NoError(t, err)
	require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
	_, err = c.Do(t.Context(), 403, "POST", "/v2/app/blobs/uploads/", page("https://any.example", "cross-site"), nil)
	require.NoError(t, err)
}

// TestH2C speaks HTTP/2 without TLS, and still HTTP/1.1.
func TestH2C(t *testing.T) {
	for _, flag := range []bool{false, true} {
		args := map[bool][]string{true: {"-h2c"}}[flag]
		s := start(t, args...)
		for _, two := range []bool{false, true} {
			var protocols http.Protocols
			protocols.SetHTTP1(!two)
			protocols.SetUnencryptedHTTP2(two)
			transport := &http.Transport{Protocols: &protocols}
			res, err := (&http.Client{Transport: transport}).Get(s.URL() + "/v2/")
			if two && !flag {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, two, res.ProtoMajor == 2)
			transport.CloseIdleConnections()
		}
	}
}
