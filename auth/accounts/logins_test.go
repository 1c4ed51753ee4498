package accounts_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

var admin = accounts.Actor{Name: "admin"}

// desk is a registry's Accounts and the Authenticator in front of them.
type desk struct {
	t      testing.TB
	people *accounts.Accounts
	logins *accounts.Authenticator
}

// newDesk returns a desk over a Driver; nil is a new one in memory.
func newDesk(t testing.TB, d driver.Driver, opts *accounts.AuthenticatorOptions) *desk {
	if d == nil {
		d = memory.New(nil)
	}
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	logins, err := accounts.NewAuthenticator(people, opts)
	require.NoError(t, err)
	return &desk{t, people, logins}
}

// user makes a user; pass is "" for one without a password.
func (d *desk) user(name, pass string) *accounts.Account {
	d.t.Helper()
	u, err := d.people.CreateUser(context.Background(), admin, name, pass, nil)
	require.NoError(d.t, err)
	return u
}

// robot makes a robot.
func (d *desk) robot(namespace accounts.ID, name string) *accounts.Account {
	d.t.Helper()
	r, err := d.people.CreateRobot(context.Background(), admin, namespace, name, nil)
	require.NoError(d.t, err)
	return r
}

// secret makes a secret.
func (d *desk) secret(owner accounts.ID, opts *accounts.SecretOptions) accounts.NewSecret {
	d.t.Helper()
	s, err := d.people.CreateSecret(context.Background(), admin, owner, "laptop", opts)
	require.NoError(d.t, err)
	return s
}

// basic is a request with a name and a password.
func basic(name, pass string) *http.Request {
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth(name, pass)
	return r
}

// bearer is a request with a token.
func bearer(token string) *http.Request {
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// in requires that a login succeeds.
func (d *desk) in(r *http.Request) auth.Identity {
	d.t.Helper()
	who, err := d.logins.Authenticate(r)
	require.NoError(d.t, err)
	return who
}

// out requires that a login is refused, for a reason.
func (d *desk) out(r *http.Request, reason string) {
	d.t.Helper()
	who, err := d.logins.Authenticate(r)
	require.ErrorIs(d.t, err, auth.ErrCredentials)
	require.ErrorContains(d.t, err, reason)
	require.Zero(d.t, who)
}

// secrets collects the secrets of an account.
func (d *desk) secrets(owner accounts.ID) []*accounts.Secret {
	d.t.Helper()
	var all []*accounts.Secret
	for s, err := range d.people.Secrets(context.Background(), owner) {
		require.NoError(d.t, err)
		all = append(all, s)
	}
	return all
}
