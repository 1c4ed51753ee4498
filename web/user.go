package web

import (
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// userViews are the views of users.
func userViews() []view {
	return slices.Concat([]view{
		{name: "users", method: "GET", path: "/users", part: "users", handle: showUsers},
		{name: "users", method: "GET", path: "/users/-/new", part: "users", handle: showNewUser},
		{name: "users", method: "POST", path: "/users/-/new", part: "users", handle: createUser},
		{name: "user", method: "GET", path: "/users/{user}", part: "users", handle: showUser},
		{name: "user", method: "GET", path: "/users/{user}/tokens", part: "tokens", handle: showUserTokens},
		{name: "user", method: "GET", path: "/users/{user}/settings", part: "users", handle: showUserSettings},
		{name: "user", method: "POST", path: "/users/{user}/profile", part: "users", handle: changeUserProfile},
		{name: "user", method: "POST", path: "/users/{user}/rename", part: "users", handle: renameUser},
		{name: "user", method: "POST", path: "/users/{user}/password", part: "users", handle: setUserPassword},
		{name: "user", method: "POST", path: "/users/{user}/enable", part: "users", handle: enableUser},
	}, tokenActions(userTokens()), stepViews(userSteps()...))
}

// userList is what the template "users" shows.
type userList struct {
	Query, State string
	States       []option
	Users        []types.User
	Next         string
	Notice       *notice
}

// showUsers shows all users to admins.
func showUsers(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameAccounts, auth.Read)); err != nil {
		return nil, err
	}
	t := q.language.Text
	list := userList{Query: q.value("q"), State: q.value("state"),
		States: []option{{"", t("all")}, {"active", t("active")}, {"disabled", t("disabled")}},
		Notice: q.notice(map[string]string{"deleted": "The user was deleted."})}
	opts := &client.UsersOptions{Query: list.Query}
	if list.State != "" {
		disabled := list.State == "disabled"
		opts.Disabled = &disabled
	}
	page := q.listPage()
	var err error
	if list.Users, err = collect(q.visitor.OnPage(page).Users(q.Context(), opts)); err != nil {
		return nil, err
	}
	list.Next = q.next(page)
	return q.show(t("Users"), list), nil
}

// accountForm is what the templates "user-new" and "organisation-new" show.
type accountForm struct {
	Form *entry
	// Admin reports whether the sender may take reserved names and choose the owner.
	Admin bool
	// Plain is true if the network could read a password.
	Plain        bool
	Visibilities []option
}

// visibilities are the choices of the visibility of a namespace.
func (q *request) visibilities() []option {
	t := q.language.Text
	return []option{{"private", t("private: only people with permission see them")},
		{"public", t("public: everybody can pull them")}}
}

// showNewUser shows the form for a new user.
func showNewUser(q *request) (*answer, error) {
	if err := q.need(q.admin()); err != nil {
		return nil, err
	}
	e := q.reasoned(q.entry("user", "", "visibility", "private"))
	return &answer{title: q.language.Text("New user"), template: "user-new",
		data: accountForm{Form: e, Admin: true, Plain: !q.confidential(), Visibilities: q.visibilities()}}, nil
}

func createUser(q *request) (*answer, error) {
	e := q.typed("user")
	if !q.passwordSafe(e) {
		return q.again(e, showNewUser)
	}
	user, _, err := q.visitor.CreateUser(q.Context(), types.NewUser{Name: q.value("name"),
		Password: q.values.Get("password"), FullName: q.value("fullName"), Email: q.value("email"),
		Visibility: q.value("visibility")}, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showNewUser, "name", "password", "fullName", "visibility", "reason")
	}
	return q.to(q.page.path("users", user.Name), "done", "created"), nil
}
