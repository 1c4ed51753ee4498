package api

import (
	"errors"
	"net/http"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// errWrongPassword is not a 401: the credentials of the request itself are right.
var errWrongPassword = registry.NewError("WRONG_PASSWORD", http.StatusForbidden, "the old password is wrong")

// passwordRoutes are the routes of the part password.
func (a *API) passwordRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/password", access: everyone, handle: getPasswordRules},
		{method: "PUT", path: "/v1/user/password", access: withoutToken(ownAccount), handle: changePassword},
	}
}

// passwordRules has the rules for new passwords. [accounts.Accounts] implements it.
type passwordRules interface{ MinPassword() int }

// getPasswordRules returns the rules for new passwords, so that a form can show them before a password is refused.
func getPasswordRules(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	rules := types.PasswordRules{MinLength: 1}
	if people, ok := q.api.opts.Accounts.(passwordRules); ok {
		rules.MinLength = people.MinPassword()
	}
	return &response{body: rules}, nil
}

// ownAccount lets callers use a route about their own account, if they have one and may manage it.
func ownAccount(q *request) ([]auth.Access, error) {
	identity := q.caller.Identity()
	switch {
	case identity.Anonymous():
		return nil, registry.ErrUnauthorized
	case accountID(&identity) == "":
		return nil, registry.ErrDenied.WithMessage("the caller has no account")
	}
	return []auth.Access{{Type: auth.TypeAccount, Name: identity.Name, Action: auth.Manage}}, nil
}

// accountID returns the ID of the account of an identity, or "".
func accountID(identity *auth.Identity) accounts.ID {
	id, _ := identity.Claims[accounts.AccountClaim].(string)
	return accounts.ID(id)
}

func changePassword(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var body types.PasswordChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	identity := q.caller.Identity()
	id := accountID(&identity)
	version, err := q.checkPassword(&identity, body.Old)
	if err != nil {
		return nil, err
	}
	by := q.actor("")
	by.IfPassword = func(current string) error {
		if current != version {
			return errWrongPassword.WithMessage("the password was changed meanwhile")
		}
		return nil
	}
	if body.New == "" {
		return nil, errInvalid.WithMessage("the new password is empty")
	}
	if err := q.api.opts.Accounts.SetPassword(q.Context(), by, id, body.New); err != nil {
		return nil, err
	}
	if err := q.endSessions(id); err != nil {
		return nil, err
	}
	return done(), nil
}

// checkPassword returns the version of the caller's own password if it is right. The Authenticator of the API checks it
// as that of a login: with the same limits of wrong passwords, and the same records for the audit.
//
// Errors: errWrongPassword; 429.
func (q *request) checkPassword(identity *auth.Identity, password string) (version string, err error) {
	login := q.Clone(q.Context())
	login.Body = http.NoBody
	login.Header.Del("Cookie")
	login.SetBasicAuth(identity.Name, password)
	caller, err := q.api.registry.Caller(login, q.api.opts.Authenticator)
	if errors.Is(err, registry.ErrUnauthorized) {
		return "", errWrongPassword
	}
	if err != nil {
		return "", err
	}
	checked := caller.Identity()
	version, ok := checked.Claims[accounts.PasswordClaim].(string) // it is missing for a token
	if !ok || accountID(&checked) != accountID(identity) {
		return "", errWrongPassword
	}
	return version, nil
}

func setPassword(q *request) (*response, error) {
	var body types.Password
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if body.Password == "" {
		return nil, errInvalid.WithMessage("the password is empty")
	}
	return changePasswordOf(q, body.Password)
}

func deletePassword(q *request) (*response, error) { return changePasswordOf(q, "") }

// changePasswordOf sets the password of the user in the path. "" removes it.
func changePasswordOf(q *request, password string) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	by.If = q.matchUser
	if err := q.api.opts.Accounts.SetPassword(q.Context(), by, acc.ID, password); err != nil {
		return nil, err
	}
	if err := q.endSessions(acc.ID); err != nil {
		return nil, err
	}
	return done(), nil
}
