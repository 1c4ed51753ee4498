package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// maxReason is the maximum length of the parameter reason, in characters.
const maxReason = 500

// forced is an access for routes with the parameter force: with it, the caller must also manage all accounts.
func forced(inner access) access {
	return func(q *request) ([]auth.Access, error) {
		accesses, err := inner(q)
		if err == nil && q.URL.Query().Has("force") {
			accesses = append(accesses,
				auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Manage})
		}
		return accesses, err
	}
}

// withoutToken is an access that also refuses callers who have sent a token.
func withoutToken(inner access) access {
	return func(q *request) ([]auth.Access, error) {
		if _, ok := q.caller.Identity().Claims[accounts.SecretClaim]; ok {
			return nil, registry.ErrDenied.WithMessage("a token does not permit this: use the password or a session")
		}
		return inner(q)
	}
}

// change returns the caller as the actor of a change of accounts, with the reason of the query. names are the
// parameters that the route has: "reason", and "force" for a route whose access is forced.
//
// Errors: 400 for other parameters, and for a malformed one.
func (q *request) change(names ...string) (accounts.Actor, error) {
	if err := q.only(names...); err != nil {
		return accounts.Actor{}, err
	}
	reason := q.query.Get("reason")
	control := strings.ContainsFunc(reason, unicode.IsControl)
	if control || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason {
		return accounts.Actor{}, errInvalid.WithMessage(fmt.Sprintf("reason must have at most %d characters", maxReason))
	}
	by := q.actor(reason)
	var err error
	by.Force, err = q.boolean("force")
	return by, err
}

// boolean returns a parameter of the query that is "true" or "false". Without it, the result is false.
//
// Errors: 400.
func (q *request) boolean(name string) (bool, error) {
	if !q.query.Has(name) {
		return false, nil
	}
	switch q.query.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errInvalid.WithMessage(name + ` must be "true" or "false"`)
}

// accountAt returns the account with the name that a parameter of the path contains. It does not use the cache, so that
// the caller also finds what another replica has just written.
//
// Errors: 404, also for an account of another kind and for a former name.
func (q *request) accountAt(param string, kinds ...accounts.Kind) (*accounts.Account, error) {
	name := q.param(param)
	acc, err := q.api.opts.Accounts.Find(q.Context(), name)
	if errors.Is(err, accounts.ErrUnknown) || err == nil && (acc.Name != name || !slices.Contains(kinds, acc.Kind)) {
		return nil, errNotFound.WithMessage(fmt.Sprintf("there is no %s of this name", kinds[0]))
	}
	return acc, err
}

// checkCursor returns an error for the position of a list of accounts that is neither a name nor an ID.
func checkCursor(after string) error {
	if strings.Trim(after, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errInvalid.WithMessage("after must be a cursor of a Link header")
	}
	return nil
}

// maxExamined is the maximum number of accounts that one page of a list with a filter reads.
const maxExamined = 300

// accountList yields accounts after a name, by name.
type accountList func(ctx context.Context, after string) iter.Seq2[*accounts.Account, error]

// accountPage returns a page of the accounts of a list that match. It stops after maxExamined accounts.
func (q *request) accountPage(list accountList, match func(*accounts.Account) bool) (page []*accounts.Account,
	next string, err error) {
	after, limit, err := q.page()
	if err == nil {
		err = checkCursor(after)
	}
	if err != nil {
		return nil, "", err
	}
	examined := 0
	for acc, err := range list(q.Context(), after) {
		if err != nil {
			return nil, "", err
		}
		if match(acc) {
			page = append(page, acc)
		}
		if examined++; len(page) == limit || examined >= max(limit, maxExamined) {
			return page, acc.Name, nil
		}
	}
	return page, "", nil
}
