package site

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/examples/internal/process"
)

// openPeople opens the accounts, and makes what identifies and authorises callers.
func (h *Hub) openPeople(ctx context.Context) (err error) {
	c := h.config
	mirrored := h.mirrored()
	h.people, err = accounts.New(h.driver, &accounts.Options{Sink: h.sink, Instance: process.Instance(),
		Reserved: slices.Concat(mirrored, c.Accounts.Reserved), InUse: accounts.RepositoriesOf(h.backend),
		MinPassword: c.Accounts.MinPassword, Audit: h.changed})
	if err != nil {
		return err
	}
	if err := h.checkMirrored(ctx, mirrored); err != nil {
		return err
	}
	h.refresh, err = token.NewRefreshTokens(h.driver, &token.RefreshOptions{Subject: accounts.Subject, Error: h.report})
	if err != nil {
		return err
	}
	if h.users, err = h.authenticator(); err != nil {
		return err
	}
	access := accounts.NewAuthorizer(h.people)
	if c.Access.Rules != nil {
		access = access.Refine(c.Access.Rules)
	}
	h.tokens, err = token.New(h.store, h.users, access, &token.Options{
		ExternalURL: c.Server.ExternalURL, PlainHTTP: c.Server.InsecureOpen, TrustedProxies: c.Server.TrustedProxies,
		Audit: h.decided, Error: h.report, Refresh: h.refresh, Keys: c.Accounts.TokenKeys,
	})
	h.after = append(h.after, job{"storing the last uses of secrets", h.people.Run})
	h.work = append(h.work, job{"removing expired refresh tokens", h.refresh.Run})
	return err
}

// accountName matches the names that an account can have.
var accountName = regexp.MustCompile(`^[a-z](-?[a-z0-9])+$`)

// maxAccountName is the maximum length of the name of an account.
const maxAccountName = 39

// mirrored returns the first components of the names of mirrored repositories that could be names of accounts. Somebody
// with such a name would own the repositories, and pull private ones with the credentials of the mirror.
func (h *Hub) mirrored() (names []string) {
	if h.mirror == nil {
		return nil
	}
	for _, u := range h.mirror.Upstreams() {
		for _, prefix := range append([]string{u.Prefix}, u.Aliases...) {
			if first, _, _ := strings.Cut(prefix, "/"); accountName.MatchString(first) && len(first) <= maxAccountName {
				names = append(names, first)
			}
		}
	}
	return names
}

// checkMirrored refuses an upstream whose namespace an account had before.
func (h *Hub) checkMirrored(ctx context.Context, names []string) error {
	for _, name := range names {
		_, err := h.people.Find(ctx, name)
		switch {
		case err == nil:
			return fmt.Errorf("mirror: the account %q owns the repositories below %q: choose another prefix", name, name)
		case !errors.Is(err, accounts.ErrUnknown):
			return err
		}
	}
	return nil
}

// authenticator returns what identifies callers of the registry. ID tokens come first, because they are recognised by
// their form and cost no hash.
func (h *Hub) authenticator() (auth.Authenticator, error) {
	var err error
	h.logins, err = accounts.NewAuthenticator(h.people,
		&accounts.AuthenticatorOptions{TrustedProxies: h.config.Server.TrustedProxies})
	if err != nil || len(h.config.Accounts.CIJobs) == 0 {
		return h.logins, err
	}
	var files []string
	for _, path := range h.config.Accounts.CIJobs {
		files = append(files, string(path))
	}
	jobs, err := oidc.Open(files, &oidc.Options{Error: h.report})
	if err != nil {
		return nil, err
	}
	return chain.New(accounts.Federate(h.people, jobs), h.logins)
}
