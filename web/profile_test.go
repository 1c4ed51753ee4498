package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/web"
)

// TestProfile: a user changes the own profile, unless it was changed meanwhile.
func TestProfile(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	b := s.browser(t)
	b.signIn("ann")
	r := b.get("/ui/profile")
	require.Contains(t, r.text, "acme owner")
	for _, text := range hostile {
		if len(text) > 200 || text == "a\x00b\x1b[31mred" {
			continue
		}
		r = b.submit(b.get("/ui/profile"), "#profile", "fullName", text, "email", "a@example.com", "visibility", "public")
		require.Equal(t, 200, r.StatusCode, "%q %s", text, r.text)
		require.Contains(t, r.text, "The profile was changed.")
	}
	old := b.get("/ui/profile")
	b.submit(old, "#profile", "fullName", "Ann")
	r = b.submit(old, "#profile", "fullName", "Other")
	require.Equal(t, http.StatusPreconditionFailed, r.StatusCode)
	r = b.submit(b.get("/ui/profile"), "#profile", "fullName", "x\ny", "visibility", "none")
	require.Equal(t, 400, r.StatusCode, r.text)
	require.Equal(t, 1, r.doc.Find("#profile [aria-invalid]").Length()+r.doc.Find("#profile [role=alert]").Length())
	for _, path := range []string{"/ui/profile", "/ui/tokens", "/ui/sessions"} {
		require.Equal(t, "/ui/sign-in", s.browser(t).get(path).Request.URL.Path, path)
	}
	for _, path := range []string{"/ui/profile", "/ui/profile/password", "/ui/sessions", "/ui/sessions/everywhere",
		"/ui/sessions/x/end", "/ui/tokens/-/new"} {
		require.Equal(t, 401, s.browser(t).do(http.MethodPost, path, url.Values{}).StatusCode, path)
	}
}

// TestChangePassword: the old password is required, all sessions end, and the new one signs in.
func TestChangePassword(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	b, other := s.browser(t), s.browser(t)
	b.signIn("bob")
	other.signIn("bob")
	const fresh = "sunny cello marmot"
	for _, row := range []struct{ old, password, again, field string }{
		{"wrong", fresh, fresh, "old"}, {password, "short", "short", "password"}, {password, fresh, "other", "again"},
		{password, "bob bob bob bob bob", "bob bob bob bob bob", "password"},
	} {
		r := b.submit(b.get("/ui/profile"), "#password", "old", row.old, "password", row.password, "again", row.again)
		require.Contains(t, []int{400, 403}, r.StatusCode)
		require.Equal(t, "true", r.doc.Find("#password-"+row.field).AttrOr("aria-invalid", ""), "%+v %s", row, r.text)
		require.NotContains(t, string(r.body), `value="`+row.password)
	}
	r := b.submit(b.get("/ui/profile"), "#password", "old", password, "password", fresh, "again", fresh)
	require.Equal(t, "/ui/sign-in", r.Request.URL.Path)
	require.Contains(t, r.text, "Your password was changed, and all your sessions have ended.")
	time.Sleep(2 * refresh)
	require.Empty(t, other.caller())
	r = b.submit(r, "form.fields", "password", fresh)
	require.Equal(t, "/ui/profile", r.Request.URL.Path)
	require.Equal(t, "bob", b.caller())
}

// TestOwnTokens: a user makes, replaces and revokes the own tokens. The value is shown once, with
// the command of docker.
func TestOwnTokens(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	b := s.browser(t)
	b.signIn("ann")
	require.Contains(t, b.get("/ui/tokens").text, "There are no tokens yet.")
	r := b.submit(b.get("/ui/tokens/-/new"), "form.fields", "name", "laptop")
	require.Equal(t, 200, r.StatusCode)
	value := r.doc.Find("main code").First().Text()
	require.Regexp(t, `^rkp_`, value)
	require.Contains(t, r.text, "docker login")
	r = b.get("/ui/tokens")
	require.Contains(t, r.text, "laptop")
	require.NotContains(t, string(r.body), value)

	// A token is no session: it has no rights on the password and links, and shows no form for them.
	robot := s.browser(t)
	r = robot.do(http.MethodGet, "/ui/profile", nil, "Authorization", basic("ann", value))
	require.Equal(t, 200, r.StatusCode)
	require.Zero(t, r.doc.Find("#password").Length())
	require.Equal(t, 404, s.browser(t).do(http.MethodGet, "/ui/tokens/nothing/revoke", nil, "Authorization",
		basic("bob", password)).StatusCode)
	r = b.submit(b.get("/ui/tokens"+revokePath(t, b)), "form.fields")
	require.Contains(t, r.text, "The token was revoked.")
	require.Contains(t, r.text, "There are no tokens yet.")
}

// revokePath returns the path of the first token, below the list.
func revokePath(t *testing.T, b *browser) string {
	t.Helper()
	href := b.get("/ui/tokens").doc.Find(`a[href$="/revoke"]`).AttrOr("href", "")
	require.NotEmpty(t, href)
	return href[len("/ui/tokens"):]
}

// basic returns the header of a name and a password.
func basic(name, password string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// TestLinks: the profile shows the persons at providers, and removes and begins links.
func TestLinks(t *testing.T) {
	const issuer = "https://id.example"
	s := newSignInSite(t, nil, func(_ *site, _ *api.Options, page *web.Options, _ *signin.Options) {
		page.SignIn.Providers = []web.Provider{{Name: "company", Title: "The <b>company", Issuer: issuer},
			{Name: "other", Title: "Other", Issuer: "https://other.example"}}
	})
	r := s.browser(t).get("/ui/sign-in?return=/ui/profile")
	require.Equal(t, "/signin/oidc/company?return=%2Fui%2Fprofile",
		r.doc.Find("ul.providers a").First().AttrOr("href", ""))
	ann, err := s.people.Find(t.Context(), "ann")
	require.NoError(t, err)
	require.NoError(t, s.people.Link(t.Context(), accounts.Actor{},
		accounts.Person{Issuer: issuer, Subject: `"><script>1`}, ann.ID))
	b := s.browser(t)
	b.signIn("ann")
	r = b.get("/ui/profile")
	require.Contains(t, r.text, `The <b>company "><script>1`)
	require.Zero(t, r.doc.Find(`form[action="/signin/oidc/company/link"]`).Length(), "it is linked")
	link := r.doc.Find(`form[action="/signin/oidc/other/link"]`)
	require.Equal(t, "/ui/profile?done=linked", link.Find("input[name=return]").AttrOr("value", ""))
	remove := r.doc.Find(`a[href^="/ui/profile/links/"]`).AttrOr("href", "")
	r = b.submit(b.get(remove), "form.fields")
	require.Contains(t, r.text, "The link to the provider was removed.")
	require.Equal(t, 404, b.get(remove).StatusCode)
}

// TestManySessions: the list has pages, and the cost does not grow with the number.
func TestManySessions(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	b := s.browser(t)
	b.agent = `"><img src=x onerror=alert(1)>`
	b.signIn("ann")
	ann, err := s.people.Find(t.Context(), "ann")
	require.NoError(t, err)
	for i := range 70 {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("User-Agent", "tool/"+strconv.Itoa(i)+" (x)")
		_, _, err := s.sessions.Issue(r, session.Login{Account: ann.ID})
		require.NoError(t, err)
	}
	r := b.get("/ui/sessions")
	require.Equal(t, 50, r.doc.Find("tbody tr").Length())
	rest := b.get("/ui/sessions" + r.doc.Find("a[rel=next]").AttrOr("href", ""))
	require.Equal(t, 21, rest.doc.Find("tbody tr").Length())
	require.Contains(t, r.text+rest.text, "Command line (tool/1)")
	require.Contains(t, r.text+rest.text, `"><img src=x onerror=alert(1)>`)
	require.Equal(t, 1, r.doc.Find(".chip.good").Length()+rest.doc.Find(".chip.good").Length())
}
