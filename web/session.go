package web

import (
	"errors"
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// sessionViews are the views of the own sessions.
func sessionViews() []view {
	return []view{
		{name: "sessions", method: "GET", path: "/sessions", part: "sessions", handle: showSessions},
		{name: "sessions", method: "POST", path: "/sessions", part: "sessions", handle: endOtherSessions},
		{name: "sessions", method: "POST", path: "/sessions/everywhere", part: "sessions", handle: endAllSessions},
		{name: "sessions", method: "POST", path: "/sessions/{session}/end", part: "sessions", handle: endSession},
	}
}

// sessionPage is what the template "sessions" shows.
type sessionPage struct {
	Tabs     []menuItem
	Notice   *notice
	Sessions []sessionRow
	Next     string
	// Others is true if there is a session beside that of the request.
	Others bool
	// SignOut ends the session of the request, or is nil.
	SignOut *form
}

// sessionRow is a session with its device in words.
type sessionRow struct {
	types.Session
	Device string
}

// showSessions shows the sessions of the sender, that of the request first.
func showSessions(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	page := q.listPage()
	sessions, err := collect(q.visitor.OnPage(page).Sessions(q.Context()))
	if err != nil {
		return nil, unlessDenied(err)
	}
	p := sessionPage{Tabs: q.ownTabs(), Next: q.next(page), SignOut: q.page.signOutForm(),
		Notice: q.notice(map[string]string{"ended": "The session has ended.", "others": "All other sessions have ended."})}
	slices.SortFunc(sessions, func(a, b types.Session) int {
		if a.Current != b.Current {
			return map[bool]int{true: -1, false: 1}[a.Current]
		}
		return b.LastUsed.Compare(a.LastUsed)
	})
	for _, s := range sessions {
		p.Sessions = append(p.Sessions, sessionRow{s, device(q.language, s.Kind, s.UserAgent)})
		p.Others = p.Others || !s.Current
	}
	return q.show(q.language.Text("Sessions"), p), nil
}

func endOtherSessions(q *request) (*answer, error) {
	if err := q.visitor.EndOtherSessions(q.Context()); err != nil {
		return nil, unlessDenied(err)
	}
	return q.to(q.page.path("sessions"), "done", "others"), nil
}

// endAllSessions ends all sessions, that of the request last, so that a failure leaves the sender signed in.
func endAllSessions(q *request) (*answer, error) {
	if err := q.visitor.EndOtherSessions(q.Context()); err != nil {
		return nil, unlessDenied(err)
	}
	for s, err := range q.visitor.Sessions(q.Context()) {
		if err == nil && s.Current {
			err = q.visitor.EndSession(q.Context(), s.ID, "*")
		}
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return nil, err
		}
	}
	if !q.has("sign-out") {
		return q.to(q.page.opts.Path), nil
	}
	return q.to(q.page.path("sign-out"), "done", "everywhere"), nil
}

// endSession ends a session. A session that has ended meanwhile is what the sender wants.
func endSession(q *request) (*answer, error) {
	err := q.visitor.EndSession(q.Context(), q.param("session"), "*")
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return nil, unlessDenied(err)
	}
	return q.to(q.page.path("sessions"), "done", "ended"), nil
}
