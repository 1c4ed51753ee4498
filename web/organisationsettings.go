package web

import (
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/auth"
)

// organisationSettings is what the template "organisation-settings" shows.
type organisationSettings struct {
	*organisationPage
	Profile, Rename *entry
	Visibilities    []option
}

// showOrganisationSettings shows the forms that change an organisation.
func showOrganisationSettings(q *request) (*answer, error) {
	p, err := q.organisationPage("settings")
	if err != nil {
		return nil, err
	}
	if err := q.need(p.Owner); err != nil {
		return nil, err
	}
	o := &p.Organisation
	s := organisationSettings{organisationPage: p, Visibilities: q.visibilities(),
		Profile: q.entry("profile", p.Version, "fullName", o.FullName, "email", o.Email, "visibility", o.Visibility),
		Rename:  q.reasoned(q.entry("rename", p.Version))}
	return &answer{title: q.language.Text("Settings of %s", o.Name), template: "organisation-settings", data: s}, nil
}

func changeOrganisationProfile(q *request) (*answer, error) {
	e := q.typed("profile")
	_, _, err := q.visitor.UpdateOrganisation(q.Context(), q.param("organisation"), q.version(), q.profileChange(),
		q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showOrganisationSettings, "fullName", "visibility")
	}
	return q.toOrganisation("settings", "changed"), nil
}

func renameOrganisation(q *request) (*answer, error) {
	e := q.typed("rename")
	made, _, err := q.visitor.RenameOrganisation(q.Context(), q.param("organisation"), q.version(), q.value("name"),
		q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showOrganisationSettings, "name", "reason")
	}
	return q.to(q.page.path("organisations", made.Name), "done", "renamed"), nil
}

func enableOrganisation(q *request) (*answer, error) {
	_, _, err := q.visitor.EnableOrganisation(q.Context(), q.param("organisation"), q.version(), q.changeOptions())
	return q.toOrganisation("settings", "enabled"), err
}

// organisationSteps are the changes of organisations and members that ask for a confirmation.
func organisationSteps() []step {
	const one, part = "/organisations/{organisation}", "organisations"
	return []step{
		{view: "organisation", part: part, path: one + "/disable", ask: askDisableOrganisation, do: disableOrganisation},
		{view: "organisation", part: part, path: one + "/delete", ask: askDeleteOrganisation, do: deleteOrganisation},
		{view: "organisation", part: part, path: one + "/names/{name}/release", ask: askReleaseOrganisationName,
			do: releaseOrganisationName},
		{view: "organisation", part: part, path: one + "/members/{user}/remove", ask: askRemoveMember, do: doRemoveMember,
			texts: map[string]string{"LAST": "An organisation needs an owner. Make somebody else an owner first."}},
	}
}

// askOrganisation returns the confirmation of a change of the organisation in the path.
func (q *request) askOrganisation(may bool, title, button string, points ...string) (*confirmation, error) {
	if err := q.need(may); err != nil {
		return nil, err
	}
	o, version, err := q.visitor.Organisation(q.Context(), q.param("organisation"))
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c := &confirmation{Title: t(title, o.Name), Button: t(button), Form: q.reasoned(q.asked(version)),
		Cancel: q.page.path("organisations", o.Name, "settings")}
	c.Points = q.texts(points)
	return c, nil
}

// ownsOrganisation reports whether the sender may change the organisation in the path.
func (q *request) ownsOrganisation() bool { return q.mayAccount(q.param("organisation"), auth.Manage) }

func askDisableOrganisation(q *request) (*confirmation, error) {
	return q.askOrganisation(q.admin(), "Disable %s", "Disable the organisation",
		"Its members, teams and robots no longer have the permissions that it gives.",
		"Nothing is deleted. You can enable it again.")
}

func disableOrganisation(q *request) (*answer, error) {
	_, _, err := q.visitor.DisableOrganisation(q.Context(), q.param("organisation"), q.version(), q.changeOptions())
	return q.toOrganisation("settings", "disabled"), err
}

func askDeleteOrganisation(q *request) (*confirmation, error) {
	c, err := q.askOrganisation(q.ownsOrganisation(), "Delete %s", "Delete the organisation",
		"Its teams, robots and memberships end for good.", "Others cannot take the name for a time.")
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c.Typed, c.ChoiceName, c.ChoiceLabel = q.param("organisation"), "repositories", t("Its repositories")
	c.Choices = []option{{"refuse", t("Delete the organisation only if it has none")},
		{client.DeleteRepositories, t("Delete them, too")}}
	if q.admin() {
		c.Choices = append(c.Choices, option{client.KeepRepositories, t("Keep them; only admins have access to them")})
	}
	if !c.Form.values.Has("repositories") {
		c.Form.values.Set("repositories", "refuse")
	}
	return c, nil
}

func deleteOrganisation(q *request) (*answer, error) {
	what := q.value("repositories")
	if what == "refuse" {
		what = client.RefuseRepositories
	}
	err := q.visitor.DeleteOrganisation(q.Context(), q.param("organisation"), q.version(), what, q.changeOptions())
	return q.to(q.page.path("organisations"), "done", "deleted"), err
}

func askReleaseOrganisationName(q *request) (*confirmation, error) {
	c, err := q.askOrganisation(q.ownsOrganisation(), "Release a former name of %s", "Release the name",
		"The former name no longer leads to the organisation. After a time, others can take it.")
	if err == nil {
		c.Points = append([]string{q.param("name")}, c.Points...)
	}
	return c, err
}

func releaseOrganisationName(q *request) (*answer, error) {
	_, _, err := q.visitor.ReleaseOrganisationName(q.Context(), q.param("organisation"), q.version(), q.param("name"),
		q.changeOptions())
	return q.toOrganisation("settings", "released"), err
}
