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
	"github.com/registrykit/registry/registrytest"
)

// TestAccessCheck checks that nothing is open to other machines by mistake.
func TestAccessCheck(t *testing.T) {
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
		{":5000", access{htpasswd: "p"}, false},
		{":5000", access{htpasswd: "p", insecureOpen: true}, true},
		{":5000", access{htpasswd: "p", tlsCert: "c", tlsKey: "k"}, true},
		{":5000", access{htpasswd: "p", proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}, true},
		{"127.0.0.1:5000", access{htpasswd: "p", groups: "g"}, true},
		{"127.0.0.1:5000", access{groups: "g"}, false},
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

// TestAccessSet checks -htpasswd and -rules, each alone and together.
func TestAccessSet(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	users := write("users", "ann:"+string(hash)+"\n")
	public := write("rules.yaml", `
rules:
- {who: everyone, repositories: "**", actions: pull}
- {who: {user: ann}, repositories: "**", actions: "*"}
`)
	for _, row := range []struct {
		name           string
		access         access
		anonymous, ann int // status of a GET of tags
		anonymousPush  int
		challenge      string
	}{
		{"neither", access{}, 200, 200, 202, ""},
		{"passwords", access{htpasswd: users}, 401, 200, 401, "Basic "},
		{"rules", access{rules: public}, 200, 401, 401, "Bearer "},
		{"both", access{htpasswd: users, rules: public}, 200, 200, 401, "Bearer "},
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
	_, err = (&access{htpasswd: filepath.Join(dir, "none")}).set(t.Context(), &registry.Options{}, nil, slog.Default())
	require.Error(t, err)
	require.Error(t, (&access{}).addProxy("proxy"))
}

// TestAccessLog checks that the log contains no upload id, with which others could continue an
// upload.
func TestAccessLog(t *testing.T) {
	var out strings.Builder
	h := accessLog(slog.New(slog.NewTextHandler(&out, nil)), http.NotFoundHandler())
	for _, path := range []string{"/v2/app/blobs/uploads/AgAAid?digest=sha256:ab", "/v2/app/blobs/uploads/",
		"/v2/token?account=ann&scope=x"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	require.Contains(t, out.String(), "path=/v2/app/blobs/uploads/<id> ")
	require.Contains(t, out.String(), "path=/v2/app/blobs/uploads/ ")
	require.Contains(t, out.String(), "path=/v2/token ")
	require.NotContains(t, out.String(), "AgAAid")
}
