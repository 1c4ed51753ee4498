package web

import (
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// organisationViews are the views of organisations.
func organisationViews() []view {
	const all, one, part = "/organisations", "/organisations/{organisation}", "organisations"
	return slices.Concat([]view{
		{name: "organisations", method: "GET", path: all, part: part, handle: showOrganisations},
		{name: "organisations", method: "GET", path: all + "/-/new", part: part, handle: showNewOrganisation},
		{name: "organisations", method: "POST", path: all + "/-/new", part: part, handle: createOrganisation},
		{name: "organisation", method: "GET", path: one, part: part, handle: showMembers},
		{name: "organisation", method: "POST", path: one + "/members", part: part, handle: addMember},
		{name: "organisation", method: "POST", path: one + "/owners/add", part: part, handle: addOwner},
		{name: "organisation", method: "POST", path: one + "/owners/remove", part: part, handle: removeOwner},
		{name: "organisation", method: "GET", path: one + "/settings", part: part, handle: showOrganisationSettings},
		{name: "organisation", method: "POST", path: one + "/profile", part: part, handle: changeOrganisationProfile},
		{name: "organisation", method: "POST", path: one + "/rename", part: part, handle: renameOrganisation},
		{name: "organisation", method: "POST", path: one + "/enable", part: part, handle: enableOrganisation},
	}, stepViews(organisationSteps()...))
}

// organisationList is what the template "organisations" shows.
type organisationList struct {
	Organisations []types.Organisation
	// Creates reports whether the sender may create organisations, and All whether the list has those of others.
	Creates, All bool
	Next         string
	Notice       *notice
}

// showOrganisations shows the organisations of the sender, and all to admins.
func showOrganisations(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	caller, err := q.visitor.Caller(q.Context())
	if err != nil {
		return nil, err
	}
	list := organisationList{Creates: caller.CreatesOrganisations, All: q.mayRegistry(auth.NameAccounts, auth.Read),
		Notice: q.notice(map[string]string{"deleted": "The organisation was deleted.",
			"left": "You have left the organisation."})}
	page := q.listPage()
	if list.Organisations, err = collect(q.visitor.OnPage(page).Organisations(q.Context())); err != nil {
		return nil, err
	}
	list.Next = q.next(page)
	return q.show(q.language.Text("Organisations"), list), nil
}

// showNewOrganisation shows the form for a new organisation.
func showNewOrganisation(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	caller, err := q.visitor.Caller(q.Context())
	if err != nil {
		return nil, err
	}
	if err := q.need(caller.CreatesOrganisations); err != nil {
		return nil, err
	}
	e := q.reasoned(q.entry("organisation", "", "visibility", "private", "owner", caller.Name))
	return &answer{title: q.language.Text("New organisation"), template: "organisation-new",
		data: accountForm{Form: e, Admin: caller.Admin, Visibilities: q.visibilities()}}, nil
}

func createOrganisation(q *request) (*answer, error) {
	e := q.typed("organisation")
	made, _, err := q.visitor.CreateOrganisation(q.Context(), types.NewOrganisation{Name: q.value("name"),
		Owner: q.value("owner"), FullName: q.value("fullName"), Email: q.value("email"),
		Visibility: q.value("visibility")}, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showNewOrganisation, "name", "owner", "fullName", "visibility", "reason")
	}
	return q.to(q.page.path("organisations", made.Name), "done", "created"), nil
}

// organisationPage is what all views of an organisation show.
type organisationPage struct {
	Organisation types.Organisation
	Version      client.Version
	// Owner reports whether the sender may change the organisation, and Manager whether the sender is an admin.
	Owner, Manager bool
	// Caller is the name of the sender.
	Caller string
	Tabs   []menuItem
	Notice *notice
}

// organisationNotices are the texts after changes of an organisation, its members and its teams.
func organisationNotices() map[string]string {
	return map[string]string{
		"created": "The organisation was created.", "changed": "The profile was changed.",
		"renamed": "The organisation was renamed.", "released": "The former name was released.",
		"disabled": "The organisation was disabled.", "enabled": "The organisation was enabled.",
		"added": "The user is a member now.", "owner": "The user is an owner now.",
		"no-owner": "The user is no longer an owner.", "removed": "The user is no longer a member.",
		"team-created": "The team was created.", "team-deleted": "The team was deleted.",
		"team-changed": "The team was changed.", "joined": "The user is in the team now.",
		"left-team": "The user is no longer in the team.", "robot-deleted": "The robot was deleted.",
	}
}

// organisationPage reads the organisation in the path. current is the tab: "", "teams", "robots" or "settings".
func (q *request) organisationPage(current string) (*organisationPage, error) {
	name := q.param("organisation")
	if err := q.need(q.mayAccount(name, auth.Read)); err != nil {
		return nil, err
	}
	p := &organisationPage{Owner: q.mayAccount(name, auth.Manage), Manager: q.admin(),
		Caller: q.visitor.Identity().Name, Notice: q.notice(organisationNotices())}
	var err error
	if p.Organisation, p.Version, err = q.visitor.Organisation(q.Context(), name); err != nil {
		return nil, unlessDenied(err)
	}
	p.Tabs = q.organisationTabs(name, current)
	return p, nil
}

// organisationTabs returns the links to the views of an organisation that the sender may see.
func (q *request) organisationTabs(name, current string) []menuItem {
	t := q.language.Text
	tabs := []menuItem{tab(t("Members"), q.page.path("organisations", name), current == "")}
	if q.has("team") {
		tabs = append(tabs, tab(t("Teams"), q.page.path("organisations", name, "teams"), current == "teams"))
	}
	if q.mayAccount(name, auth.Manage) {
		if q.has("robots") {
			tabs = append(tabs, tab(t("Robots"), q.page.path("robots", name), current == "robots"))
		}
		tabs = append(tabs, q.webhookTabs(name)...)
		tabs = append(tabs, tab(t("Settings"), q.page.path("organisations", name, "settings"), current == "settings"))
	}
	return tabs
}

// toOrganisation returns the redirect to a tab of the organisation in the path after a change.
func (q *request) toOrganisation(tab, done string) *answer {
	segments := []string{"organisations", q.param("organisation")}
	if tab != "" {
		segments = append(segments, tab)
	}
	return q.to(q.page.path(segments...), "done", done)
}
