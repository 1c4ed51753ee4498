package web

import (
	"net/http"
	"slices"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// profileViews are the views of the own account.
func profileViews() []view {
	return slices.Concat([]view{
		{name: "profile", method: "GET", path: "/profile", handle: showProfile},
		{name: "profile", method: "POST", path: "/profile", part: "users", handle: changeProfile},
		{name: "profile", method: "POST", path: "/profile/password", part: "password", handle: changePassword},
	}, stepViews(step{view: "profile", path: "/profile/links/{link}/remove", part: "links", ask: askOwnUnlink,
		do: ownUnlink}))
}

// profilePage is what the template "profile" shows.
type profilePage struct {
	Caller types.Caller
	// User is nil for callers without an account of a user.
	User         *types.User
	Tabs         []menuItem
	Notice       *notice
	Profile      *entry
	Visibilities []option
	// Password is nil if the caller cannot change a password here.
	Password *entry
	Rules    types.PasswordRules
	// Plain is true if the network could read a password.
	Plain       bool
	Memberships []types.Membership
	Next        string
	Links       []linkedProvider
	// LinkForms link the account at the providers that it is not linked to.
	LinkForms []linkForm
	// SignOut signs out, or is nil. Everywhere is true if the sender has sessions.
	SignOut    *form
	Everywhere bool
}

// linkedProvider is a person at a provider who can sign in as the sender.
type linkedProvider struct {
	types.Link
	Title string
}

// linkForm links the account to a person at a provider.
type linkForm struct {
	form
	Title string
}

// profileNotices are the texts after changes of the profile.
var profileNotices = map[string]string{
	"changed": "The profile was changed.", "unlinked": "The link to the provider was removed.",
	"linked": "The account is linked to the provider.", "password": "Your password was changed.",
}

// showProfile shows who the sender is, and what of the account the sender may change.
func showProfile(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	p := profilePage{Notice: q.notice(profileNotices), Tabs: q.ownTabs(), SignOut: q.page.signOutForm()}
	var err error
	if p.Caller, err = q.visitor.Caller(q.Context()); err != nil {
		return nil, err
	}
	if p.Caller.Kind == "user" && q.page.api.Has("users") && q.mayAccount(p.Caller.Name, auth.Read) {
		if err := q.fillProfile(&p); err != nil {
			return nil, err
		}
	}
	return q.show(q.language.Text("Profile"), p), nil
}

// fillProfile adds what there is about an account.
func (q *request) fillProfile(p *profilePage) error {
	user, version, err := q.visitor.User(q.Context(), p.Caller.Name)
	if err != nil {
		return err
	}
	p.User = &user
	page := q.listPage()
	if p.Memberships, err = collect(q.visitor.OnPage(page).Memberships(q.Context(), user.Name)); err != nil {
		return err
	}
	p.Next = q.next(page)
	if !q.mayAccount(user.Name, auth.Manage) {
		return nil
	}
	p.Visibilities = q.visibilities()
	p.Profile = q.entry("profile", version, "fullName", user.FullName, "email", user.Email, "visibility", user.Visibility)
	if p.Caller.Token == "" && q.page.api.Has("password") {
		p.Password, p.Plain = q.entry("password", ""), !q.confidential()
		if p.Rules, err = q.visitor.PasswordRules(q.Context()); err != nil {
			return err
		}
	}
	p.Everywhere = q.has("sessions")
	return q.fillLinks(p)
}

// fillLinks adds the persons at providers who can sign in as the sender, and the providers without one.
func (q *request) fillLinks(p *profilePage) error {
	if !q.page.api.Has("links") || p.Caller.Token != "" {
		return nil
	}
	links, err := q.visitor.Links(q.Context(), p.Caller.Name)
	if err != nil {
		return err
	}
	var providers []Provider
	signIn := q.page.opts.SignIn
	if signIn != nil {
		providers = signIn.Providers
	}
	titles := map[string]string{}
	for _, one := range providers {
		titles[one.Issuer] = one.Title
	}
	for _, link := range links {
		title := titles[link.Issuer]
		if title == "" {
			title = link.Issuer
		}
		p.Links = append(p.Links, linkedProvider{link, title})
	}
	for _, one := range providers {
		linked := slices.ContainsFunc(links, func(l types.Link) bool { return l.Issuer == one.Issuer })
		if one.Issuer == "" || linked {
			continue
		}
		back := withParams(q.page.path("profile"), "done", "linked")
		p.LinkForms = append(p.LinkForms, linkForm{Title: one.Title,
			form: form{URL: signIn.Path + "oidc/" + one.Name + "/link", Fields: []field{{Name: "return", Value: back}}}})
	}
	return nil
}

// ownTabs returns the links to the views of the own account.
func (q *request) ownTabs() []menuItem {
	tabs := []menuEntry{{true, "profile", "Profile"}}
	name := q.visitor.Identity().Name
	if q.mayAccount(name, auth.Manage) {
		tabs = append(tabs, menuEntry{true, "tokens", "Tokens"}, menuEntry{true, "sessions", "Sessions"})
	}
	items := q.menu(tabs)
	if len(tabs) > 1 {
		items = slices.Concat(items, q.ownRobots(), q.webhookTabs(name))
	}
	return items
}

func changeProfile(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	e := q.typed("profile")
	_, _, err := q.visitor.UpdateUser(q.Context(), q.visitor.Identity().Name, q.version(), q.profileChange(), nil)
	if err != nil {
		return q.refuse(e, err, showProfile, "fullName", "visibility")
	}
	return q.to(q.page.path("profile"), "done", "changed"), nil
}

// changePassword changes the own password. All sessions end, also that of the request.
func changePassword(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	e := q.typed("password")
	if !q.passwordSafe(e) || !q.repeated(e) {
		return q.again(e, showProfile)
	}
	err := q.visitor.ChangePassword(q.Context(), q.values.Get("old"), q.values.Get("password"))
	switch {
	case answeredWith(err, "WRONG_PASSWORD") != nil:
		e.status = http.StatusForbidden
		e.fail("old", q.language.Text("This is not your password."))
		return q.again(e, showProfile)
	case err != nil && q.blameLimit(e, err):
		return q.again(e, showProfile)
	case err != nil:
		return q.refuse(e, err, showProfile, "password")
	}
	if !q.page.api.Has("sessions") {
		return q.to(q.page.path("profile"), "done", "password"), nil
	}
	return q.toSignIn(q.visitor.Identity().Name, "password", q.page.path("profile")), nil
}

func ownUnlink(q *request) (*answer, error) {
	return q.to(q.page.path("profile"), "done", "unlinked"),
		q.visitor.Unlink(q.Context(), q.visitor.Identity().Name, q.param("link"), nil)
}
