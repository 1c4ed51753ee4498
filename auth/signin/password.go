package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/internal/forwarded"
)

// password signs a user in with a password. The value of a token is refused: its scopes would be
// lost.
func (h *Handler) password(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Passwords == nil {
		return errNotFound
	}
	var given types.PasswordSignIn
	if isType(r, jsonType) {
		if err := decodeJSON(w, r, &given); err != nil {
			return err
		}
	} else {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		given = types.PasswordSignIn{Name: form.Get("name"), Password: form.Get("password"), Return: form.Get("return")}
	}
	path, err := h.returnPath(given.Return)
	if err != nil {
		return err
	}
	return withForm(h.passwordSignIn(w, r, &given, path), given.Name, path)
}

// passwordSignIn begins a session for the name and the password of a request.
func (h *Handler) passwordSignIn(w http.ResponseWriter, r *http.Request, given *types.PasswordSignIn,
	path string) error {
	if !(h.opts.PlainHTTP && given.CommandLine) && !forwarded.Confidential(r, h.opts.TrustedProxies) {
		h.audit(r, nil, errPlain)
		return errPlain
	}
	account, version, err := h.checkPassword(r, given.Name, given.Password)
	if err != nil {
		h.audit(r, nil, err)
		if errors.Is(err, auth.ErrCredentials) {
			err = errPassword.WithCause(err)
		}
		return err
	}
	return h.signIn(w, r, account, session.Login{Password: version}, target{commandLine: given.CommandLine, path: path})
}

// checkPassword returns the user with a name and a password, and the version of the password.
//
// Errors: auth.ErrCredentials; those of Options.Passwords.
func (h *Handler) checkPassword(r *http.Request, name, password string) (*accounts.Account, string, error) {
	if strings.Contains(name, ":") {
		return nil, "", auth.ErrCredentials // Basic could not carry it
	}
	asked := r.Clone(r.Context())
	asked.Header.Del("Cookie")
	asked.SetBasicAuth(name, password)
	identity, err := h.opts.Passwords.Authenticate(asked)
	if err != nil {
		return nil, "", err
	}
	id, _ := identity.Claims[accounts.AccountClaim].(string)
	version, _ := identity.Claims[accounts.PasswordClaim].(string)
	_, bySecret := identity.Claims[accounts.SecretClaim]
	if id == "" || version == "" || bySecret {
		return nil, "", auth.ErrCredentials
	}
	account, err := h.activeUser(r.Context(), accounts.ID(id))
	return account, version, err
}

// activeUser returns an account that is an active user.
//
// Errors: errAccount; those of the accounts.
func (h *Handler) activeUser(ctx context.Context, id accounts.ID) (*accounts.Account, error) {
	account, err := h.people.Account(ctx, id)
	if errors.Is(err, accounts.ErrUnknown) || err == nil && (!account.Active() || account.Kind != accounts.User) {
		return nil, errAccount
	}
	return account, err
}
