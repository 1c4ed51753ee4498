package server

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// TestPlainHTTPLogin logs in, pushes and pulls over plain HTTP at a name that is not loopback,
// which -insecure-open permits. The programs reach the name through an HTTP proxy that connects to
// the server only.
func TestPlainHTTPLogin(t *testing.T) {
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	users, rules := filepath.Join(dir, "users"), filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(users, append([]byte("ann:"), hash...), 0o600))
	require.NoError(t, os.WriteFile(rules, []byte(`rules:
- {who: everyone, repositories: "open/**", actions: pull}
- {who: {user: ann}, repositories: "**", actions: "*"}
`), 0o600))
	s := start(t, "-insecure-open", "-htpasswd", users, "-rules", rules)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", s.Addr, r.In.Host
	}})
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1") // nothing speaks TLS, as on a machine in the company that has plain HTTP only
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")

	const host = "registry.example.test:5000"
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	t.Run("crane", func(t *testing.T) {
		c := harness.NewProgram(t, "crane")
		c.Run(t, "auth", "login", host, "-u", "ann", "-p", "secret")
		c.Run(t, "push", "--insecure", layout, host+"/team/crane")
		c.Run(t, "pull", "--insecure", host+"/team/crane", filepath.Join(t.TempDir(), "image.tar"))
		c.Run(t, "push", "--insecure", layout, host+"/open/app")
		harness.NewProgram(t, "crane").Run(t, "pull", "--insecure", host+"/open/app",
			filepath.Join(t.TempDir(), "anonymous.tar"))
	})
	t.Run("skopeo", func(t *testing.T) {
		c := harness.NewProgram(t, "skopeo")
		_, _, err := c.Try(t, "login", "--tls-verify=false", "-u", "ann", "-p", "wrong", host)
		require.Error(t, err)
		c.Run(t, "login", "--tls-verify=false", "-u", "ann", "-p", "secret", host)
		c.Run(t, "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+host+"/team/skopeo")
		c.Run(t, "copy", "--src-tls-verify=false", "docker://"+host+"/team/skopeo", "dir:"+t.TempDir())
	})

	// A name that could end the quotes of the challenge gets no challenge.
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/v2/", nil)
	require.NoError(t, err)
	req.Host = `a",realm="b`
	res, err := (&http.Transport{}).RoundTrip(req)
	if err == nil { // net/http refuses some names by itself
		require.NoError(t, res.Body.Close())
		require.Empty(t, res.Header["Www-Authenticate"])
	}
}

// TestExternalURL checks that the configured name counts, whatever name a request contains.
func TestExternalURL(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("rules:\n- {who: everyone, repositories: \"**\", actions: pull}\n"),
		0o600))
	for flag, want := range map[string]string{
		"":                          "http://other.example/v2/token",
		"https://registry.example":  "https://registry.example/v2/token",
		"http://registry.example/x": "http://registry.example/x/v2/token",
	} {
		s := start(t, "-rules", rules, "-external-url", flag)
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/v2/", nil)
		require.NoError(t, err)
		req.Host = "other.example"
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Contains(t, res.Header.Get("Www-Authenticate"), `realm="`+want+`"`)
	}
}
