package web

import (
	"context"
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// teamViews are the views of teams.
func teamViews() []view {
	const all, part = "/organisations/{organisation}/teams", "teams"
	const one = all + "/{team}"
	return slices.Concat([]view{
		{name: "team", method: "GET", path: all, part: part, handle: showTeams},
		{name: "team", method: "GET", path: all + "/-/new", part: part, handle: showNewTeam},
		{name: "team", method: "POST", path: all + "/-/new", part: part, handle: createTeam},
		{name: "team", method: "GET", path: one, part: part, handle: showTeam},
		{name: "team", method: "POST", path: one + "/description", part: part, handle: describeTeam},
		{name: "team", method: "POST", path: one + "/grants", part: part, handle: changeTeamGrants},
		{name: "team", method: "POST", path: one + "/members/add", part: part, handle: joinTeam},
		{name: "team", method: "POST", path: one + "/members/remove", part: part, handle: leaveTeam},
	}, stepViews(step{view: "team", part: part, path: one + "/delete", ask: askDeleteTeam, do: deleteTeam}))
}

// teamList is what the template "teams" shows.
type teamList struct {
	*organisationPage
	Teams []types.Team
	Next  string
}

// showTeams shows the teams of an organisation.
func showTeams(q *request) (*answer, error) {
	p, err := q.organisationPage("teams")
	if err != nil {
		return nil, err
	}
	list, page := teamList{organisationPage: p}, q.listPage()
	if list.Teams, err = collect(q.visitor.OnPage(page).Teams(q.Context(), p.Organisation.Name)); err != nil {
		return nil, err
	}
	list.Next = q.next(page)
	return &answer{title: q.language.Text("Teams of %s", p.Organisation.Name), template: "teams", data: list}, nil
}

// teamPage is what the templates "team" and "team-new" show.
type teamPage struct {
	*organisationPage
	Team        types.Team
	Version     client.Version
	Members     []types.Member
	Next        string
	Grants      *grantForm
	Description *entry
	Add         *entry
}

// teamHint says what the patterns of a team are relative to.
func (q *request) teamHint(namespace string) string {
	return q.language.Text("A pattern is relative to %s: app is %s/app, app/** is app and all below it, and ** is all.",
		namespace, namespace)
}

// showNewTeam shows the form for a new team.
func showNewTeam(q *request) (*answer, error) {
	p, err := q.organisationPage("teams")
	if err != nil {
		return nil, err
	}
	if err := q.need(p.Owner); err != nil {
		return nil, err
	}
	e := q.entry("team", "")
	return &answer{title: q.language.Text("New team"), template: "team-new", data: teamPage{organisationPage: p,
		Description: e, Grants: q.grantForm(e, nil, 3, q.teamHint(p.Organisation.Name))}}, nil
}

func createTeam(q *request) (*answer, error) {
	e, name := q.typed("team"), q.param("organisation")
	team, _, err := q.visitor.CreateTeam(q.Context(), name, types.NewTeam{Name: q.value("name"),
		Description: q.value("description"), Grants: q.grants()}, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showNewTeam, "name", "description", "pattern")
	}
	return q.to(q.page.path("organisations", name, "teams", team.Name), "done", "team-created"), nil
}

// showTeam shows a team with its grants and its members.
func showTeam(q *request) (*answer, error) {
	p, err := q.organisationPage("teams")
	if err != nil {
		return nil, err
	}
	name, view := p.Organisation.Name, teamPage{organisationPage: p}
	if view.Team, view.Version, err = q.visitor.Team(q.Context(), name, q.param("team")); err != nil {
		return nil, err
	}
	page := q.listPage()
	view.Members, err = collect(q.visitor.OnPage(page).TeamMembers(q.Context(), name, view.Team.Name))
	if err != nil {
		return nil, err
	}
	view.Next = q.next(page)
	view.Grants = q.grantForm(q.entry("grants", view.Version), view.Team.Grants, 1, q.teamHint(name))
	view.Description = q.entry("description", view.Version, "description", view.Team.Description)
	view.Add = q.entry("add", "")
	return q.show(q.language.Text("Team %s of %s", view.Team.Name, name), view), nil
}

func describeTeam(q *request) (*answer, error) {
	e, text := q.typed("description"), q.value("description")
	return q.updateTeam(e, types.TeamChange{Description: &text}, "description")
}

func changeTeamGrants(q *request) (*answer, error) {
	e, grants := q.typed("grants"), q.grants()
	return q.updateTeam(e, types.TeamChange{Grants: &grants}, "pattern")
}

// updateTeam changes the team in the path.
func (q *request) updateTeam(e *entry, to types.TeamChange, field string) (*answer, error) {
	_, _, err := q.visitor.UpdateTeam(q.Context(), q.param("organisation"), q.param("team"), q.version(), to,
		q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showTeam, field)
	}
	return q.toTeam("team-changed"), nil
}

// toTeam returns the redirect to the team in the path after a change.
func (q *request) toTeam(done string) *answer {
	return q.to(q.page.path("organisations", q.param("organisation"), "teams", q.param("team")), "done", done)
}

func joinTeam(q *request) (*answer, error) { return q.changeTeamMember(q.visitor.JoinTeam, "joined") }

func leaveTeam(q *request) (*answer, error) {
	return q.changeTeamMember(q.visitor.LeaveTeam, "left-team")
}

// changeTeamMember adds a member to the team in the path, or removes one.
func (q *request) changeTeamMember(change func(ctx context.Context, organisation, team, user string,
	opts *client.ChangeOptions) error, done string) (*answer, error) {
	e := q.typed("add")
	if !q.userTyped(e, q.value("user")) {
		return q.again(e, showTeam)
	}
	err := change(q.Context(), q.param("organisation"), q.param("team"), q.value("user"), q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showTeam, "user")
	}
	return q.toTeam(done), nil
}

func askDeleteTeam(q *request) (*confirmation, error) {
	if err := q.need(q.ownsOrganisation()); err != nil {
		return nil, err
	}
	name := q.param("organisation")
	team, version, err := q.visitor.Team(q.Context(), name, q.param("team"))
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	return &confirmation{Title: t("Delete the team %s", team.Name), Button: t("Delete the team"),
		Points: []string{t("Its members no longer have the permissions that it gives."),
			t("They stay members of %s. This cannot be undone.", name)},
		Form: q.reasoned(q.asked(version)), Cancel: q.page.path("organisations", name, "teams", team.Name)}, nil
}

func deleteTeam(q *request) (*answer, error) {
	err := q.visitor.DeleteTeam(q.Context(), q.param("organisation"), q.param("team"), q.version(), q.changeOptions())
	return q.toOrganisation("teams", "team-deleted"), err
}
