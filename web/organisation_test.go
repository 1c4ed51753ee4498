package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
)

// TestOrganisations: users create organisations and see their own; owners change and delete them.
func TestOrganisations(t *testing.T) {
	s := newSite(t, nil)
	s.get(t, "", "/organisations").shows(t, http.StatusUnauthorized)
	s.get(t, "bob", "/organisations").shows(t, http.StatusOK, "You are in no organisation yet.").lacks(t, "acme")
	s.get(t, "ann", "/organisations").shows(t, http.StatusOK, "acme", "Create an organisation")
	s.get(t, "boss", "/organisations").shows(t, http.StatusOK, "acme", "All organisations of the registry.")
	form := s.get(t, "bob", "/organisations/-/new").shows(t, http.StatusOK, "New organisation").
		lacks(t, "reserved", "Reason")
	s.submit(t, "bob", form, "main form", "name", "acme").wrong(t, http.StatusConflict, "name", "This name is taken")
	s.submit(t, "bob", form, "main form", "name", "a--b").wrong(t, http.StatusBadRequest, "name", "single hyphens")
	s.submit(t, "boss", s.get(t, "boss", "/organisations/-/new"), "main form", "name", "theirs", "owner", "nobody").
		wrong(t, http.StatusBadRequest, "owner", "There is no user of this name.")
	made := s.submit(t, "bob", form, "main form", "name", "globex", "fullName", hostile[0])
	s.follow(t, "bob", made).shows(t, http.StatusOK, "The organisation was created.", "globex", "bob", hostile[0])

	settings := s.get(t, "bob", "/organisations/globex/settings").shows(t, http.StatusOK).
		lacks(t, "Disable the organisation")
	s.follow(t, "bob", s.submit(t, "bob", settings, "#profile", "fullName", "Globex", "visibility", "public")).
		shows(t, http.StatusOK, "The profile was changed.", "repositories are public unless set otherwise")
	s.submit(t, "bob", settings, "#profile", "fullName", "late").shows(t, http.StatusPreconditionFailed)
	settings = s.get(t, "bob", "/organisations/globex/settings")
	s.submit(t, "bob", settings, "#rename", "name", "acme").wrongIn(t, "#rename", "This name is taken")
	s.follow(t, "bob", s.submit(t, "bob", settings, "#rename", "name", "initech")).shows(t, http.StatusOK, "was renamed")
	s.get(t, "bob", "/organisations/initech/settings").shows(t, http.StatusOK, "Former names", "globex")
	release := s.get(t, "bob", "/organisations/initech/names/globex/release")
	s.follow(t, "bob", s.submit(t, "bob", release, "main form")).shows(t, http.StatusOK, "was released")

	disable := s.get(t, "boss", "/organisations/initech/disable").shows(t, http.StatusOK)
	s.get(t, "bob", "/organisations/initech/disable").shows(t, http.StatusNotFound)
	s.follow(t, "boss", s.submit(t, "boss", disable, "main form", "reason", "unpaid")).shows(t, http.StatusOK, "unpaid")
	enable := s.get(t, "boss", "/organisations/initech/settings")
	s.follow(t, "boss", s.submit(t, "boss", enable, "#enable")).shows(t, http.StatusOK, "was enabled")
}

// TestDeleteOrganisation: an organisation with repositories is deleted only if the owner says what happens to them.
func TestDeleteOrganisation(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	ask := s.get(t, "ann", "/organisations/acme/delete").shows(t, http.StatusOK, "Type acme to confirm").
		lacks(t, `value="keep"`)
	s.get(t, "bob", "/organisations/acme/delete").shows(t, http.StatusNotFound)
	s.get(t, "boss", "/organisations/acme/delete").shows(t, http.StatusOK, "Keep them")
	version := ask.doc.Find(`[name="version"]`).AttrOr("value", "")
	send := func(what, typed, version string) *response {
		return s.post(t, "ann", "/organisations/acme/delete", "repositories", what, "typed", typed, "version", version)
	}
	wrong := send("delete", "acne", version).wrong(t, http.StatusBadRequest, "typed", "Type acme")
	require.Equal(t, "delete", wrong.doc.Find("[checked]").AttrOr("value", ""))
	send("delete", "acme", `"old"`).shows(t, http.StatusPreconditionFailed)
	send("refuse", "acme", version).shows(t, http.StatusConflict, "There are repositories below this name.")
	send("keep", "acme", version).shows(t, http.StatusForbidden)
	s.follow(t, "ann", send("delete", "acme", version)).shows(t, http.StatusOK, "The organisation was deleted.")
	s.get(t, "ann", "/organisations/acme").shows(t, http.StatusNotFound)
}

// TestMembers: owners add and remove members and owners; members see them and leave.
func TestMembers(t *testing.T) {
	s := newSite(t, nil)
	s.get(t, "bob", "/organisations/acme").shows(t, http.StatusNotFound)
	s.get(t, "", "/organisations/acme").shows(t, http.StatusUnauthorized)
	list := s.get(t, "ann", "/organisations/acme").shows(t, http.StatusOK, "ann", "owner", "Add a member")
	for _, name := range []string{"nobody", "", "..", "Ann Smith", hostile[0]} {
		s.submit(t, "ann", list, "#add", "user", name).wrongIn(t, "#add", "There is no user of this name.")
	}
	s.follow(t, "ann", s.submit(t, "ann", list, "#add", "user", "bob")).shows(t, http.StatusOK, "is a member now", "bob")
	seen := s.get(t, "bob", "/organisations/acme").shows(t, http.StatusOK, "ann", "bob", "Leave the organisation")
	seen.lacks(t, "Add a member", "Make an owner", "Settings", "/robots/acme")
	s.post(t, "bob", "/organisations/acme/members", "user", "boss").shows(t, http.StatusForbidden)
	s.get(t, "bob", "/organisations/acme/settings").shows(t, http.StatusNotFound)
	s.get(t, "bob", "/organisations/acme/members/ann/remove").shows(t, http.StatusNotFound)

	s.post(t, "ann", "/organisations/acme/owners/remove", "user", "ann").
		shows(t, http.StatusConflict, "An organisation needs an owner.")
	s.follow(t, "ann", s.post(t, "ann", "/organisations/acme/owners/add", "user", "bob")).
		shows(t, http.StatusOK, "is an owner now")
	s.follow(t, "ann", s.post(t, "ann", "/organisations/acme/owners/remove", "user", "bob")).
		shows(t, http.StatusOK, "no longer an owner")
	leave := s.get(t, "bob", "/organisations/acme/members/bob/remove").shows(t, http.StatusOK, "Leave acme")
	s.follow(t, "bob", s.submit(t, "bob", leave, "main form")).shows(t, http.StatusOK, "You have left")
	last := s.get(t, "ann", "/organisations/acme/members/ann/remove")
	s.submit(t, "ann", last, "main form").shows(t, http.StatusConflict, "An organisation needs an owner.")
}

// TestTeams: owners create, change and delete teams; members see them.
func TestTeams(t *testing.T) {
	s := newSite(t, nil)
	s.post(t, "ann", "/organisations/acme/members", "user", "bob")
	s.get(t, "bob", "/organisations/acme/teams").shows(t, http.StatusOK, "There are no teams yet.").
		lacks(t, "Create a team")
	s.get(t, "bob", "/organisations/acme/teams/-/new").shows(t, http.StatusNotFound)
	form := s.get(t, "ann", "/organisations/acme/teams/-/new").shows(t, http.StatusOK, "New team")
	s.submit(t, "ann", form, "main form", "name", "owners").wrong(t, http.StatusConflict, "name", "group of the owners")
	s.submit(t, "ann", form, "main form", "name", "dev", "pattern-2", "a b").
		wrong(t, http.StatusBadRequest, "pattern-2", "This is no pattern.")
	s.submit(t, "ann", form, "main form", "name", "dev", "pattern-1", "app", "role-1", "king").
		wrong(t, http.StatusBadRequest, "pattern-1", "This is no pattern.")
	made := s.submit(t, "ann", form, "main form", "name", "dev", "description", hostile[0], "pattern-1", "app/**",
		"role-1", "write")
	team := s.follow(t, "ann", made).shows(t, http.StatusOK, "The team was created.", hostile[0], "no members yet")
	require.Equal(t, "app/**", team.field(t, "pattern-0").AttrOr("value", ""))
	require.Equal(t, "write", team.field(t, "role-0").Find("[selected]").AttrOr("value", ""))
	s.submit(t, "ann", form, "main form", "name", "dev").wrong(t, http.StatusConflict, "name", "This name is taken")

	more := s.submit(t, "ann", team, "#grants", "pattern-1", "tools", "role-1", "read")
	changed := s.follow(t, "ann", more).shows(t, http.StatusOK, "The team was changed.")
	s.submit(t, "ann", team, "#grants", "pattern-1", "late").shows(t, http.StatusPreconditionFailed)
	s.follow(t, "ann", s.submit(t, "ann", changed, "#grants", "remove-0", "true")).lacks(t, `value="app/**"`)
	changed = s.get(t, "ann", "/organisations/acme/teams/dev")
	s.follow(t, "ann", s.submit(t, "ann", changed, "#description", "description", "Developers")).
		shows(t, http.StatusOK, "Developers")
	s.submit(t, "ann", changed, "#add", "user", "nobody").wrongIn(t, "#add", "There is no user of this name.")
	s.follow(t, "ann", s.submit(t, "ann", changed, "#add", "user", "bob")).shows(t, http.StatusOK, "is in the team now")
	s.get(t, "bob", "/organisations/acme/teams/dev").shows(t, http.StatusOK, "bob", "tools read").
		lacks(t, "Save the permissions", "Delete the team")
	s.get(t, "bob", "/organisations/acme").shows(t, http.StatusOK, "dev")
	s.follow(t, "ann", s.post(t, "ann", "/organisations/acme/teams/dev/members/remove", "user", "bob")).
		shows(t, http.StatusOK, "no longer in the team")
	remove := s.get(t, "ann", "/organisations/acme/teams/dev/delete").shows(t, http.StatusOK)
	s.follow(t, "ann", s.submit(t, "ann", remove, "main form")).shows(t, http.StatusOK, "The team was deleted.")
	s.get(t, "ann", "/organisations/acme/teams/dev").shows(t, http.StatusNotFound)
}

// TestManyMembers: the lists have pages.
func TestManyMembers(t *testing.T) {
	s := newSite(t, nil)
	acme, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	for i := range 60 {
		user, err := s.people.CreateUser(t.Context(), accounts.Actor{}, fmt.Sprintf("user%d", i), "", nil)
		require.NoError(t, err)
		require.NoError(t, s.people.AddMember(t.Context(), accounts.Actor{}, acme.ID, user.ID))
	}
	for _, path := range []string{"/users", "/organisations/acme"} {
		first := s.get(t, "boss", path).shows(t, http.StatusOK, "Next page")
		require.Equal(t, 50, first.doc.Find("tbody tr").Length(), path)
		next, _ := first.doc.Find(`a[rel="next"]`).Attr("href")
		second := s.get(t, "boss", path+next).shows(t, http.StatusOK)
		require.GreaterOrEqual(t, second.doc.Find("tbody tr").Length(), 11, path)
	}
}
