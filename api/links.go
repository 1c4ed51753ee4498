package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
)

// linker has the links between users and persons at OpenID providers. [accounts.Accounts] implements it.
type linker interface {
	Links(ctx context.Context, user accounts.ID) ([]accounts.Person, error)
	Unlink(ctx context.Context, by accounts.Actor, person accounts.Person, user accounts.ID) error
}

// linkRoutes are the routes of the part links. Links are created at the sign-in only, because a link needs a sign-in of
// the person and of the user.
func (a *API) linkRoutes() []route {
	const list = "/v1/users/{user}/links"
	return []route{
		{method: "GET", path: list, access: needs(auth.TypeAccount, "{user}", auth.Read), handle: listLinks},
		{method: "DELETE", path: list + "/{link}", access: withoutToken(needs(auth.TypeAccount, "{user}", auth.Manage)),
			handle: removeLink},
	}
}

// linkID returns the ID of the link of a person. An issuer is a URL, and a path of the API could contain it only with
// escapes. So the ID is a hash. Neither text of a Person contains a zero byte.
func linkID(person accounts.Person) string {
	sum := sha256.Sum256([]byte(person.Issuer + "\x00" + person.Subject))
	return hex.EncodeToString(sum[:])
}

// linksOf returns the user in the path, and the persons that the user is linked to.
//
// Errors: 404.
func (q *request) linksOf() (*accounts.Account, []accounts.Person, error) {
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, nil, err
	}
	persons, err := q.api.opts.Accounts.(linker).Links(q.Context(), acc.ID)
	return acc, persons, err
}

func listLinks(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	_, persons, err := q.linksOf()
	if err != nil {
		return nil, err
	}
	list := types.LinkList{Items: []types.Link{}}
	for _, p := range persons {
		list.Items = append(list.Items, types.Link{ID: linkID(p), Issuer: p.Issuer, Subject: p.Subject})
	}
	return &response{body: list}, nil
}

// removeLink removes a link first and then ends the sessions, because the person could otherwise begin another session
// in between. It also ends the sessions of a person whose link is gone, so that a repetition after an error finishes
// the work. A sign-in that has read the link before its removal can still begin a session.
func removeLink(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	acc, persons, err := q.linksOf()
	if err != nil {
		return nil, err
	}
	err = errNotFound.WithMessage("there is no such link")
	for _, p := range persons {
		if linkID(p) == q.param("link") {
			err = q.api.opts.Accounts.(linker).Unlink(q.Context(), by, p, acc.ID)
		}
	}
	gone := err == nil || errors.Is(err, errNotFound) || errors.Is(err, accounts.ErrUnknown) ||
		errors.Is(err, accounts.ErrNotified)
	if gone {
		if err := q.endSessionsOf(acc.ID, q.param("link")); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return done(), nil
}

// endSessionsOf ends the sessions of a user that began by a sign-in as the person of a link, if the registry has any.
func (q *request) endSessionsOf(user accounts.ID, link string) error {
	if q.api.opts.Sessions == nil {
		return nil
	}
	_, err := q.api.opts.Sessions.RevokeIf(q.Context(), user, func(s *session.Session) bool {
		return s.Provider != nil && linkID(accounts.Person{Issuer: s.Provider.Issuer, Subject: s.Provider.Subject}) == link
	})
	return err
}
