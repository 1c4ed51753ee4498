package serve

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

const password = "ann likes long walks"

// peopled is a registry with -accounts, in memory.
type peopled struct {
	access access
	driver *memory.Driver
	store  *storage.Store
	http.Handler
}

func newPeopled(t *testing.T, a access) *peopled {
	t.Helper()
	p := &peopled{access: a, driver: memory.New(nil)}
	var err error
	p.store, err = storage.New(t.Context(), p.driver, nil)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	require.NoError(t, p.access.open(p.driver, p.store, nil, false, log))
	opts := &registry.Options{}
	around, err := p.access.set(t.Context(), opts, p.store, log)
	require.NoError(t, err)
	reg, err := registry.New(p.store, opts)
	require.NoError(t, err)
	p.Handler = around(reg)
	return p
}

// status returns the status of a GET of the tags of a repository.
func (p *peopled) status(repo, user, password string) int {
	r := httptest.NewRequest("GET", "/v2/"+repo+"/tags/list", nil)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code
}

// TestAccountsSetup: without an admin, a start prints a token or writes it to a file, with which the first admin is
// made. With an admin, it does neither.
func TestAccountsSetup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "setup")
	require.NoError(t, os.WriteFile(file, []byte("an old one, which others may read"), 0o644)) //nolint:gosec // on purpose
	p := newPeopled(t, access{identities: identities{accounts: true}})
	var out strings.Builder
	require.NoError(t, p.access.greet(t.Context(), &out, "./data", ""))
	require.Contains(t, out.String(), "shown only now: ")
	require.Contains(t, out.String(), "accounts setup -storage ./data -token-file - NAME")

	p.access.setup = file
	out.Reset()
	require.NoError(t, p.access.greet(t.Context(), &out, "./data", ""))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	token := strings.TrimSpace(string(content))
	require.NotContains(t, out.String(), token)
	_, err = p.access.people.SetUp(t.Context(), auth.Secret(token), "ann", password)
	require.NoError(t, err)

	require.NoError(t, os.Remove(file))
	out.Reset()
	require.NoError(t, p.access.greet(t.Context(), &out, "./data", ""))
	require.Empty(t, out.String())
	require.NoFileExists(t, file)
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Empty(t, entries, "a temporary file is left")
	p.access.people, p.access.setup = nil, filepath.Join(file, "x")
	require.NoError(t, p.access.greet(t.Context(), &out, "./data", ""), "without accounts")
}

// TestAccountsWithRules: the roles of accounts decide, and rules deny more and allow more. The users of -htpasswd
// have what rules give them.
func TestAccountsWithRules(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte(`
rules:
- {who: everyone, repositories: "ann/secret", actions: "*", effect: deny}
- {who: {user: harry}, repositories: "ann/app", actions: pull}
`), 0o600))
	users := filepath.Join(dir, "users")
	require.NoError(t, os.WriteFile(users, []byte("harry:"+hashed(t, "secret")+"\n"), 0o600))
	alone := newPeopled(t, access{identities: identities{accounts: true}})
	refined := newPeopled(t, access{identities: identities{accounts: true, htpasswd: users}, rules: rules})
	for _, p := range []*peopled{alone, refined} {
		_, err := p.access.people.CreateUser(t.Context(), accounts.Actor{}, "ann", password, nil)
		require.NoError(t, err)
		_, err = p.access.people.CreateUser(t.Context(), accounts.Actor{}, "bob", "bob likes them as well", nil)
		require.NoError(t, err)
		for _, repo := range []string{"ann/app", "ann/secret", "nobody/app"} {
			require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), p.store, repo, "v1"))
		}
		require.Equal(t, 200, p.status("ann/app", "ann", password))
		require.Equal(t, 401, p.status("ann/app", "ann", "another password"))
		require.Equal(t, 401, p.status("ann/app", "", ""))
		require.Equal(t, 403, p.status("ann/app", "bob", "bob likes them as well"))
		require.Equal(t, 403, p.status("nobody/app", "ann", password))
	}
	require.Equal(t, 200, alone.status("ann/secret", "ann", password))
	require.Equal(t, 403, refined.status("ann/secret", "ann", password), "a rule denies what the role allows")
	require.Equal(t, 401, alone.status("ann/app", "harry", "secret"))
	require.Equal(t, 200, refined.status("ann/app", "harry", "secret"), "a rule allows what no role does")
	require.Equal(t, 403, refined.status("ann/secret", "harry", "secret"))
}

// TestTokenKeys: the flags -token-key name secrets that nothing else uses.
func TestTokenKeys(t *testing.T) {
	var i identities
	for _, name := range []string{"token", "cursor", "2027"} {
		require.NoError(t, i.addTokenKey(name))
	}
	require.Equal(t, []string{"token", "token-cursor", "token-2027"}, i.tokenKeys)
	for _, name := range []string{"", "A", "a/b", "..", strings.Repeat("a", 33)} {
		require.Error(t, i.addTokenKey(name), name)
	}
}
