package web

import (
	"github.com/registrykit/registry/auth"
)

// userSteps are the changes of users that ask for a confirmation.
func userSteps() []step {
	const user = "/users/{user}"
	return []step{
		{view: "user", part: "users", path: user + "/disable", ask: askDisableUser, do: disableUser,
			texts: map[string]string{"IN_USE": "An admin cannot be disabled. Remove the admin rights first."}},
		{view: "user", part: "users", path: user + "/delete", ask: askDeleteUser, do: deleteUser,
			texts: map[string]string{
				"IN_USE": "An admin, or the owner of an organisation, cannot be deleted. Make somebody else the owner first."}},
		{view: "user", part: "users", path: user + "/remove-password", ask: askRemovePassword, do: removePassword},
		{view: "user", part: "admins", path: user + "/make-admin", ask: askMakeAdmin, do: makeAdmin},
		{view: "user", part: "admins", path: user + "/remove-admin", ask: askRemoveAdmin, do: removeAdmin,
			texts: map[string]string{"LAST": "The registry needs an admin. Make somebody else an admin first."}},
		{view: "user", part: "users", path: user + "/names/{name}/release", ask: askReleaseUserName, do: releaseUserName},
		{view: "user", part: "links", path: user + "/links/{link}/remove", ask: askUnlink, do: unlink},
	}
}

// askUser returns the confirmation of a change of the user in the path that only admins make.
func (q *request) askUser(title, button string, points ...string) (*confirmation, error) {
	if err := q.need(q.admin()); err != nil {
		return nil, err
	}
	user, version, err := q.visitor.User(q.Context(), q.param("user"))
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c := &confirmation{Title: t(title, user.Name), Button: t(button), Form: q.reasoned(q.asked(version)),
		Cancel: q.page.path("users", user.Name, "settings")}
	c.Points = q.texts(points)
	return c, nil
}

func askDisableUser(q *request) (*confirmation, error) {
	return q.askUser("Disable %s", "Disable the user", "Sessions, tokens and passwords no longer work at once.",
		"The robots of the user no longer work either.",
		"Repositories and memberships stay. You can enable the user again.")
}

func disableUser(q *request) (*answer, error) {
	_, _, err := q.visitor.DisableUser(q.Context(), q.param("user"), q.version(), q.changeOptions())
	return q.toUser("settings", "disabled"), err
}

func askDeleteUser(q *request) (*confirmation, error) {
	c, err := q.askUser("Delete %s", "Delete the user",
		"Tokens, sessions, robots and memberships of the user end for good.",
		"Repositories of the user stay. Only admins have access to them.", "Others cannot take the name for a time.")
	if err == nil {
		c.Typed = q.param("user")
	}
	return c, err
}

func deleteUser(q *request) (*answer, error) {
	err := q.visitor.DeleteUser(q.Context(), q.param("user"), q.version(), q.changeOptions())
	return q.to(q.page.path("users"), "done", "deleted"), err
}

func askRemovePassword(q *request) (*confirmation, error) {
	return q.askUser("Remove the password of %s", "Remove the password",
		"The user can then log in only with tokens, or through a provider.", "All sessions of the user end.")
}

func removePassword(q *request) (*answer, error) {
	err := q.visitor.RemovePassword(q.Context(), q.param("user"), q.version(), q.changeOptions())
	return q.toUser("settings", "no-password"), err
}

func askMakeAdmin(q *request) (*confirmation, error) {
	return q.askUser("Make %s an admin", "Make an admin",
		"Admins can see, change and delete everything in the registry, and all accounts.")
}

func makeAdmin(q *request) (*answer, error) {
	return q.toUser("settings", "admin"), q.visitor.AddAdmin(q.Context(), q.param("user"), q.changeOptions())
}

func askRemoveAdmin(q *request) (*confirmation, error) {
	return q.askUser("Remove the admin rights of %s", "Remove the admin rights",
		"The user keeps their repositories, teams and organisations.")
}

func removeAdmin(q *request) (*answer, error) {
	return q.toUser("settings", "no-admin"), q.visitor.RemoveAdmin(q.Context(), q.param("user"), q.changeOptions())
}

func askReleaseUserName(q *request) (*confirmation, error) {
	c, err := q.askUser("Release a former name of %s", "Release the name",
		"The former name no longer leads to the user. After a time, others can take it.")
	if err == nil {
		c.Points = append([]string{q.param("name")}, c.Points...)
	}
	return c, err
}

func releaseUserName(q *request) (*answer, error) {
	_, _, err := q.visitor.ReleaseUserName(q.Context(), q.param("user"), q.version(), q.param("name"), q.changeOptions())
	return q.toUser("settings", "released"), err
}

// askUnlink returns the confirmation for the removal of a link, which users also do themselves.
func askUnlink(q *request) (*confirmation, error) {
	name := q.param("user")
	return q.askLink(name, q.language.Text("Remove a sign-in of %s", name), q.page.path("users", name),
		"A user without a password and without providers can log in only with tokens.")
}

// askOwnUnlink returns the confirmation for the removal of a link of the sender.
func askOwnUnlink(q *request) (*confirmation, error) {
	return q.askLink(q.visitor.Identity().Name, q.language.Text("Remove a sign-in"), q.page.path("profile"),
		"Without a password and without another provider, you can log in only with tokens.")
}

// askLink returns the confirmation for the removal of the link in the path. after is what then holds, in English.
func (q *request) askLink(name, title, cancel, after string) (*confirmation, error) {
	if err := q.need(q.signedIn() && q.mayAccount(name, auth.Manage)); err != nil {
		return nil, err
	}
	links, err := q.visitor.Links(q.Context(), name)
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	for _, link := range links {
		if link.ID == q.param("link") {
			return &confirmation{Title: title, Button: t("Remove the sign-in"), Form: q.reasoned(q.asked("")),
				Cancel: cancel, Points: []string{
					t("%s at %s can no longer sign in as %s.", inert(link.Subject), inert(link.Issuer), name),
					t("The sessions that began with this sign-in end."), t(after),
				}}, nil
		}
	}
	return nil, errNotFound
}

func unlink(q *request) (*answer, error) {
	return q.toUser("", "unlinked"), q.visitor.Unlink(q.Context(), q.param("user"), q.param("link"), q.changeOptions())
}
