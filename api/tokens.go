package api

import (
	"errors"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// tokenRoutes are the routes of the part tokens.
func (a *API) tokenRoutes() []route {
	const list = "/v1/accounts/{account}/tokens"
	read := needs(auth.TypeAccount, "{account}", auth.Read)
	manage := needs(auth.TypeAccount, "{account}", auth.Manage)
	return []route{
		{method: "GET", path: list, access: read, handle: listTokens},
		{method: "POST", path: list, access: manage, handle: createToken},
		{method: "GET", path: list + "/{token}", access: read, handle: getToken},
		{method: "DELETE", path: list + "/{token}", access: manage, conditional: true, handle: revokeToken},
		{method: "POST", path: list + "/{token}/rotate", access: manage, handle: rotateToken},
	}
}

// tokenOf returns a token as the API shows it, without the time of its last use: that changes by itself, and so does
// not belong to the version of the token.
func tokenOf(s *accounts.Secret) types.Token {
	return types.Token{ID: s.ID, Name: s.Name, Created: s.Created.UTC(), Expires: instant(s.Expires),
		ReplacedBy: s.Rotated, Scopes: grantsOf(s.Scopes)}
}

// usedTokenOf returns a token as the API shows it.
func usedTokenOf(s *accounts.Secret) types.Token {
	t := tokenOf(s)
	t.LastUsed = instant(s.LastUsed)
	return t
}

// grantsOf returns grants as the API shows them.
func grantsOf(grants []accounts.Grant) []types.Grant {
	var all []types.Grant
	for _, g := range grants {
		all = append(all, types.Grant{Repositories: g.Repositories, Role: string(g.Role)})
	}
	return all
}

// toGrants returns the grants of a body. The result is nil only if grants is nil.
func toGrants(grants []types.Grant) []accounts.Grant {
	if grants == nil {
		return nil
	}
	all := make([]accounts.Grant, len(grants))
	for i, g := range grants {
		all[i] = accounts.Grant{Repositories: g.Repositories, Role: accounts.Role(g.Role)}
	}
	return all
}

// newTokenResponse returns the response with a new token of an account.
func newTokenResponse(account string, made accounts.NewSecret) *response {
	token := tokenOf(&made.Secret)
	r := created("/v1/accounts/"+account+"/tokens/"+made.ID, types.CreatedToken{Token: token, Value: made.Value.Value()})
	r.version = token
	return r
}

func listTokens(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	acc, err := q.accountAt("account", accounts.User, accounts.Robot)
	if err != nil {
		return nil, err
	}
	list := types.TokenList{Items: []types.Token{}}
	for s, err := range q.api.opts.Accounts.Secrets(q.Context(), acc.ID) {
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, usedTokenOf(s))
	}
	return &response{body: list}, nil
}

func getToken(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	acc, err := q.accountAt("account", accounts.User, accounts.Robot)
	if err != nil {
		return nil, err
	}
	for s, err := range q.api.opts.Accounts.Secrets(q.Context(), acc.ID) {
		if err != nil {
			return nil, err
		}
		if s.ID == q.param("token") {
			r := found(usedTokenOf(s))
			r.version = tokenOf(s)
			return r, nil
		}
	}
	return nil, errNotFound.WithMessage("there is no such token")
}

// mayLast returns an error if the caller has sent a token that ends before a new token would end, or that has scopes. A
// token must not create a token that can do more: otherwise a thief could keep what a leaked token gives. The same is
// true of passwords of new users and of new admins. end is the end of the new token, or the zero Time.
//
// Errors: registry.ErrDenied.
func (q *request) mayLast(end time.Time) error {
	identity := q.caller.Identity()
	id, ok := identity.Claims[accounts.SecretClaim].(string)
	if !ok {
		return nil
	}
	own, err := q.api.opts.Accounts.Secret(q.Context(), accountID(&identity), id)
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return registry.ErrDenied
	case err != nil:
		return err
	case own.Scopes != nil:
		return registry.ErrDenied.WithMessage("a token with scopes cannot do this")
	case !own.Expires.IsZero() && (end.IsZero() || end.After(own.Expires)):
		return registry.ErrDenied.WithMessage("a token that ends cannot give what lasts longer")
	}
	return nil
}

func createToken(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.NewToken
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if err := q.mayLast(body.Expires); err != nil {
		return nil, err
	}
	acc, err := q.accountAt("account", accounts.User, accounts.Robot)
	if err != nil {
		return nil, err
	}
	made, err := q.api.opts.Accounts.CreateSecret(q.Context(), by, acc.ID, body.Name,
		&accounts.SecretOptions{Expires: body.Expires, Scopes: toGrants(body.Scopes)})
	if err != nil {
		return nil, err
	}
	return newTokenResponse(acc.Name, made), nil
}

func rotateToken(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.Rotation
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if body.Grace < 0 || body.Grace > maxGrace {
		return nil, errInvalid.WithMessage("grace must be 0 to 31536000 seconds")
	}
	acc, err := q.accountAt("account", accounts.User, accounts.Robot)
	if err != nil {
		return nil, err
	}
	by.IfSecret = func(current *accounts.Secret) error {
		if err := q.match(tokenOf(current)); err != nil {
			return err
		}
		var end time.Time
		if !current.Expires.IsZero() {
			end = time.Now().Add(current.Expires.Sub(current.Created))
		}
		return q.mayLast(end)
	}
	made, err := q.api.opts.Accounts.RotateSecret(q.Context(), by, acc.ID, q.param("token"),
		time.Duration(body.Grace)*time.Second)
	if err != nil {
		return nil, err
	}
	return newTokenResponse(acc.Name, made), nil
}

// maxGrace is the maximum of Rotation.Grace, in seconds: 365 days.
const maxGrace = 365 * 24 * 60 * 60

func revokeToken(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("account", accounts.User, accounts.Robot)
	if err != nil {
		return nil, err
	}
	by.IfSecret = func(current *accounts.Secret) error { return q.match(tokenOf(current)) }
	if err := q.api.opts.Accounts.RevokeSecret(q.Context(), by, acc.ID, q.param("token")); err != nil {
		return nil, err
	}
	return done(), nil
}
