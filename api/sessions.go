package api

import (
	"errors"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/session"
)

// sessionRoutes are the routes of the part sessions.
func (a *API) sessionRoutes() []route {
	const sessions = "/v1/user/sessions"
	return []route{
		{method: "GET", path: sessions, access: ownSessions(auth.Read), handle: listSessions},
		{method: "DELETE", path: sessions, access: ownSessions(auth.Manage), handle: endOtherSessions},
		{method: "GET", path: sessions + "/{session}", access: ownSessions(auth.Read), handle: getSession},
		{method: "DELETE", path: sessions + "/{session}", access: ownSessions(auth.Manage), conditional: true,
			handle: endSession},
	}
}

// ownSessions lets callers use a route about their own sessions, if they have the permission on
// their own account.
func ownSessions(action auth.Action) access {
	return func(q *request) ([]auth.Access, error) {
		accesses, err := ownAccount(q)
		for i := range accesses {
			accesses[i].Action = action
		}
		return accesses, err
	}
}

// currentSession returns the ID of the session of the request, or "" for other credentials.
func (q *request) currentSession() string {
	id, _ := q.caller.Identity().Claims[session.Claim].(string)
	return id
}

// sessionOf returns a session as the API shows it, without what changes by itself or depends on the
// request.
func sessionOf(s *session.Session) types.Session {
	v := types.Session{ID: s.ID, Kind: "command-line", Created: s.Created.UTC(), Expires: s.Expires.UTC(),
		Address: s.Address, UserAgent: s.UserAgent}
	if s.Browser {
		v.Kind = "browser"
	}
	if s.Provider != nil {
		v.Provider = s.Provider.Name
	}
	return v
}

// shownSession returns a session as the API shows it.
func (q *request) shownSession(s *session.Session) types.Session {
	v := sessionOf(s)
	v.LastUsed, v.Current = s.LastUsed.UTC(), s.ID == q.currentSession()
	return v
}

func listSessions(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	identity := q.caller.Identity()
	list, next := types.SessionList{Items: []types.Session{}}, ""
	for s, err := range q.api.opts.Sessions.List(q.Context(), accountID(&identity), after) {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			next = list.Items[limit-1].ID
			break
		}
		list.Items = append(list.Items, q.shownSession(s))
	}
	return &response{body: list, next: next}, nil
}

// session returns the session of the path.
//
// Errors: errNotFound.
func (q *request) session() (*session.Session, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	identity := q.caller.Identity()
	s, err := q.api.opts.Sessions.Get(q.Context(), accountID(&identity), q.param("session"))
	if errors.Is(err, session.ErrUnknown) {
		return nil, errNotFound.WithMessage("there is no such session")
	}
	return s, err
}

func getSession(q *request) (*response, error) {
	s, err := q.session()
	if err != nil {
		return nil, err
	}
	r := found(q.shownSession(s))
	r.version = sessionOf(s)
	return r, nil
}

func endSession(q *request) (*response, error) {
	s, err := q.session()
	if err != nil {
		return nil, err
	}
	if err := q.match(sessionOf(s)); err != nil { // the version of a session never changes
		return nil, err
	}
	err = q.api.opts.Sessions.Revoke(q.Context(), s.Owner, s.ID)
	if errors.Is(err, session.ErrUnknown) {
		return nil, errNotFound.WithMessage("there is no such session")
	}
	return done(), err
}

func endOtherSessions(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	identity := q.caller.Identity()
	_, err := q.api.opts.Sessions.RevokeAll(q.Context(), accountID(&identity), q.currentSession())
	return done(), err
}
