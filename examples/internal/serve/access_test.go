package serve

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/registrytest"
)

// issuerYAML is the YAML of an issuer.
const issuerYAML = `
name: ci
issuer: https://ci.example
audience: registry.example
rules:
- name: builds
  claims: {repository: [acme/app]}
`

// TestAccessCheck checks that nothing is open to other machines by mistake.
func TestAccessCheck(t *testing.T) {
	passwords, people := identities{htpasswd: "p"}, identities{accounts: true}
	jobs := identities{issuers: []string{issuer(t)}}
	both := identities{accounts: true, htpasswd: "p", issuers: jobs.issuers}
	for _, row := range []struct {
		addr   string
		access access
		ok     bool
	}{
		{"127.0.0.1:5000", access{}, true},
		{"127.9.9.9:5000", access{}, true},
		{"[::1]:5000", access{}, true},
		{"localhost:5000", access{}, true},
		{":5000", access{}, false},
		{"0.0.0.0:5000", access{}, false},
		{"[::]:5000", access{}, false},
		{"192.0.2.1:5000", access{}, false},
		{"registry.example:5000", access{}, false},
		{"localhost.example:5000", access{}, false},
		{"5000", access{}, false},
		{":5000", access{insecureOpen: true}, true},
		{":5000", access{tlsCert: "c", tlsKey: "k"}, false},
		{":5000", access{tlsCert: "c", tlsKey: "k", insecureOpen: true}, true},
		{":5000", access{rules: "r"}, true},
		{":5000", access{identities: passwords}, false},
		{":5000", access{identities: passwords, insecureOpen: true}, true},
		{":5000", access{identities: passwords, tlsCert: "c", tlsKey: "k"}, true},
		{":5000", access{identities: passwords, proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}, true},
		{"127.0.0.1:5000", access{identities: identities{htpasswd: "p", groups: "g"}}, true},
		{"127.0.0.1:5000", access{identities: identities{groups: "g"}}, false},
		{":5000", access{identities: people}, false},
		{":5000", access{identities: people, insecureOpen: true}, true},
		{":5000", access{identities: people, tlsCert: "c", tlsKey: "k"}, true},
		{"127.0.0.1:5000", access{identities: people}, true},
		{"127.0.0.1:5000", access{identities: people, rules: "r"}, true},
		{"127.0.0.1:5000", access{identities: identities{accounts: true, setup: "s"}}, true},
		{"127.0.0.1:5000", access{identities: identities{setup: "s"}}, false},
		{"127.0.0.1:5000", access{identities: both}, false},
		{"127.0.0.1:5000", access{identities: both, rules: "r"}, true},
		{"127.0.0.1:5000", access{identities: jobs}, false},
		{"127.0.0.1:5000", access{identities: jobs, rules: "r"}, true},
		{":5000", access{identities: jobs, rules: "r"}, false},
		{"127.0.0.1:5000", access{identities: identities{issuers: []string{"none"}}, rules: "r"}, false},
		{"127.0.0.1:5000", access{tlsCert: "c"}, false},
		{"127.0.0.1:5000", access{tlsKey: "k"}, false},
		{"127.0.0.1:5000", access{externalURL: "https://registry.example"}, true},
		{"127.0.0.1:5000", access{externalURL: "http://registry.example:5000/path"}, true},
		{"127.0.0.1:5000", access{externalURL: "registry.example"}, false},
		{"127.0.0.1:5000", access{externalURL: "registry.example:5000"}, false},
		{"127.0.0.1:5000", access{externalURL: "ftp://registry.example"}, false},
		{"127.0.0.1:5000", access{externalURL: "https://"}, false},
		{":5000", access{externalURL: "://", insecureOpen: true}, false},
	} {
		err := row.access.check(row.addr)
		require.Equal(t, row.ok, err == nil, "%s %+v: %v", row.addr, row.access, err)
	}
}

// issuer writes the YAML of an issuer and returns its path.
func issuer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(issuerYAML), 0o600))
	return path
}

// hashed returns the bcrypt hash of a password.
func hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

// TestAccessSet checks -htpasswd and -rules, each alone and together.
func TestAccessSet(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	users := write("users", "ann:"+hashed(t, "secret")+"\n")
	public := write("rules.yaml", `
rules:
- {who: everyone, repositories: "**", actions: pull}
- {who: {user: ann}, repositories: "**", actions: "*"}
`)
	file := identities{htpasswd: users}
	for _, row := range []struct {
		name           string
		access         access
		anonymous, ann int // status of a GET of tags
		anonymousPush  int
		challenge      string
	}{
		{"neither", access{}, 200, 200, 202, ""},
		{"passwords", access{identities: file}, 401, 200, 401, "Basic "},
		{"rules", access{rules: public}, 200, 401, 401, "Bearer "},
		{"both", access{identities: file, rules: public}, 200, 200, 401, "Bearer "},
	} {
		store := registrytest.NewStore(t)
		require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), store, "app", "v1"))
		opts := &registry.Options{}
		around, err := row.access.set(t.Context(), opts, store, slog.New(slog.NewTextHandler(io.Discard, nil)))
		require.NoError(t, err)
		if row.access.restricted() {
			shared, err := store.SharedSecret(t.Context(), "cursor")
			require.NoError(t, err)
			require.Equal(t, shared, opts.PageKey, "a replica goes on with the list of another")
		}
		reg, err := registry.New(store, opts)
		require.NoError(t, err)
		do := func(method, path, user string) *http.Response {
			r := httptest.NewRequest(method, path, nil)
			if user != "" {
				r.SetBasicAuth(user, "secret")
			}
			w := httptest.NewRecorder()
			around(reg).ServeHTTP(w, r)
			return w.Result()
		}
		require.Equal(t, row.anonymous, do("GET", "/v2/app/tags/list", "").StatusCode, row.name)
		require.Equal(t, row.ann, do("GET", "/v2/app/tags/list", "ann").StatusCode, row.name)
		push := do("POST", "/v2/app/blobs/uploads/", "")
		require.Equal(t, row.anonymousPush, push.StatusCode, row.name)
		challenge := push.Header.Get("WWW-Authenticate")
		require.Equal(t, row.challenge, challenge[:min(len(challenge), len(row.challenge))], row.name)
	}
	missing := access{identities: identities{htpasswd: filepath.Join(dir, "none")}}
	_, err := missing.set(t.Context(), &registry.Options{}, nil, slog.Default())
	require.Error(t, err)
	require.Error(t, (&access{}).addProxy("proxy"))
}

// TestAccessLog checks that the log contains no upload id, with which others could continue an
// upload.
func TestAccessLog(t *testing.T) {
	var out strings.Builder
	h := process.AccessLog(slog.New(slog.NewTextHandler(&out, nil)), registry.LogPath, http.NotFoundHandler())
	for _, path := range []string{"/v2/app/blobs/uploads/AgAAid?digest=sha256:ab", "/v2/app/blobs/uploads/",
		"/v2/token?account=ann&scope=x"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	require.Contains(t, out.String(), "path=/v2/app/blobs/uploads/<id> ")
	require.Contains(t, out.String(), "path=/v2/app/blobs/uploads/ ")
	require.Contains(t, out.String(), "path=/v2/token ")
	require.NotContains(t, out.String(), "AgAAid")
}
