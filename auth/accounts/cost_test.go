//go:build unix

package accounts_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// costs are two registries with the same content: one with accounts, one with users and rules from files.
type costs struct {
	store    *storage.Store
	facts    *drivertest.Faulty // the storage of the accounts, which counts requests
	people   *accounts.Accounts
	handlers map[string]http.Handler
	logins   map[string]string // Authorization header, by handler
}

// newCosts makes an organisation with a team whose member pulls with a personal access token. The rules of the file
// permit as much, after 20 rules about others.
func newCosts(t testing.TB) *costs {
	t.Helper()
	c := &costs{store: registrytest.NewStore(t), facts: drivertest.NewFaulty(memory.New(nil), nil),
		handlers: make(map[string]http.Handler), logins: make(map[string]string)}
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), c.store, "acme/app", "v1"))
	c.people = c.open(t)
	by := accounts.Actor{}
	owner, err := c.people.CreateUser(t.Context(), by, "owen", "", nil)
	require.NoError(t, err)
	acme, err := c.people.CreateOrganisation(t.Context(), by, "acme", owner.ID, nil)
	require.NoError(t, err)
	ann, err := c.people.CreateUser(t.Context(), by, "ann", "", nil)
	require.NoError(t, err)
	require.NoError(t, c.people.AddAdmin(t.Context(), by, owner.ID))
	_, err = c.people.CreateTeam(t.Context(), by, acme.ID, "dev", nil)
	require.NoError(t, err)
	_, err = c.people.UpdateTeam(t.Context(), by, acme.ID, "dev", func(t *accounts.Team) error {
		t.Grants = []accounts.Grant{{Repositories: "app/**", Role: accounts.Write}}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.people.JoinTeam(t.Context(), by, acme.ID, "dev", ann.ID))
	secret, err := c.people.CreateSecret(t.Context(), by, ann.ID, "laptop",
		&accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "acme/**", Role: accounts.Write}}})
	require.NoError(t, err)
	c.add(t, "accounts", c.people, basicHeader("ann", secret.Value.Value()))

	users, err := static.New(map[string]static.User{"ann": {Secret: auth.Secret(secret.Value.Value()),
		Groups: []string{"acme/dev"}}}, nil)
	require.NoError(t, err)
	var file strings.Builder
	file.WriteString("rules:\n")
	for i := range 20 {
		fmt.Fprintf(&file, "  - {who: {group: team%d}, repositories: 'org%d/**', actions: [pull, push]}\n", i, i)
	}
	file.WriteString("  - {who: {group: acme/dev}, repositories: 'acme/app/**', actions: [pull, push, overwrite]}\n")
	path := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(path, []byte(file.String()), 0o600))
	list, err := rules.Load(path, nil)
	require.NoError(t, err)
	c.addSides(t, "rules", users, list, basicHeader("ann", secret.Value.Value()))
	return c
}

// open returns the accounts as a process that has just begun sees them.
func (c *costs) open(t testing.TB) *accounts.Accounts {
	t.Helper()
	a, err := accounts.New(c.facts, &accounts.Options{Refresh: time.Hour})
	require.NoError(t, err)
	return a
}

// add adds a registry with accounts.
func (c *costs) add(t testing.TB, name string, people *accounts.Accounts, login string) {
	t.Helper()
	logins, err := accounts.NewAuthenticator(people, nil)
	require.NoError(t, err)
	c.addSides(t, name, logins, accounts.NewAuthorizer(people), login)
}

// addSides adds a registry with logins for each request, and one with tokens.
func (c *costs) addSides(t testing.TB, name string, users auth.Authenticator, access auth.Authorizer, login string) {
	t.Helper()
	reg, err := registry.New(c.store, &registry.Options{Authenticator: users, Authorizer: access})
	require.NoError(t, err)
	c.handlers[name+"/basic"], c.logins[name+"/basic"] = reg, login
	tokens, err := token.New(c.store, users, access, nil)
	require.NoError(t, err)
	withTokens, err := registry.New(c.store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	require.NoError(t, err)
	handler := tokens.Handler(withTokens)
	c.handlers[name+"/token"] = handler
	c.logins[name+"/token"] = "Bearer " + fetchToken(t, handler, login, "repository:acme/app:pull,push")
}

func basicHeader(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func fetchToken(t testing.TB, h http.Handler, login, scope string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, token.DefaultPath+"?service="+token.DefaultService+"&scope="+scope, nil)
	r.Header.Set("Authorization", login)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code, w.Body)
	_, rest, _ := strings.Cut(w.Body.String(), `"token":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// head serves one HEAD of a manifest, from the bytes of the request to those of the response.
func (c *costs) head(t testing.TB, side string) {
	raw := "HEAD /v2/acme/app/manifests/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + c.logins[side] + "\r\n\r\n"
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(raw))))
	if err != nil {
		t.Fatal(err)
	}
	req.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	c.handlers[side].ServeHTTP(w, req)
	if w.Code != 200 {
		t.Fatal(side, w.Code)
	}
}

// processor returns the processor time of this process. On a machine with other work, wall-clock time means nothing.
func processor(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequest measures both sides in turns, so that other work on the machine affects both alike, and reports the
// difference of the medians in processor time: what accounts add to a warm request.
func BenchmarkRequest(b *testing.B) {
	for _, kind := range []string{"basic", "token"} {
		b.Run(kind, func(b *testing.B) {
			c := newCosts(b)
			const batch = 500
			took := make(map[string][]time.Duration)
			sides := []string{"rules/" + kind, "accounts/" + kind}
			for _, side := range sides {
				c.head(b, side)
			}
			before := c.facts.Count("")
			for b.Loop() {
				for _, side := range sides {
					begun := processor(b)
					for range batch {
						c.head(b, side)
					}
					took[side] = append(took[side], (processor(b)-begun)/batch)
				}
			}
			median := func(side string) float64 {
				slices.Sort(took[side])
				return float64(took[side][len(took[side])/2].Nanoseconds())
			}
			b.ReportMetric(median(sides[0]), "rules-cpu-ns/req")
			b.ReportMetric(median(sides[1]), "accounts-cpu-ns/req")
			b.ReportMetric(median(sides[1])-median(sides[0]), "more-cpu-ns/req")
			b.ReportMetric(float64(c.facts.Count("")-before), "storage-requests")
		})
	}
}

// What the first request of a process costs, in storage requests for accounts: of a member with a secret, and of an
// anonymous caller. Each fact is shared by all later requests that need it.
const (
	coldMember    = 8 // names of user and namespace, both accounts, secret, admins, membership, team
	coldAnonymous = 3 // name and account of the namespace, visibilities in it
)

// TestRequestsOfARequest: a warm request needs no storage request for accounts. The first request of a process needs as
// many as are stated here and in docs/identity.md.
func TestRequestsOfARequest(t *testing.T) {
	c := newCosts(t)
	for _, side := range []string{"accounts/basic", "accounts/token"} {
		c.head(t, side)
		before := c.facts.Count("")
		for range 100 {
			c.head(t, side)
		}
		require.Zero(t, c.facts.Count("")-before, side)
	}
	before := c.facts.Count("")
	c.people = c.open(t)
	logins, err := accounts.NewAuthenticator(c.people, nil)
	require.NoError(t, err)
	reg, err := registry.New(c.store, &registry.Options{Authenticator: logins,
		Authorizer: accounts.NewAuthorizer(c.people)})
	require.NoError(t, err)
	c.handlers["cold"], c.logins["cold"] = reg, c.logins["accounts/basic"]
	c.head(t, "cold")
	require.Equal(t, coldMember, c.facts.Count("")-before)
	before = c.facts.Count("")
	c.head(t, "cold")
	require.Zero(t, c.facts.Count("")-before)

	a := accounts.NewAuthorizer(c.open(t))
	before = c.facts.Count("")
	require.ErrorIs(t, a.Authorize(t.Context(), auth.Identity{},
		[]auth.Access{{Type: auth.TypeRepository, Name: "acme/app", Action: auth.Pull}}), auth.ErrDenied)
	require.Equal(t, coldAnonymous, c.facts.Count("")-before)
}

// TestRequestsOfACatalog: what a catalog of many repositories costs depends on the namespaces and on the repositories
// with a visibility of their own, and not on all repositories.
func TestRequestsOfACatalog(t *testing.T) {
	c := newCosts(t)
	by := accounts.Actor{}
	const namespaces, each, public = 20, 50, 3
	var names []string
	for n := range namespaces {
		name := fmt.Sprintf("space%c", 'a'+n)
		_, err := c.people.CreateUser(t.Context(), by, name, "", nil)
		require.NoError(t, err)
		for i := range each {
			names = append(names, fmt.Sprintf("%s/repo%d", name, i))
			if i < public {
				_, err := c.people.UpdateRepository(t.Context(), by, names[len(names)-1],
					func(r *accounts.Repository) error { r.Visibility = accounts.Public; return nil })
				require.NoError(t, err)
			}
		}
	}
	a := accounts.NewAuthorizer(c.open(t))
	ann, err := c.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	who := auth.Identity{Name: "ann", Claims: map[string]any{accounts.AccountClaim: string(ann.ID)}}
	list := func() (visible int) {
		for _, name := range names {
			if a.Authorize(t.Context(), who, []auth.Access{
				{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All},
				{Type: auth.TypeRepository, Name: name, Action: auth.Pull}}) == nil {
				visible++
			}
		}
		return visible
	}
	before := c.facts.Count("")
	require.Equal(t, namespaces*public, list())
	cold := c.facts.Count("") - before
	t.Logf("a catalog of %d repositories in %d namespaces, %d with a visibility: %d requests cold", len(names), namespaces,
		namespaces*public, cold)
	require.LessOrEqual(t, cold, 5*namespaces+namespaces*public+10)
	before = c.facts.Count("")
	list()
	require.Zero(t, c.facts.Count("")-before)
}

// TestRequestsOfManyCallersAtOnce: callers who need the same facts at once do not each ask the storage.
func TestRequestsOfManyCallersAtOnce(t *testing.T) {
	c := newCosts(t)
	ann, err := c.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	who := auth.Identity{Name: "ann", Claims: map[string]any{accounts.AccountClaim: string(ann.ID)}}
	a := accounts.NewAuthorizer(c.open(t))
	before := c.facts.Count("")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			pull := []auth.Access{{Type: auth.TypeRepository, Name: "acme/app", Action: auth.Pull}}
			if err := a.Authorize(t.Context(), who, pull); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Log("100 callers at once, cold:", c.facts.Count("")-before, "requests")
	require.LessOrEqual(t, c.facts.Count("")-before, 8)
}
