package web

import (
	"errors"
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// userPage is what all views of a user show.
type userPage struct {
	User    types.User
	Version client.Version
	// Own reports whether the user is the sender, and Manager whether the sender is an admin.
	Own, Manager bool
	// IsAdmin reports whether the user is an admin, as far as the sender may know it.
	IsAdmin bool
	Tabs    []menuItem
	Notice  *notice
}

// userNotices are the texts after changes of a user.
func userNotices() map[string]string {
	return map[string]string{
		"created": "The user was created.", "changed": "The profile was changed.", "renamed": "The user was renamed.",
		"released": "The former name was released.", "disabled": "The user was disabled. Sessions and tokens no longer work.",
		"enabled": "The user was enabled.", "password": "The password was set. All sessions have ended.",
		"no-password": "The password was removed. All sessions have ended.", "admin": "The user is an admin now.",
		"no-admin": "The user is no longer an admin.", "unlinked": "The link to the provider was removed.",
		"token-revoked": "The token was revoked.",
	}
}

// userPage reads the user in the path. current is the tab: "", "tokens" or "settings".
func (q *request) userPage(current string) (*userPage, error) {
	name := q.param("user")
	if err := q.need(q.mayAccount(name, auth.Read)); err != nil {
		return nil, err
	}
	p := &userPage{Own: q.visitor.Identity().Name == name, Manager: q.admin(), Notice: q.notice(userNotices())}
	var err error
	if p.User, p.Version, err = q.visitor.User(q.Context(), name); err != nil {
		return nil, unlessDenied(err)
	}
	if q.mayRegistry(auth.NameAccounts, auth.Read) {
		admins, err := q.visitor.Admins(q.Context())
		if err != nil {
			return nil, err
		}
		p.IsAdmin = slices.ContainsFunc(admins, func(a types.Admin) bool { return a.ID == p.User.ID })
	}
	p.Tabs = q.userTabs(name, current)
	return p, nil
}

// userTabs returns the links to the views of a user that the sender may see.
func (q *request) userTabs(name, current string) []menuItem {
	t := q.language.Text
	tabs := []menuItem{tab(t("Overview"), q.page.path("users", name), current == "")}
	if q.mayAccount(name, auth.Manage) {
		if q.page.api.Has("tokens") {
			tabs = append(tabs, tab(t("Tokens"), q.page.path("users", name, "tokens"), current == "tokens"))
		}
		if q.has("robots") {
			tabs = append(tabs, tab(t("Robots"), q.page.path("robots", name), current == "robots"))
		}
		tabs = append(tabs, q.webhookTabs(name)...)
		tabs = append(tabs, tab(t("Settings"), q.page.path("users", name, "settings"), current == "settings"))
	}
	return tabs
}

// userOverview is what the template "user" shows.
type userOverview struct {
	*userPage
	Memberships []types.Membership
	Links       []types.Link
	Next        string
	// MayUnlink reports whether the sender may remove links.
	MayUnlink bool
}

// showUser shows a user with the organisations, and the persons at providers who can sign in as the user.
func showUser(q *request) (*answer, error) {
	p, err := q.userPage("")
	if err != nil {
		return nil, err
	}
	view := userOverview{userPage: p, MayUnlink: q.mayAccount(p.User.Name, auth.Manage)}
	page := q.listPage()
	view.Memberships, err = collect(q.visitor.OnPage(page).Memberships(q.Context(), p.User.Name))
	if err != nil {
		return nil, err
	}
	view.Next = q.next(page)
	if q.page.api.Has("links") {
		if view.Links, err = q.visitor.Links(q.Context(), p.User.Name); err != nil && !errors.Is(err, client.ErrDenied) {
			return nil, err
		}
	}
	return q.show(p.User.Name, view), nil
}

// userTokens is the place of the tokens of a user.
func userTokens() tokenPlace {
	account := func(q *request) string { return q.param("user") }
	list := func(q *request) string { return q.page.path("users", account(q), "tokens") }
	return tokenPlace{view: "user", path: "/users/{user}/tokens", account: account, actions: list, list: list}
}

// userTokenList is what the template "user-tokens" shows.
type userTokenList struct {
	*userPage
	Tokens *tokenTable
}

// showUserTokens shows the tokens of a user.
func showUserTokens(q *request) (*answer, error) {
	p, err := q.userPage("tokens")
	if err != nil {
		return nil, err
	}
	place := userTokens()
	tokens, err := q.tokenTable(&place, q.mayAccount(p.User.Name, auth.Manage))
	if err != nil {
		return nil, unlessDenied(err)
	}
	return &answer{title: q.language.Text("Tokens of %s", p.User.Name), template: "user-tokens",
		data: userTokenList{p, tokens}}, nil
}
