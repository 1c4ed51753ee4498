package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/registrytest"
)

// withAccounts adds the parts about accounts to a site.
func withAccounts(s *site, opts *api.Options) { opts.Accounts = s.people }

func TestOrganisation(t *testing.T) {
	s := newSite(t, withAccounts)
	var org types.Organisation
	made := s.do(t, "bob", "POST", "/v1/organisations", types.NewOrganisation{Name: "apex", FullName: "Apex Ltd"})
	made.want(201).into(&org)
	require.Equal(t, "/api/v1/organisations/apex", made.header.Get("Location"))
	require.Equal(t, types.Organisation{ID: org.ID, Name: "apex", FullName: "Apex Ltd", Visibility: "private",
		Created: org.Created}, org)
	require.Equal(t, made.header.Get("ETag"), s.do(t, "bob", "GET", "/v1/organisations/apex", nil).header.Get("ETag"))
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "apex"}).fails(409, "TAKEN")
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "admin"}).fails(409, "TAKEN")
	s.do(t, "ann", "POST", "/v1/organisations?force=true", types.NewOrganisation{Name: "admin"}).fails(403, "DENIED")
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "x"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/organisations?force=true&reason=ours", types.NewOrganisation{Name: "admin"}).want(201)

	public, name := "public", "Apex"
	change := types.ProfileChange{Visibility: &public, FullName: &name}
	changed := s.do(t, "bob", "PATCH", "/v1/organisations/apex", change, made.ifMatch())
	changed.want(200).into(&org)
	require.Equal(t, "public Apex", org.Visibility+" "+org.FullName)
	s.do(t, "bob", "PATCH", "/v1/organisations/apex", change, made.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "bob", "PATCH", "/v1/organisations/apex", change).fails(428, "PRECONDITION_REQUIRED")

	s.do(t, "bob", "POST", "/v1/organisations/apex/rename", types.Name{Name: "zenith"}, made.ifMatch()).
		fails(412, "PRECONDITION_FAILED")
	s.do(t, "bob", "POST", "/v1/organisations/apex/rename", types.Name{Name: "zenith"}).want(200).into(&org)
	require.Equal(t, []string{"apex"}, org.FormerNames)
	s.do(t, "bob", "GET", "/v1/organisations/apex", nil).fails(404, "NOT_FOUND")
	s.do(t, "bob", "POST", "/v1/organisations/zenith/release", types.Name{Name: "apex"}, changed.ifMatch()).
		fails(412, "PRECONDITION_FAILED")
	var released types.Organisation
	s.do(t, "bob", "POST", "/v1/organisations/zenith/release", types.Name{Name: "apex"}).want(200).into(&released)
	require.Empty(t, released.FormerNames)

	s.do(t, "bob", "POST", "/v1/organisations/zenith/disable", nil).fails(403, "DENIED")
	disabled := s.do(t, "boss", "POST", "/v1/organisations/zenith/disable?reason=abuse", nil).want(200)
	disabled.into(&org)
	require.Equal(t, "boss abuse", org.Disabled.By+" "+org.Disabled.Reason)
	s.do(t, "bob", "POST", "/v1/organisations/zenith/enable", nil).fails(403, "DENIED")
	var enabled types.Organisation
	s.do(t, "boss", "POST", "/v1/organisations/zenith/enable", nil, disabled.ifMatch()).want(200).into(&enabled)
	require.Nil(t, enabled.Disabled)

	s.do(t, "bob", "DELETE", "/v1/organisations/zenith", nil).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "bob", "DELETE", "/v1/organisations/zenith", nil, disabled.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "bob", "DELETE", "/v1/organisations/zenith", nil, "If-Match: *").want(204)
	s.do(t, "boss", "GET", "/v1/organisations/zenith", nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "GET", "/v1/organisations/ann", nil).fails(404, "NOT_FOUND")
}

// TestNewOwner: only admins create organisations for others, and the host can permit them alone to create any.
func TestNewOwner(t *testing.T) {
	s := newSite(t, withAccounts)
	var owners types.OwnerList
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "mine", Owner: "ann"}).want(201)
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "his", Owner: "bob"}).fails(403, "DENIED")
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "his", Owner: "nobody"}).fails(403, "DENIED")
	s.do(t, "boss", "POST", "/v1/organisations", types.NewOrganisation{Name: "his", Owner: "bob"}).want(201)
	s.do(t, "boss", "GET", "/v1/organisations/his/owners", nil).want(200).into(&owners)
	require.Equal(t, []string{"bob"}, owners.Items)
	s.do(t, "boss", "POST", "/v1/organisations", types.NewOrganisation{Name: "theirs", Owner: "nobody"}).
		fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/organisations", types.NewOrganisation{Name: "theirs", Owner: "acme"}).
		fails(400, "INVALID")

	strict := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts, opts.AdminsCreateOrganisations = s.people, true
	})
	strict.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "mine"}).fails(403, "DENIED")
	for who, creates := range map[string]bool{"ann": false, "boss": true} {
		var caller types.Caller
		strict.do(t, who, "GET", "/v1/user", nil).want(200).into(&caller)
		require.Equal(t, creates, caller.CreatesOrganisations, who)
	}
	strict.do(t, "boss", "POST", "/v1/organisations", types.NewOrganisation{Name: "mine", Owner: "ann"}).want(201)
}

// TestOrganisationLists: admins get all organisations, and others their own, in pages.
func TestOrganisationLists(t *testing.T) {
	s := newSite(t, withAccounts)
	want := []string{"acme"}
	for i := range 7 {
		name := fmt.Sprintf("org%d", i+2)
		s.do(t, "bob", "POST", "/v1/organisations", types.NewOrganisation{Name: name}).want(201)
		want = append(want, name)
	}
	require.Equal(t, want, s.pages(t, "boss", "/v1/organisations?limit=3"))
	require.Equal(t, want[1:], s.pages(t, "bob", "/v1/organisations?limit=3"))
	require.Equal(t, want[:1], s.pages(t, "ann", "/v1/organisations"))
	s.do(t, "bob", "PUT", "/v1/organisations/org5/members/ann", nil).want(204)
	require.Equal(t, []string{"acme", "org5"}, s.pages(t, "ann", "/v1/organisations?limit=1"))
	s.do(t, "", "GET", "/v1/organisations", nil).fails(401, "UNAUTHORIZED")
	for _, bad := range []string{"?limit=0", "?limit=x", "?after=%25", "?after=Li4", "?q=a", "?limit=1&limit=2"} {
		s.do(t, "ann", "GET", "/v1/organisations"+bad, nil).fails(400, "INVALID")
	}
}

// pages returns the names of all elements of a list.
func (s *site) pages(t *testing.T, user, path string) []string {
	t.Helper()
	var names []string
	for path != "" {
		var page struct {
			Items []map[string]any `json:"items"`
		}
		a := s.do(t, user, "GET", path, nil).want(200).into(&page)
		for _, item := range page.Items {
			name, ok := item["name"].(string)
			if !ok {
				name = item["user"].(string)
			}
			names = append(names, name)
		}
		path = a.next()
	}
	return names
}

// TestDeleteOrganisationWithRepositories: repositories are never left behind by accident.
func TestDeleteOrganisationWithRepositories(t *testing.T) {
	s := newSite(t, withAccounts)
	push := func(repos ...string) {
		for i, repo := range repos {
			require.NoError(t, registrytest.RandomImage(uint64(i+1), 1, 10).Push(t.Context(), s.store, repo, "v1"))
		}
	}
	exist := func() (repos []string) {
		for repo, err := range s.store.Repositories(t.Context(), nil) {
			require.NoError(t, err)
			repos = append(repos, repo)
		}
		return repos
	}
	push("acme", "acme/app", "acme/lib/x", "acme-x/app", "acmes", "zoo/app")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme", nil, "If-Match: *").fails(409, "IN_USE")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme?repositories=keep", nil, "If-Match: *").fails(403, "DENIED")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme?repositories=move", nil, "If-Match: *").fails(400, "INVALID")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme?repositories=delete", nil, `If-Match: "x"`).
		fails(412, "PRECONDITION_FAILED")
	require.Len(t, exist(), 6)
	s.do(t, "ann", "DELETE", "/v1/organisations/acme?repositories=delete", nil, "If-Match: *").want(204)
	require.Equal(t, []string{"acme-x/app", "acmes", "zoo/app"}, exist())

	s.do(t, "bob", "POST", "/v1/organisations?force=true", types.NewOrganisation{Name: "zoo"}).fails(403, "DENIED")
	s.do(t, "boss", "POST", "/v1/organisations?force=true", types.NewOrganisation{Name: "zoo", Owner: "bob"}).want(201)
	s.do(t, "bob", "POST", "/v1/organisations/zoo/rename", types.Name{Name: "park"}).want(200)
	s.do(t, "bob", "DELETE", "/v1/organisations/park", nil, "If-Match: *").fails(409, "IN_USE")
	s.do(t, "boss", "DELETE", "/v1/organisations/park?repositories=keep", nil, "If-Match: *").want(204)
	require.Contains(t, exist(), "zoo/app")
}

func TestMembers(t *testing.T) {
	s := newSite(t, withAccounts)
	s.do(t, "bob", "GET", "/v1/organisations/acme", nil).fails(403, "DENIED")
	s.do(t, "ann", "GET", "/v1/organisations/acme/members/bob", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "PUT", "/v1/organisations/acme/members/nobody", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "PUT", "/v1/organisations/acme/members/acme", nil).fails(404, "NOT_FOUND")
	for range 2 {
		s.do(t, "ann", "PUT", "/v1/organisations/acme/members/bob", nil).want(204)
	}
	s.do(t, "bob", "GET", "/v1/organisations/acme", nil).want(200)
	var member types.Member
	s.do(t, "bob", "GET", "/v1/organisations/acme/members/bob", nil).want(200).into(&member)
	require.Equal(t, types.Member{User: "bob", Teams: []string{}, Since: member.Since}, member)
	got := s.pages(t, "bob", "/v1/organisations/acme/members?limit=1")
	slices.Sort(got)
	require.Equal(t, []string{"ann", "bob"}, got)

	s.do(t, "bob", "PUT", "/v1/organisations/acme/owners/bob", nil).fails(403, "DENIED")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme/owners/bob", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme/owners/ann", nil).fails(409, "LAST")
	s.do(t, "ann", "PUT", "/v1/organisations/acme/owners/bob", nil).want(204)
	var owners types.OwnerList
	s.do(t, "ann", "GET", "/v1/organisations/acme/owners", nil).want(200).into(&owners)
	require.Equal(t, []string{"ann", "bob"}, owners.Items)
	s.do(t, "bob", "DELETE", "/v1/organisations/acme/owners/ann", nil).want(204)
	s.do(t, "ann", "DELETE", "/v1/organisations/acme/members/bob", nil).fails(403, "DENIED")
	s.do(t, "ann", "DELETE", "/v1/organisations/acme/members/ann", nil).want(204) // she leaves
	s.do(t, "ann", "GET", "/v1/organisations/acme", nil).fails(403, "DENIED")
	s.do(t, "bob", "DELETE", "/v1/organisations/acme/members/bob", nil).fails(409, "LAST")
}

// TestLeavingTellsNothing: a user may always try to leave, and must not find out so which organisations and teams
// exist.
func TestLeavingTellsNothing(t *testing.T) {
	s := newSite(t, withAccounts)
	s.do(t, "ann", "POST", "/v1/organisations/acme/teams", types.NewTeam{Name: "dev"}).want(201)
	for _, paths := range [][2]string{
		{"/v1/organisations/acme/members/bob", "/v1/organisations/nobody/members/bob"},
		{"/v1/organisations/acme/teams/dev/members/bob", "/v1/organisations/acme/teams/none/members/bob"},
		{"/v1/organisations/acme/teams/dev/members/bob", "/v1/organisations/nobody/teams/dev/members/bob"},
	} {
		first, second := s.do(t, "bob", "DELETE", paths[0], nil), s.do(t, "bob", "DELETE", paths[1], nil)
		first.fails(404, "NOT_FOUND")
		require.Equal(t, string(first.body), string(second.body))
	}
}

// TestIfMatchIsExact: of many clients that change the same version of an object, one wins.
func TestIfMatchIsExact(t *testing.T) {
	s := newSite(t, withAccounts)
	s.do(t, "ann", "POST", "/v1/organisations/acme/teams", types.NewTeam{Name: "dev"}).want(201)
	s.do(t, "ann", "POST", "/v1/namespaces/ann/robots", types.NewRobot{Name: "bot"}).want(201)
	text := func(i int) *string {
		t := strings.Repeat("x", i+1)
		return &t
	}
	for path, body := range map[string]func(i int) any{
		"/v1/organisations/acme":           func(i int) any { return types.ProfileChange{FullName: text(i)} },
		"/v1/organisations/acme/teams/dev": func(i int) any { return types.TeamChange{Description: text(i)} },
		"/v1/namespaces/ann/robots/bot": func(i int) any {
			return types.RobotChange{Grants: &[]types.Grant{{Repositories: *text(i), Role: "read"}}}
		},
	} {
		for round := range 3 {
			now := s.do(t, "ann", "GET", path, nil).want(200)
			status := make([]int, 8)
			var all sync.WaitGroup
			for i := range status {
				all.Go(func() { status[i] = s.do(t, "ann", "PATCH", path, body(10*round+i), now.ifMatch()).status })
			}
			all.Wait()
			slices.Sort(status)
			require.Equal(t, append([]int{200}, slices.Repeat([]int{412}, 7)...), status, path)
		}
	}
}

func TestTeams(t *testing.T) {
	s := newSite(t, withAccounts)
	const teams = "/v1/organisations/acme/teams"
	grants := []types.Grant{{Repositories: "app/**", Role: "write"}}
	var team types.Team
	made := s.do(t, "ann", "POST", teams, types.NewTeam{Name: "dev", Description: "developers", Grants: grants})
	made.want(201).into(&team)
	require.Equal(t, types.Team{ID: team.ID, Name: "dev", Description: "developers", Grants: grants,
		Created: team.Created}, team)
	s.do(t, "ann", "POST", teams, types.NewTeam{Name: "dev"}).fails(409, "TAKEN")
	s.do(t, "ann", "POST", teams, types.NewTeam{Name: "owners"}).fails(409, "TAKEN")
	s.do(t, "ann", "POST", teams, types.NewTeam{Name: "ops", Grants: []types.Grant{{Repositories: "a[", Role: "read"}}}).
		fails(400, "INVALID")
	s.do(t, "ann", "GET", teams+"/ops", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "POST", teams, types.NewTeam{Name: "ops"}).want(201)
	require.Equal(t, []string{"dev", "ops"}, s.pages(t, "ann", teams+"?limit=1"))

	s.do(t, "ann", "PUT", teams+"/dev/members/bob", nil).want(204)
	s.do(t, "ann", "PUT", teams+"/none/members/bob", nil).fails(404, "NOT_FOUND")
	require.Equal(t, []string{"bob"}, s.pages(t, "bob", teams+"/dev/members"))
	s.do(t, "bob", "GET", teams+"/dev", nil).want(200)
	s.do(t, "bob", "DELETE", teams+"/dev", nil, "If-Match: *").fails(403, "DENIED")
	s.do(t, "bob", "GET", teams+"/none/members", nil).fails(404, "NOT_FOUND")
	var member types.Member
	s.do(t, "ann", "GET", "/v1/organisations/acme/members/bob", nil).want(200).into(&member)
	require.Equal(t, []string{"dev"}, member.Teams)
	s.do(t, "bob", "DELETE", teams+"/dev/members/bob", nil).want(204)
	s.do(t, "bob", "DELETE", teams+"/dev/members/bob", nil).fails(404, "NOT_FOUND")
	require.Empty(t, s.pages(t, "bob", teams+"/dev/members"))

	none := []types.Grant{}
	s.do(t, "ann", "PATCH", teams+"/dev", types.TeamChange{Grants: &none}, made.ifMatch()).want(200).into(&team)
	require.Equal(t, "developers", team.Description)
	require.Empty(t, team.Grants)
	s.do(t, "ann", "PATCH", teams+"/none", types.TeamChange{}, "If-Match: *").fails(404, "NOT_FOUND")
	s.do(t, "ann", "DELETE", teams+"/dev", nil, made.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "ann", "DELETE", teams+"/dev", nil, "If-Match: *").want(204)
	s.do(t, "ann", "DELETE", teams+"/dev", nil, "If-Match: *").fails(404, "NOT_FOUND")
}

func TestRobots(t *testing.T) {
	s := newSite(t, withAccounts)
	for _, namespace := range []string{"acme", "ann"} {
		robots := "/v1/namespaces/" + namespace + "/robots"
		grants := []types.Grant{{Repositories: "app/**", Role: "write"}}
		var robot types.Robot
		made := s.do(t, "ann", "POST", robots, types.NewRobot{Name: "deploy", Grants: grants})
		made.want(201).into(&robot)
		require.Equal(t, "/api"+robots+"/deploy", made.header.Get("Location"))
		require.Equal(t, namespace+"+deploy", robot.Name)
		require.Equal(t, grants, robot.Grants)
		s.do(t, "ann", "POST", robots, types.NewRobot{Name: "deploy"}).fails(409, "TAKEN")
		s.do(t, "ann", "POST", robots, types.NewRobot{Name: "build"}).want(201)
		require.Equal(t, []string{namespace + "+build", namespace + "+deploy"}, s.pages(t, "ann", robots+"?limit=1"))
		s.do(t, "bob", "GET", robots+"/deploy", nil).fails(403, "DENIED")
		s.do(t, "bob", "GET", robots, nil).fails(403, "DENIED")

		s.do(t, "ann", "PATCH", robots+"/deploy", types.RobotChange{}, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
		s.do(t, "ann", "PATCH", robots+"/deploy", types.RobotChange{}, made.ifMatch()).want(200)
		bad := []types.Grant{{Repositories: "{user}/**", Role: "read"}}
		s.do(t, "ann", "PATCH", robots+"/deploy", types.RobotChange{Grants: &bad}, made.ifMatch()).fails(400, "INVALID")
		less := []types.Grant{{Repositories: "app", Role: "read"}}
		s.do(t, "ann", "PATCH", robots+"/deploy", types.RobotChange{Grants: &less}, made.ifMatch()).want(200).into(&robot)
		require.Equal(t, less, robot.Grants)

		var disabled types.Robot
		s.do(t, "ann", "POST", robots+"/deploy/disable", nil).want(200).into(&disabled)
		require.Equal(t, "ann", disabled.Disabled.By)
		s.do(t, "ann", "POST", robots+"/deploy/enable", nil).want(200)
		s.do(t, "ann", "DELETE", robots+"/deploy", nil, made.ifMatch()).fails(412, "PRECONDITION_FAILED")
		s.do(t, "ann", "DELETE", robots+"/deploy", nil, "If-Match: *").want(204)
		s.do(t, "ann", "GET", robots+"/deploy", nil).fails(404, "NOT_FOUND")
	}
}

// TestRobotsOfRenamedNamespace: the names of robots follow that of their namespace.
func TestRobotsOfRenamedNamespace(t *testing.T) {
	s := newSite(t, withAccounts)
	s.do(t, "ann", "POST", "/v1/namespaces/acme/robots", types.NewRobot{Name: "deploy"}).want(201)
	s.do(t, "ann", "POST", "/v1/organisations/acme/rename", types.Name{Name: "apex"}).want(200)
	require.Equal(t, []string{"apex+deploy"}, s.pages(t, "ann", "/v1/namespaces/apex/robots"))
	now := s.do(t, "ann", "GET", "/v1/namespaces/apex/robots/deploy", nil).want(200)
	grants := []types.Grant{{Repositories: "**", Role: "read"}}
	var robot types.Robot
	changed := s.do(t, "ann", "PATCH", "/v1/namespaces/apex/robots/deploy", types.RobotChange{Grants: &grants},
		now.ifMatch())
	changed.want(200).into(&robot)
	require.Equal(t, "apex+deploy", robot.Name)
	require.Equal(t, changed.header.Get("ETag"),
		s.do(t, "ann", "GET", "/v1/namespaces/apex/robots/deploy", nil).header.Get("ETag"))
	s.do(t, "ann", "GET", "/v1/namespaces/acme/robots/deploy", nil).fails(404, "NOT_FOUND")
}

// TestScopedTokenManagesNothing: a token with scopes has no rights at the API, even if it has all in repositories.
func TestScopedTokenManagesNothing(t *testing.T) {
	s := newSite(t, withAccounts)
	ann, err := s.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	for want, opts := range map[int]*accounts.SecretOptions{200: nil,
		403: {Scopes: []accounts.Grant{{Repositories: "**", Role: accounts.Admin}}}} {
		secret, err := s.people.CreateSecret(t.Context(), accounts.Actor{}, ann.ID, "token", opts)
		require.NoError(t, err)
		login := basic("ann", secret.Value.Value())
		s.do(t, "", "GET", "/v1/organisations/acme", nil, login).want(want)
		s.do(t, "", "GET", "/v1/organisations/acme/teams", nil, login).want(want)
		var list types.OrganisationList
		s.do(t, "", "GET", "/v1/organisations", nil, login).want(200).into(&list)
		require.Equal(t, want == 200, len(list.Items) == 1)
	}
}

// basic returns the header with a name and a password.
func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return "Authorization: " + r.Header.Get("Authorization")
}
