package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// teamRoutes are the routes of the part teams. Members of the organisation read its teams, and owners change them.
func (a *API) teamRoutes() []route {
	const (
		teams = "/v1/organisations/{organisation}/teams"
		team  = teams + "/{team}"
	)
	return []route{
		{method: "GET", path: teams, access: readOrganisation, handle: listTeams},
		{method: "POST", path: teams, access: manageOrganisation, handle: createTeam},
		{method: "GET", path: team, access: readOrganisation, handle: getTeam},
		{method: "PATCH", path: team, access: manageOrganisation, conditional: true, handle: updateTeam},
		{method: "DELETE", path: team, access: manageOrganisation, conditional: true, handle: deleteTeam},
		{method: "GET", path: team + "/members", access: readOrganisation, handle: listTeamMembers},
		{method: "PUT", path: team + "/members/{user}", access: manageOrganisation, handle: joinTeam},
		{method: "DELETE", path: team + "/members/{user}", access: leavesOrganisation, handle: leaveTeam},
	}
}

// teamOf returns a team as the API shows it.
func teamOf(t *accounts.Team) types.Team {
	return types.Team{ID: string(t.ID), Name: t.Name, Description: t.Description, Created: t.Created.UTC(),
		Grants: allGrantsOf(t.Grants)}
}

// matchTeam is match for Actor.IfTeam.
func (q *request) matchTeam(current *accounts.Team) error { return q.match(teamOf(current)) }

// allGrantsOf is grantsOf for a field that is always present.
func allGrantsOf(grants []accounts.Grant) []types.Grant {
	return append([]types.Grant{}, grantsOf(grants)...)
}

// teamError returns the error for a team that does not exist with a text that says so.
func teamError(err error) error {
	if errors.Is(err, accounts.ErrUnknown) {
		return errNotFound.WithMessage("there is no team of this name, or the user is not in it")
	}
	return err
}

func listTeams(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	list := types.TeamList{Items: []types.Team{}}
	for team, err := range q.api.opts.Accounts.TeamsAfter(q.Context(), org.ID, after) {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			return &response{body: list, next: list.Items[limit-1].Name}, nil
		}
		list.Items = append(list.Items, teamOf(team))
	}
	return &response{body: list}, nil
}

func createTeam(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.NewTeam
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	team, err := q.api.opts.Accounts.CreateTeam(q.Context(), by, org.ID, body.Name,
		&accounts.TeamOptions{Description: body.Description, Grants: toGrants(body.Grants)})
	if err != nil {
		return nil, err
	}
	return created(fmt.Sprintf("/v1/organisations/%s/teams/%s", org.Name, team.Name), teamOf(team)), nil
}

func getTeam(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	team, err := q.api.opts.Accounts.Team(q.Context(), org.ID, q.param("team"))
	if err != nil {
		return nil, teamError(err)
	}
	return found(teamOf(team)), nil
}

func updateTeam(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.TeamChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	by.IfTeam = q.matchTeam
	team, err := q.api.opts.Accounts.UpdateTeam(q.Context(), by, org.ID, q.param("team"), func(t *accounts.Team) error {
		set(&t.Description, body.Description)
		if body.Grants != nil {
			t.Grants = toGrants(*body.Grants)
		}
		return nil
	})
	if err != nil {
		return nil, teamError(err)
	}
	return found(teamOf(team)), nil
}

func deleteTeam(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	by.IfTeam = q.matchTeam
	if err := q.api.opts.Accounts.RemoveTeam(q.Context(), by, org.ID, q.param("team")); err != nil {
		return nil, teamError(err)
	}
	if !q.matched { // another request has removed the team meanwhile
		return nil, teamError(accounts.ErrUnknown)
	}
	return done(), nil
}

func listTeamMembers(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	team, err := q.api.opts.Accounts.Team(q.Context(), org.ID, q.param("team"))
	if err != nil {
		return nil, teamError(err)
	}
	return q.memberPage(org.ID, func(m *accounts.Member) bool { return slices.Contains(m.Teams, team.Name) })
}

func joinTeam(q *request) (*response, error) {
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return teamError(q.api.opts.Accounts.JoinTeam(q.Context(), by, organisation, q.param("team"), user))
	})
}

func leaveTeam(q *request) (*response, error) {
	if err := q.leaving(); err != nil {
		return nil, err
	}
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return teamError(q.api.opts.Accounts.LeaveTeam(q.Context(), by, organisation, q.param("team"), user))
	})
}
