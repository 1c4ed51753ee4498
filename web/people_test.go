package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"
)

// shows fails the test unless a page has a status and texts.
func (r *response) shows(t *testing.T, status int, texts ...string) *response {
	t.Helper()
	require.Equal(t, status, r.StatusCode, string(r.body))
	for _, text := range texts {
		require.Contains(t, r.text, text)
	}
	return r
}

// lacks fails the test if a page has one of texts.
func (r *response) lacks(t *testing.T, texts ...string) *response {
	t.Helper()
	for _, text := range texts {
		require.NotContains(t, string(r.body), text)
	}
	return r
}

// field returns a field of a form.
func (r *response) field(t *testing.T, name string) *goquery.Selection {
	t.Helper()
	f := r.doc.Find(`[name="` + name + `"]`)
	require.Equal(t, 1, f.Length(), "fields %s in %s", name, r.body)
	return f
}

// wrong fails the test unless the page shows what is wrong with a field near it.
func (r *response) wrong(t *testing.T, status int, name, text string) *response {
	t.Helper()
	require.Equal(t, status, r.StatusCode, r.text)
	f := r.field(t, name)
	require.Equal(t, "true", f.AttrOr("aria-invalid", ""), name)
	said := ""
	for id := range strings.FieldsSeq(f.AttrOr("aria-describedby", "")) {
		said += r.doc.Find("#" + id).Text()
	}
	require.Contains(t, said, text)
	return r
}

// TestUsers: admins list, create, change and delete users.
func TestUsers(t *testing.T) {
	s := newSite(t, nil)
	list := s.get(t, "boss", "/users").shows(t, http.StatusOK, "ann", "bob", "boss", "Create a user")
	s.get(t, "boss", "/users?q=an").shows(t, http.StatusOK, "ann").lacks(t, ">bob<")
	s.get(t, "boss", "/users?state=disabled").shows(t, http.StatusOK, "No user matches.")
	s.get(t, "boss", "/users?q="+strings.Repeat("x", 50)).shows(t, http.StatusBadRequest)
	require.Equal(t, 1, list.doc.Find(`a[href="/ui/users/-/new"]`).Length())

	form := s.get(t, "boss", "/users/-/new").shows(t, http.StatusOK, "New user", "Reason")
	again := s.submit(t, "boss", form, "main form", "name", "No", "password", "swordfish-of-cleo", "fullName", "Cleo")
	again.wrong(t, http.StatusBadRequest, "name", "lower-case letters")
	require.Equal(t, "Cleo", again.field(t, "fullName").AttrOr("value", ""))
	again.lacks(t, "swordfish")
	s.submit(t, "boss", again, "main form", "name", "ann", "password", "purple otter gadget").
		wrong(t, http.StatusConflict, "name", "This name is taken")
	s.submit(t, "boss", again, "main form", "name", "cleo", "password", "short").
		wrong(t, http.StatusBadRequest, "password", "A password has at least")
	s.submit(t, "boss", again, "main form", "name", "admin", "password", password).
		wrong(t, http.StatusConflict, "name", "This name is reserved.")
	made := s.submit(t, "boss", again, "main form", "name", "cleo", "password", password)
	require.Equal(t, "/ui/users/cleo?done=created", made.Header.Get("Location"))
	s.follow(t, "boss", made).shows(t, http.StatusOK, "The user was created.", "cleo", "Cleo")

	disable := s.get(t, "boss", "/users/cleo/disable").shows(t, http.StatusOK, "Disable cleo")
	s.follow(t, "boss", s.submit(t, "boss", disable, "main form", "reason", "has left")).
		shows(t, http.StatusOK, "The user was disabled.", "has left", "boss")
	stale := s.submit(t, "boss", disable, "main form")
	stale.shows(t, http.StatusPreconditionFailed, "changed meanwhile")
	settings := s.get(t, "boss", "/users/cleo/settings").shows(t, http.StatusOK, "Enable the user")
	s.follow(t, "boss", s.submit(t, "boss", settings, "#enable")).shows(t, http.StatusOK, "The user was enabled.")

	settings = s.get(t, "boss", "/users/cleo/settings")
	s.submit(t, "boss", settings, "#rename", "name", "ann").wrongIn(t, "#rename", "This name is taken")
	renamed := s.follow(t, "boss", s.submit(t, "boss", settings, "#rename", "name", "cleopatra"))
	renamed.shows(t, http.StatusOK, "cleopatra", "Former names")
	release := s.get(t, "boss", "/users/cleopatra/names/cleo/release").shows(t, http.StatusOK, "cleo")
	s.follow(t, "boss", s.submit(t, "boss", release, "main form")).shows(t, http.StatusOK, "was released")

	remove := s.get(t, "boss", "/users/cleopatra/delete").shows(t, http.StatusOK, "Type cleopatra to confirm")
	s.submit(t, "boss", remove, "main form").wrong(t, http.StatusBadRequest, "typed", "Type cleopatra")
	s.follow(t, "boss", s.submit(t, "boss", remove, "main form", "typed", "cleopatra")).
		shows(t, http.StatusOK, "The user was deleted.").lacks(t, "cleopatra")
}

// wrongIn fails the test unless a page shows a text in one of its forms.
func (r *response) wrongIn(t *testing.T, form, text string) *response {
	t.Helper()
	require.GreaterOrEqual(t, r.StatusCode, 400)
	require.Contains(t, r.doc.Find(form).Find(".error").Text(), text)
	return r
}

// TestUserPages: users see and change themselves; what they may not see does not exist.
func TestUserPages(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/users", "/users/-/new", "/users/ann", "/users/nobody", "/users/ann/settings",
		"/users/ann/tokens", "/users/ann/delete", "/users/ann/make-admin"} {
		s.get(t, "", path).shows(t, http.StatusUnauthorized)
		s.get(t, "bob", path).shows(t, http.StatusNotFound)
	}
	s.get(t, "ann", "/users").shows(t, http.StatusNotFound)
	s.get(t, "boss", "/users/acme").shows(t, http.StatusNotFound)
	s.get(t, "boss", "/users/%2e%2e").shows(t, http.StatusNotFound)
	s.get(t, "ann", "/users/ann").shows(t, http.StatusOK, "acme", "owner", "you").lacks(t, `href="/ui/users"`)
	settings := s.get(t, "ann", "/users/ann/settings").shows(t, http.StatusOK, "Save the profile")
	settings.lacks(t, "Delete the user", "Rename the user", "Make an admin", "Reason")
	for _, path := range []string{"/users/ann/rename", "/users/ann/password", "/users/ann/enable"} {
		s.post(t, "ann", path, "name", "queen", "password", "purple otter gadget", "version", "*").
			shows(t, http.StatusForbidden)
	}
	for _, path := range []string{"/users/ann/disable", "/users/ann/delete", "/users/ann/make-admin"} {
		s.post(t, "ann", path, "typed", "ann", "version", "*").shows(t, http.StatusNotFound)
	}
	changed := s.submit(t, "ann", settings, "#profile", "fullName", hostile[0], "visibility", "public")
	s.follow(t, "ann", changed).shows(t, http.StatusOK, "The profile was changed.", hostile[0])
	s.submit(t, "ann", settings, "#profile", "fullName", "late").shows(t, http.StatusPreconditionFailed)
	fresh := s.get(t, "ann", "/users/ann/settings")
	s.submit(t, "ann", fresh, "#profile", "fullName", strings.Repeat("w", 300)).
		wrong(t, http.StatusBadRequest, "fullName", "at most 256 bytes")
	s.submit(t, "ann", fresh, "#profile", "visibility", "secret").wrongIn(t, "#profile", "Choose private or public.")
	s.post(t, "ann", "/users/ann/profile", "fullName", "without a version").shows(t, http.StatusPreconditionFailed)
}

// TestAdmins: admins make admins; the last one stays.
func TestAdmins(t *testing.T) {
	s := newSite(t, nil)
	last := s.get(t, "boss", "/users/boss/remove-admin").shows(t, http.StatusOK, "Remove the admin rights of boss")
	s.submit(t, "boss", last, "main form").shows(t, http.StatusConflict, "The registry needs an admin.")
	disable := s.get(t, "boss", "/users/boss/disable")
	s.submit(t, "boss", disable, "main form").shows(t, http.StatusConflict, "An admin cannot be disabled.")
	remove := s.get(t, "boss", "/users/ann/delete")
	s.submit(t, "boss", remove, "main form", "typed", "ann").shows(t, http.StatusConflict, "the owner of an organisation")

	more := s.get(t, "boss", "/users/bob/make-admin")
	s.submit(t, "boss", more, "main form", "reason", strings.Repeat("x", 600)).
		wrong(t, http.StatusBadRequest, "reason", "at most 500 characters")
	s.follow(t, "boss", s.submit(t, "boss", more, "main form")).
		shows(t, http.StatusOK, "The user is an admin now.", "Remove the admin rights")
	s.get(t, "bob", "/users").shows(t, http.StatusOK)
	less := s.get(t, "bob", "/users/boss/remove-admin")
	s.follow(t, "bob", s.submit(t, "bob", less, "main form")).shows(t, http.StatusOK, "no longer an admin")
	s.get(t, "boss", "/users").shows(t, http.StatusNotFound)
}

// TestPasswordOfUser: admins set and remove passwords, which no page shows.
func TestPasswordOfUser(t *testing.T) {
	s := newSite(t, nil)
	settings := s.get(t, "boss", "/users/bob/settings")
	const next = "purple otter gadget"
	require.Equal(t, "new-password", settings.field(t, "password").AttrOr("autocomplete", ""))
	weak := s.submit(t, "boss", settings, "#password", "password", "bob")
	weak.wrong(t, http.StatusBadRequest, "password", "A password has at least")
	require.Empty(t, weak.field(t, "password").AttrOr("value", ""))
	s.follow(t, "boss", s.submit(t, "boss", settings, "#password", "password", next)).
		shows(t, http.StatusOK, "The password was set.").lacks(t, next)
	s.get(t, "bob", "/users/bob").shows(t, http.StatusUnauthorized)
	remove := s.get(t, "boss", "/users/bob/remove-password").shows(t, http.StatusOK, "only with tokens")
	s.follow(t, "boss", s.submit(t, "boss", remove, "main form")).shows(t, http.StatusOK, "The password was removed.")
}

// TestTokensOfUser: users create, replace and revoke tokens. A value is shown once, and is in no URL.
func TestTokensOfUser(t *testing.T) {
	s := newSite(t, nil)
	s.get(t, "ann", "/users/ann/tokens").shows(t, http.StatusOK, "There are no tokens yet.")
	form := s.get(t, "ann", "/users/ann/tokens/-/new").shows(t, http.StatusOK, "New token")
	require.Equal(t, "off", form.doc.Find("main form").AttrOr("autocomplete", ""))
	s.submit(t, "ann", form, "main form").wrong(t, http.StatusBadRequest, "name", "A name has 1 to 100 characters")
	bad := s.submit(t, "ann", form, "main form", "name", "laptop", "pattern-1", `acme/"grant 0: x`, "role-1", "write")
	bad.wrong(t, http.StatusBadRequest, "pattern-1", "This is no pattern.")
	require.Equal(t, `acme/"grant 0: x`, bad.field(t, "pattern-1").AttrOr("value", ""))

	made := s.submit(t, "ann", form, "main form", "name", hostile[1], "days", "7", "pattern-0", "acme/**",
		"role-0", "write")
	made.shows(t, http.StatusOK, "Token created", "docker login", "--username 'ann'", hostile[1])
	value := made.doc.Find(".pull code").First().Text()
	require.Regexp(t, "^rkp_", value)
	require.Equal(t, "no-store", made.Header.Get("Cache-Control"))
	require.Empty(t, made.Header.Get("Location"))
	require.NotContains(t, made.Request.URL.String(), value)

	list := s.get(t, "ann", "/users/ann/tokens").shows(t, http.StatusOK, "acme/** write", "in 6 days", "never")
	list.lacks(t, value)
	replace, _ := list.doc.Find(`a[href$="/replace"]`).Attr("href")
	page := s.get(t, "ann", strings.TrimPrefix(replace, "/ui")).shows(t, http.StatusOK, "Replace the token")
	s.get(t, "bob", strings.TrimPrefix(replace, "/ui")).shows(t, http.StatusNotFound)
	second := s.post(t, "ann", strings.TrimPrefix(replace, "/ui"), "grace", "3600", "version",
		page.doc.Find(`[name="version"]`).AttrOr("value", ""))
	second.shows(t, http.StatusOK, "Token created")
	require.NotEqual(t, value, second.doc.Find(".pull code").First().Text())
	s.get(t, "ann", "/users/ann/tokens").shows(t, http.StatusOK, "replaced")
	again := s.get(t, "ann", strings.TrimPrefix(replace, "/ui"))
	now := again.doc.Find(`[name="version"]`).AttrOr("value", "")
	s.post(t, "ann", strings.TrimPrefix(replace, "/ui"), "grace", "x", "version", now).shows(t, http.StatusBadRequest)
	s.post(t, "ann", strings.TrimPrefix(replace, "/ui"), "grace", "0", "version", "*").
		shows(t, http.StatusPreconditionFailed)
	s.post(t, "ann", strings.TrimPrefix(replace, "/ui"), "grace", "0", "version", now).
		shows(t, http.StatusConflict, "This token was replaced before.")

	revoke, _ := s.get(t, "ann", "/users/ann/tokens").doc.Find(`a[href$="/revoke"]`).First().Attr("href")
	ask := s.get(t, "ann", strings.TrimPrefix(revoke, "/ui")).shows(t, http.StatusOK, "Revoke the token")
	s.post(t, "ann", strings.TrimPrefix(revoke, "/ui"), "version", `"old"`).shows(t, http.StatusPreconditionFailed)
	s.follow(t, "ann", s.submit(t, "ann", ask, "main form")).shows(t, http.StatusOK, "The token was revoked.")
	s.get(t, "boss", "/users/ann/tokens").shows(t, http.StatusOK, "Tokens")
}

// TestPlainPasswordOfUser: no form has a password that the network could read, and none is accepted.
func TestPlainPasswordOfUser(t *testing.T) {
	s := newSite(t, nil)
	ask := func(method, target, form string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(form))
		r.SetBasicAuth("boss", password)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.page.ServeHTTP(w, r)
		return w
	}
	for view, action := range map[string]string{"/ui/users/-/new": "/ui/users/-/new",
		"/ui/users/bob/settings": "/ui/users/bob/password"} {
		require.NotContains(t, ask("GET", "http://hub.example"+view, "").Body.String(), `type="password"`, view)
		require.Contains(t, ask("GET", "https://hub.example"+view, "").Body.String(), `type="password"`, view)
		w := ask("POST", "http://hub.example"+action, "name=cleo&version=*&password=purple+otter+gadget")
		require.Equal(t, http.StatusForbidden, w.Code, action)
		require.Contains(t, w.Body.String(), "Passwords need TLS. Nothing was changed.", action)
	}
	require.Equal(t, "bob", s.login(t, "bob", password))
	s.get(t, "boss", "/users/cleo").shows(t, http.StatusNotFound)
}
