package accounts_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// Ann logs in with a secret, as docker login sends it.
func ExampleNewAuthenticator() {
	ctx := context.Background()
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ann, err := people.CreateUser(ctx, accounts.Actor{}, "ann", "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := people.CreateSecret(ctx, accounts.Actor{Name: "ann"}, ann.ID, "laptop", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	logins, err := accounts.NewAuthenticator(people, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("ann", secret.Value.Value())
	who, err := logins.Authenticate(r)
	fmt.Println(who.Name, err)
	r.SetBasicAuth("bob", secret.Value.Value())
	_, err = logins.Authenticate(r)
	fmt.Println(err)
	// Output:
	// ann <nil>
	// the secret belongs to another name: auth: invalid credentials
}

// TestIdentity: the claims say which account has logged in, and how.
func TestIdentity(t *testing.T) {
	d := newDesk(t, nil, nil)
	ann := d.user("ann", password)
	robot := d.robot(ann.ID, "ci")
	s, rs := d.secret(ann.ID, nil), d.secret(robot.ID, nil)
	version, err := d.people.PasswordVersion(t.Context(), ann.ID)
	require.NoError(t, err)
	bySecret := map[string]any{accounts.AccountClaim: string(ann.ID), accounts.SecretClaim: s.ID}
	for _, row := range []struct {
		r      *http.Request
		name   string
		claims map[string]any
	}{
		{basic("ann", password), "ann", map[string]any{accounts.AccountClaim: string(ann.ID),
			accounts.PasswordClaim: version}},
		{basic("ann", s.Value.Value()), "ann", bySecret},
		{bearer(s.Value.Value()), "ann", bySecret},
		{basic("ann+ci", rs.Value.Value()), "ann+ci", map[string]any{accounts.AccountClaim: string(robot.ID),
			accounts.SecretClaim: rs.ID}},
	} {
		who := d.in(row.r)
		require.Equal(t, auth.Identity{Name: row.name, Claims: row.claims}, who)
		again, err := auth.Renew(t.Context(), d.logins, who)
		require.NoError(t, err)
		require.Equal(t, who, again)
	}
	who, err := d.logins.Authenticate(httptest.NewRequest("GET", "/v2/", nil))
	require.NoError(t, err)
	require.Zero(t, who)
	require.Equal(t, `Basic realm="registry"`, d.logins.Challenge(nil, nil))
}

// refusal is a login that is refused, and the reason that only the audit gets.
type refusal struct {
	name, reason string
	r            *http.Request
}

// refusals returns every kind of login that is refused.
func (d *desk) refusals() []refusal {
	ctx, t := context.Background(), d.t
	ann, bob := d.user("ann", password), d.user("bob", password)
	d.user("nopass", "")
	gone, renamed := d.user("gone", password), d.user("before", password)
	acme, err := d.people.CreateOrganisation(ctx, admin, "acme", bob.ID, nil)
	require.NoError(t, err)
	robot := d.robot(ann.ID, "ci")
	orphan := d.robot(gone.ID, "ci")
	dave := d.user("dave", password)
	lost := d.robot(dave.ID, "ci")
	s, rs, ds, ls := d.secret(ann.ID, nil), d.secret(robot.ID, nil), d.secret(dave.ID, nil), d.secret(lost.ID, nil)
	gs, revoked := d.secret(orphan.ID, nil), d.secret(ann.ID, nil)
	short := d.secret(ann.ID, &accounts.SecretOptions{Expires: time.Now().Add(50 * time.Millisecond)})
	require.NoError(t, d.people.RevokeSecret(ctx, admin, ann.ID, revoked.ID))
	_, err = d.people.Disable(ctx, admin, dave.ID)
	require.NoError(t, err)
	require.NoError(t, d.people.Remove(ctx, admin, gone.ID))
	_, err = d.people.Rename(ctx, admin, renamed.ID, "after")
	require.NoError(t, err)
	time.Sleep(60 * time.Millisecond)
	v := func(s accounts.NewSecret) string { return s.Value.Value() }
	invented := accounts.NewSecretValue(accounts.User, ann.ID, s.ID)
	return []refusal{
		{"unknown user", "unknown user", basic("eve", password)},
		{"name of no user", "unknown user", basic("Eve!", password)},
		{"wrong password", "wrong password", basic("ann", password+"x")},
		{"password of another", "wrong password", basic("bob", "another sunny cello")},
		{"user without a password", "no password", basic("nopass", password)},
		{"disabled user", "dave is disabled", basic("dave", password)},
		{"disabled user, wrong password", "dave is disabled", basic("dave", password+"x")},
		{"removed user", "unknown user", basic("gone", password)},
		{"former name", "another name now", basic("before", password)},
		{"look-alike of a name", "unknown user", basic("a-nn", password)},
		{"name in capitals", "unknown user", basic("ANN", password)},
		{"organisation", "neither a user nor a robot", basic(acme.Name, password)},
		{"robot with a password", "robot has no password", basic("ann+ci", password)},
		{"unknown robot with a password", "robot has no password", basic("ann+cd", password)},
		{"empty password", "length of the password", basic("ann", "")},
		{"long password", "length of the password", basic("ann", strings.Repeat("x", 2000))},
		{"unknown secret", "unknown secret", basic("ann", accounts.NewSecretValue(accounts.User, ann.ID, "aaaaaaaaaa"))},
		{"unknown owner", "unknown secret", bearer(accounts.NewSecretValue(accounts.User, "aaaaaaaaaaaaaaaa", s.ID))},
		{"wrong secret", "wrong secret", basic("ann", invented)},
		{"prefix of another kind", "wrong secret", bearer(forge("rkr_", v(s)))},
		{"revoked secret", "unknown secret", basic("ann", v(revoked))},
		{"expired secret", "secret has expired", basic("ann", v(short))},
		{"expired secret as Bearer", "secret has expired", bearer(v(short))},
		{"secret of a disabled user", "dave is disabled", basic("dave", v(ds))},
		{"secret of a robot of a disabled user", "namespace of dave+ci", basic("dave+ci", v(ls))},
		{"secret of a robot of a removed user", "", basic("gone+ci", v(gs))},
		{"secret of another user", "another name", basic("bob", v(s))},
		{"secret of a user as that of a robot", "another name", basic("ann+ci", v(s))},
		{"secret of a robot as that of its user", "another name", basic("ann", v(rs))},
		{"secret without a name", "invalid user name", basic("", v(s))},
		{"secret with a wrong checksum", "wrong password", basic("ann", v(s)[:68]+flip(v(s)[68]))},
		{"Bearer with a password", "no secret", bearer(password)},
		{"Bearer with nothing", "no secret", bearer("")},
		{"Digest", "not Basic", header("Digest username=ann")},
		{"malformed base64", "malformed", header("Basic ???")},
		{"no colon", "no colon", header("Basic " + base64.StdEncoding.EncodeToString([]byte("ann")))},
		{"two headers", "more than one", header("Bearer "+v(s), "Bearer "+v(s))},
		{"long header", "too long", header("Bearer " + strings.Repeat("x", 9000))},
	}
}

// header is a request with Authorization headers.
func header(values ...string) *http.Request {
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.Header["Authorization"] = values
	return r
}

// flip returns another letter.
func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// forge returns a secret with another prefix and the checksum that fits.
func forge(prefix, value string) string {
	return withChecksum(prefix + value[4:62])
}

// TestRefusals: the audit gets the reason of each refusal. The responses are equal.
func TestRefusals(t *testing.T) {
	d := newDesk(t, nil, &accounts.AuthenticatorOptions{Failures: 1000, AddressFailures: 1000})
	var audit []auth.Decision
	nothing := func(context.Context, auth.Identity, []auth.Access) error { return auth.ErrDenied }
	reg, err := registry.New(registrytest.NewStore(t), &registry.Options{
		Authenticator: d.logins,
		Authorizer:    auth.AuthorizerFunc(nothing),
		Audit:         func(_ context.Context, d auth.Decision) { audit = append(audit, d) },
	})
	require.NoError(t, err)
	var first *httptest.ResponseRecorder
	for _, row := range d.refusals() {
		audit = nil
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, row.r)
		if first == nil {
			first = w
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Equal(t, `Basic realm="registry"`, w.Header().Get("WWW-Authenticate"))
			require.Contains(t, w.Body.String(), "invalid credentials")
		}
		w.Header().Del("X-Request-Id")
		first.Header().Del("X-Request-Id")
		require.Equal(t, first.Code, w.Code, row.name)
		require.Equal(t, first.Header(), w.Header(), row.name)
		require.Equal(t, first.Body.String(), w.Body.String(), row.name)
		require.Len(t, audit, 1, row.name)
		require.ErrorIs(t, audit[0].Err, auth.ErrCredentials, row.name)
		require.ErrorContains(t, audit[0].Err, row.reason, row.name)
		require.NotContains(t, fmt.Sprint(audit[0]), "cello", row.name)
		require.NotContains(t, fmt.Sprint(audit[0]), "rkp_", row.name)
	}
	d.in(basic("after", password))
}

// TestSameRequestsForUnknownNames: a login makes as many requests to the storage whether or not the name
// exists, so that the time of a slow storage does not reveal it.
func TestSameRequestsForUnknownNames(t *testing.T) {
	below := memory.New(nil)
	for _, r := range newDesk(t, below, nil).refusals()[:12] {
		counted := drivertest.NewFaulty(below, nil)
		d := newDesk(t, counted, nil)
		for _, want := range []int{3, 0} {
			before := counted.Count("")
			d.out(r.r, r.reason)
			requests := counted.Count("") - before
			if r.name == "name of no user" || r.name == "name in capitals" {
				requests += min(want, 1) // nobody can have such a name
			}
			require.Equal(t, want, requests, r.name)
		}
	}
}

// TestPasswordRemembered: a right password is checked once, and no more after it was changed, also by
// another process.
func TestPasswordRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := drivertest.NewFaulty(memory.New(nil), nil)
		d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
		ann := d.user("ann", password)
		who := d.in(basic("ann", password))
		before := storage.Count("")
		for range 3 {
			d.in(basic("ann", password))
		}
		require.Equal(t, before, storage.Count(""))
		require.NoError(t, elsewhere.people.SetPassword(t.Context(), admin, ann.ID, "velvet rhino sonata"))
		time.Sleep(accounts.DefaultRefresh)
		d.out(basic("ann", password), "wrong password")
		_, err := d.logins.Renew(t.Context(), who)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.NoError(t, d.people.SetPassword(t.Context(), admin, ann.ID, password))
		d.in(basic("ann", password))
		_, err = d.logins.Renew(t.Context(), who)
		require.ErrorIs(t, err, auth.ErrCredentials, "the same password, set again")
		require.NoError(t, d.people.SetPassword(t.Context(), admin, ann.ID, ""))
		d.out(basic("ann", password), "no password")
	})
}

// TestGuessesLimited: guesses from one address are limited. They lock out nobody who is elsewhere, or
// who has logged in from there before, or who has a secret.
func TestGuessesLimited(t *testing.T) {
	d := newDesk(t, nil, &accounts.AuthenticatorOptions{Failures: 3})
	ann := d.user("ann", password)
	s := d.secret(ann.ID, nil)
	d.user("bob", password)
	d.in(basic("ann", password))
	for i := range 6 {
		_, err := d.logins.Authenticate(basic("ann", fmt.Sprint("wrong guess ", i)))
		var limit *auth.LimitError
		require.Equal(t, i >= 3, errors.As(err, &limit), "%d %v", i, err)
	}
	d.in(basic("ann", password))
	d.in(basic("bob", password))
	d.in(basic("ann", s.Value.Value()))
	for range 200 {
		d.out(basic("ann", accounts.NewSecretValue(accounts.User, ann.ID, s.ID)), "wrong secret")
	}
	d.in(bearer(s.Value.Value()))
	r := basic("ann", password)
	r.RemoteAddr = "198.51.100.7:1"
	d.in(r)
}

// TestDisabledAtOnce: a remembered password and a secret have no use once the account is disabled, and
// both again when it is enabled.
func TestDisabledAtOnce(t *testing.T) {
	d := newDesk(t, nil, nil)
	ann := d.user("ann", password)
	s := d.secret(ann.ID, nil)
	a, b := d.in(basic("ann", password)), d.in(bearer(s.Value.Value()))
	_, err := d.people.Disable(t.Context(), admin, ann.ID)
	require.NoError(t, err)
	d.out(basic("ann", password), "disabled")
	d.out(bearer(s.Value.Value()), "disabled")
	for _, who := range []auth.Identity{a, b} {
		_, err = d.logins.Renew(t.Context(), who)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	_, err = d.people.Enable(t.Context(), admin, ann.ID)
	require.NoError(t, err)
	d.in(basic("ann", password))
	d.in(bearer(s.Value.Value()))
}

// TestRenewRefused: identities that are not of a login here, or no longer.
func TestRenewRefused(t *testing.T) {
	d := newDesk(t, nil, nil)
	ann, bob := d.user("ann", password), d.user("bob", "")
	s := d.secret(ann.ID, nil)
	pw := d.in(basic("ann", password)).Claims[accounts.PasswordClaim]
	id := string(ann.ID)
	for _, claims := range []map[string]any{
		nil, {accounts.AccountClaim: id}, {accounts.PasswordClaim: pw}, {accounts.SecretClaim: s.ID},
		{accounts.AccountClaim: id, accounts.PasswordClaim: ""}, {accounts.AccountClaim: id, accounts.PasswordClaim: 1},
		{accounts.AccountClaim: id, accounts.PasswordClaim: pw, accounts.SecretClaim: s.ID},
		{accounts.AccountClaim: string(bob.ID), accounts.SecretClaim: s.ID},
		{accounts.AccountClaim: string(bob.ID), accounts.PasswordClaim: ""},
		{accounts.AccountClaim: id, accounts.SecretClaim: "../../../u/x"},
		{accounts.AccountClaim: "x/../y", accounts.SecretClaim: s.ID},
	} {
		_, err := d.logins.Renew(t.Context(), auth.Identity{Name: "ann", Claims: claims})
		require.ErrorIs(t, err, auth.ErrCredentials, claims)
	}
	who := d.in(bearer(s.Value.Value()))
	_, err := d.people.Rename(t.Context(), admin, ann.ID, "anna")
	require.NoError(t, err)
	now, err := d.logins.Renew(t.Context(), who)
	require.NoError(t, err)
	require.Equal(t, "anna", now.Name)
	require.NoError(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, s.ID))
	_, err = d.logins.Renew(t.Context(), who)
	require.ErrorIs(t, err, auth.ErrCredentials)
	strict, err := accounts.NewAuthenticator(d.people, &accounts.AuthenticatorOptions{NoPasswords: true})
	require.NoError(t, err)
	_, err = strict.Renew(t.Context(), d.in(basic("anna", password)))
	require.ErrorIs(t, err, auth.ErrCredentials)
	_, err = strict.Authenticate(basic("anna", password))
	require.ErrorIs(t, err, auth.ErrCredentials)
}

// TestStorageDown: a storage that cannot be asked refuses nobody for good.
func TestStorageDown(t *testing.T) {
	var mu sync.Mutex
	var down error
	storage := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			return down
		}})
	d := newDesk(t, storage, nil)
	ann := d.user("ann", password)
	s := d.secret(ann.ID, nil)
	other := accounts.NewSecretValue(accounts.User, ann.ID, "aaaaaaaaaa")
	for _, cause := range []error{driver.ErrUnavailable, errors.New("broken")} {
		mu.Lock()
		down = cause
		mu.Unlock()
		for _, r := range []*http.Request{basic("eve", password), bearer(other)} {
			_, err := d.logins.Authenticate(r)
			require.ErrorIs(t, err, cause)
			require.NotErrorIs(t, err, auth.ErrCredentials)
			require.Equal(t, cause == driver.ErrUnavailable, errors.As(err, new(*auth.UnavailableError)))
		}
		mu.Lock()
		down = nil
		mu.Unlock()
	}
	d.in(basic("ann", password))
	d.in(bearer(s.Value.Value()))
}

func TestNewAuthenticatorInvalid(t *testing.T) {
	d := newDesk(t, nil, nil)
	for _, o := range []accounts.AuthenticatorOptions{{Failures: -1}, {AddressFailures: -1}, {Realm: "ü"}} {
		_, err := accounts.NewAuthenticator(d.people, &o)
		require.Error(t, err)
	}
	_, err := accounts.NewAuthenticator(nil, nil)
	require.Error(t, err)
}

// TestStrangersLearnNoNames: a stranger who asks for a repository causes as many requests to the storage whether or
// not somebody has the name, so the time does not tell.
func TestStrangersLearnNoNames(t *testing.T) {
	ctx, d := t.Context(), memory.New(nil)
	a := newAccounts(t, d, nil)
	newUser(t, a, "ann")
	bob := newUser(t, a, "bob")
	_, err := a.Disable(ctx, operator, bob.ID)
	require.NoError(t, err)
	eve := newUser(t, a, "eve")
	require.NoError(t, a.Remove(ctx, operator, eve.ID))
	dan := newUser(t, a, "dan")
	_, err = a.Rename(ctx, operator, dan.ID, "daniel")
	require.NoError(t, err)
	mallory := newUser(t, a, "mallory")
	newOrganisation(t, a, "guild", dan.ID)
	requests := func(who auth.Identity, action auth.Action, namespace string) (cold, again int) {
		f := drivertest.NewFaulty(d, nil)
		access := accounts.NewAuthorizer(newAccounts(t, f, &accounts.Options{Refresh: time.Hour}))
		require.False(t, may(t, access, who, action, "unrelated/app"))
		before := f.Count("")
		require.False(t, may(t, access, who, action, namespace+"/app"))
		cold = f.Count("") - before
		require.False(t, may(t, access, who, action, namespace+"/web"))
		return cold, f.Count("") - before - cold
	}
	for _, who := range []auth.Identity{{}, identityOf(mallory)} {
		for _, action := range []auth.Action{auth.Pull, auth.Push, auth.Delete} {
			want, _ := requests(who, action, "nobody")
			for _, name := range []string{"ann", "an-n", "bob", "eve", "dan", "daniel", "guild"} {
				got, again := requests(who, action, name)
				require.Equal(t, want, got, "%q %s %s", who.Name, action, name)
				require.Zero(t, again)
			}
		}
	}
}

// TestTokensAreNoGuesses: a job that logs in with an ID token that has expired, or a refresh token, does not lock
// anybody out of its network.
func TestTokensAreNoGuesses(t *testing.T) {
	d := newDesk(t, nil, &accounts.AuthenticatorOptions{Failures: 3, AddressFailures: 3})
	_, err := d.people.CreateUser(t.Context(), accounts.Actor{}, "zoe", password, nil)
	require.NoError(t, err)
	for range 10 {
		for _, name := range []string{"zoe", "oidc", "acme+deploy"} {
			d.out(basic(name, "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"), "a JWT is no password")
			d.out(basic(name, secretvalue.New("rkf_", "abc")), "a secret of another kind")
		}
	}
	d.in(basic("zoe", password))
}
