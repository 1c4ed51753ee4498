package api

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// Limits of an ExplainRequest.
const (
	maxAccesses    = 100
	maxGroups      = 100
	maxExplainName = 255 // bytes of a name or group
)

// explainRoutes are the routes of the part explain.
func (a *API) explainRoutes() []route {
	return []route{{method: "POST", path: "/v1/rules/explain", access: signedIn, handle: a.explain}}
}

// explain asks the Authorizer of the registry, so the answer is the decision that a request would
// get.
func (a *API) explain(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var ask types.ExplainRequest
	if err := q.decode(&ask); err != nil {
		return nil, err
	}
	accesses, err := accessesOf(&ask)
	if err != nil {
		return nil, err
	}
	identity, err := a.subject(q, &ask)
	if err != nil {
		return nil, err
	}
	_, account := identity.Claims[accounts.AccountClaim].(string)
	answer := types.Explanation{Name: identity.Name, Account: account, Groups: append([]string{}, identity.Groups...),
		Allowed: true, Accesses: []types.AccessDecision{}}
	for i, access := range accesses {
		rule, err := auth.Explain(q.Context(), a.registry.Authorizer(), identity, []auth.Access{access})
		refused := errors.Is(err, auth.ErrDenied) || errors.Is(err, auth.ErrScope)
		if err != nil && !refused {
			return nil, err
		}
		answer.Accesses = append(answer.Accesses, types.AccessDecision{Access: ask.Accesses[i], Allowed: !refused,
			Rule: rule})
		answer.Allowed = answer.Allowed && !refused
	}
	return &response{body: answer}, nil
}

// subject returns the identity that a question is about. Questions about others need access to the
// rules, which is asked for before anything is looked up.
func (a *API) subject(q *request, ask *types.ExplainRequest) (auth.Identity, error) {
	subjects := 0
	for _, set := range []bool{ask.Account != "", ask.Name != "", ask.Anonymous} {
		if set {
			subjects++
		}
	}
	switch {
	case subjects > 1:
		return auth.Identity{}, errInvalid.WithMessage("at most one of account, name and anonymous is possible")
	case len(ask.Groups) > 0 && ask.Name == "":
		return auth.Identity{}, errInvalid.WithMessage("groups go with a name")
	case subjects == 0:
		return q.caller.Identity(), nil
	}
	if err := q.caller.Authorize(q.Context(), readRules); err != nil {
		return auth.Identity{}, err
	}
	switch {
	case ask.Anonymous:
		return auth.Identity{}, nil
	case ask.Name != "":
		return auth.Identity{Name: ask.Name, Groups: ask.Groups}, nil
	case a.opts.Accounts == nil:
		return auth.Identity{}, errNotFound
	}
	return accounts.Identify(q.Context(), a.opts.Accounts, ask.Account)
}

// accessesOf returns the accesses of a question.
//
// Errors: 400 for an access that no request needs.
func accessesOf(ask *types.ExplainRequest) ([]auth.Access, error) {
	if n := len(ask.Accesses); n == 0 || n > maxAccesses {
		return nil, errInvalid.WithMessage(fmt.Sprintf("accesses must have 1 to %d elements", maxAccesses))
	}
	if len(ask.Groups) > maxGroups {
		return nil, errInvalid.WithMessage(fmt.Sprintf("groups must have at most %d elements", maxGroups))
	}
	for _, name := range append([]string{ask.Account, ask.Name}, ask.Groups...) {
		if utf8.RuneCountInString(name) > maxExplainName {
			return nil, errInvalid.WithMessage("a name or group is too long")
		}
	}
	var list []auth.Access
	for _, one := range ask.Accesses {
		access := auth.Access{Type: one.Type, Name: one.Name, Action: auth.Action(one.Action), Tag: one.Tag}
		if err := checkAccess(access); err != nil {
			return nil, err
		}
		list = append(list, access)
	}
	return list, nil
}

// checkAccess returns an error for an access that no request needs, which an Authorizer must never
// see.
func checkAccess(access auth.Access) error {
	switch access.Action {
	case auth.Pull, auth.Push, auth.Overwrite, auth.Delete, auth.Read, auth.Manage, auth.All:
	default:
		return errInvalid.WithMessage(fmt.Sprintf("unknown action %.32q", access.Action))
	}
	switch access.Type {
	case auth.TypeRepository:
		if err := registry.CheckName(access.Name); err != nil || access.Tag == "" {
			return err
		}
		return registry.CheckTag(access.Tag)
	case auth.TypeRegistry, auth.TypeAccount:
		if n := utf8.RuneCountInString(access.Name); n == 0 || n > maxExplainName || access.Tag != "" {
			return errInvalid.WithMessage("an access has a name, and no tag unless it is about a repository")
		}
		return nil
	}
	return errInvalid.WithMessage(fmt.Sprintf("unknown type %.32q", access.Type))
}
