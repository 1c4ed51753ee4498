package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
)

// TestRobots: users and owners create robots with tokens; nobody else sees them.
func TestRobots(t *testing.T) {
	s := newSite(t, nil)
	s.post(t, "ann", "/organisations/acme/members", "user", "bob")
	for _, path := range []string{"/robots/acme", "/robots/acme/-/new", "/robots/acme/deploy", "/robots/nobody",
		"/robots/acme/deploy/tokens/-/new", "/robots/acme/deploy/delete"} {
		s.get(t, "", path).shows(t, http.StatusUnauthorized)
		s.get(t, "bob", path).shows(t, http.StatusNotFound)
	}
	s.get(t, "bob", "/robots/bob").shows(t, http.StatusOK, "There are no robots yet", "Overview")
	s.get(t, "ann", "/robots/acme").shows(t, http.StatusOK, "There are no robots yet", "Members", "Teams")
	form := s.get(t, "ann", "/robots/acme/-/new").shows(t, http.StatusOK, "The robot logs in as acme+NAME.")
	s.submit(t, "ann", form, "main form", "name", "De Ploy").wrong(t, http.StatusBadRequest, "name", "lower-case letters")
	s.submit(t, "ann", form, "main form", "name", "deploy", "pattern-0", "!app").
		wrong(t, http.StatusBadRequest, "pattern-0", "This is no pattern.")
	made := s.submit(t, "ann", form, "main form", "name", "deploy", "pattern-0", "app", "role-0", "write")
	robot := s.follow(t, "ann", made).shows(t, http.StatusOK, "The robot was created.", "acme+deploy",
		"docker login", "There are no tokens yet.")
	s.submit(t, "ann", form, "main form", "name", "deploy").wrong(t, http.StatusConflict, "name", "This name is taken")

	s.follow(t, "ann", s.submit(t, "ann", robot, "#grants", "pattern-1", "tools/*")).
		shows(t, http.StatusOK, "The permissions were changed.")
	s.submit(t, "ann", robot, "#grants", "pattern-1", "late").shows(t, http.StatusPreconditionFailed)
	token := s.submit(t, "ann", s.get(t, "ann", "/robots/acme/deploy/tokens/-/new"), "main form", "name", "ci")
	token.shows(t, http.StatusOK, "Token created", "--username 'acme+deploy'")
	value := token.doc.Find(".pull code").First().Text()
	require.Equal(t, "acme+deploy", s.login(t, "acme+deploy", value))
	s.get(t, "ann", "/robots/acme/deploy").shows(t, http.StatusOK, "ci").lacks(t, value)

	disable := s.get(t, "ann", "/robots/acme/deploy/disable").shows(t, http.StatusOK, "Disable acme+deploy")
	disabled := s.follow(t, "ann", s.submit(t, "ann", disable, "main form"))
	disabled.shows(t, http.StatusOK, "The robot was disabled.", "Enable the robot")
	require.Empty(t, s.login(t, "acme+deploy", value))
	s.follow(t, "ann", s.submit(t, "ann", disabled, "#enable")).shows(t, http.StatusOK, "The robot was enabled.")
	remove := s.get(t, "ann", "/robots/acme/deploy/delete").shows(t, http.StatusOK)
	s.follow(t, "ann", s.submit(t, "ann", remove, "main form")).shows(t, http.StatusOK, "The robot was deleted.")
	s.get(t, "ann", "/robots/acme/deploy").shows(t, http.StatusNotFound)
}

// login returns the name of the caller whom the registry identifies by a name and a secret, or "".
func (s *site) login(t *testing.T, name, secret string) string {
	t.Helper()
	users, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, secret)
	identity, err := users.Authenticate(r)
	if err != nil {
		return ""
	}
	return identity.Name
}

// TestRobotsOfUser: the page of the robots of a user has no tabs of an organisation, and admins see all robots.
func TestRobotsOfUser(t *testing.T) {
	s := newSite(t, nil)
	form := s.get(t, "bob", "/robots/bob/-/new").shows(t, http.StatusOK)
	s.follow(t, "bob", s.submit(t, "bob", form, "main form", "name", "laptop")).shows(t, http.StatusOK, "bob+laptop")
	s.get(t, "bob", "/robots/bob").shows(t, http.StatusOK, "bob+laptop", "none").lacks(t, "/organisations/bob")
	s.get(t, "ann", "/robots/bob").shows(t, http.StatusNotFound)
	s.get(t, "boss", "/robots/bob/laptop").shows(t, http.StatusOK, "bob+laptop")
}
