package web

import (
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// userSettings is what the template "user-settings" shows.
type userSettings struct {
	*userPage
	Profile, Rename, Password *entry
	Visibilities              []option
	// Plain is true if the network could read a password.
	Plain bool
}

// showUserSettings shows the forms that change a user.
func showUserSettings(q *request) (*answer, error) {
	p, err := q.userPage("settings")
	if err != nil {
		return nil, err
	}
	if err := q.need(q.mayAccount(p.User.Name, auth.Manage)); err != nil {
		return nil, err
	}
	u := &p.User
	s := userSettings{userPage: p, Plain: !q.confidential(), Visibilities: q.visibilities(),
		Profile: q.entry("profile", p.Version, "fullName", u.FullName, "email", u.Email, "visibility", u.Visibility),
		Rename:  q.reasoned(q.entry("rename", p.Version)), Password: q.reasoned(q.entry("password", p.Version))}
	return &answer{title: q.language.Text("Settings of %s", u.Name), template: "user-settings", data: s}, nil
}

// profileChange returns the change of a profile that a form has sent.
func (q *request) profileChange() types.ProfileChange {
	fullName, email, visibility := q.value("fullName"), q.value("email"), q.value("visibility")
	return types.ProfileChange{FullName: &fullName, Email: &email, Visibility: &visibility}
}

func changeUserProfile(q *request) (*answer, error) {
	e := q.typed("profile")
	_, _, err := q.visitor.UpdateUser(q.Context(), q.param("user"), q.version(), q.profileChange(), q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showUserSettings, "fullName", "visibility")
	}
	return q.toUser("settings", "changed"), nil
}

func renameUser(q *request) (*answer, error) {
	e := q.typed("rename")
	user, _, err := q.visitor.RenameUser(q.Context(), q.param("user"), q.version(), q.value("name"), q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showUserSettings, "name", "reason")
	}
	return q.to(q.page.path("users", user.Name), "done", "renamed"), nil
}

func setUserPassword(q *request) (*answer, error) {
	e := q.typed("password")
	if !q.passwordSafe(e) {
		return q.again(e, showUserSettings)
	}
	err := q.visitor.SetPassword(q.Context(), q.param("user"), q.version(), q.values.Get("password"), q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showUserSettings, "password", "reason")
	}
	return q.toUser("settings", "password"), nil
}

func enableUser(q *request) (*answer, error) {
	if _, _, err := q.visitor.EnableUser(q.Context(), q.param("user"), q.version(), q.changeOptions()); err != nil {
		return nil, err
	}
	return q.toUser("", "enabled"), nil
}

// toUser returns the redirect to a tab of the user in the path after a change.
func (q *request) toUser(tab, done string) *answer {
	segments := []string{"users", q.param("user")}
	if tab != "" {
		segments = append(segments, tab)
	}
	return q.to(q.page.path(segments...), "done", done)
}
