package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// signUps lets people make their own accounts.
func signUps(t *testing.T) func(*site, *api.Options, *web.Options, *signin.Options) {
	return func(s *site, manage *api.Options, _ *web.Options, _ *signin.Options) {
		var err error
		manage.SignUp, err = accounts.NewSignUps(s.people, nil)
		require.NoError(t, err)
	}
}

// TestSignUp: somebody makes an account, signs in with it, and ends where they wanted to go.
func TestSignUp(t *testing.T) {
	s := newSignInSite(t, nil, signUps(t))
	b := s.browser(t)
	r := b.get("/ui/sign-in?return=/ui/tokens")
	link := r.doc.Find(`a[href^="/ui/sign-up"]`).AttrOr("href", "")
	r = b.get(link)
	require.Contains(t, r.text, "At least 15 characters.")
	form := []string{"name", "fresh", "password", "sunny cello marmot", "again", "sunny cello marmot",
		"fullName", "Fresh <b>",
		"email", "fresh@example.com"}
	r = b.submit(r, "form.fields", form...)
	require.Equal(t, "/ui/sign-in", r.Request.URL.Path)
	require.Contains(t, r.text, "Your account was created.")
	require.Equal(t, "fresh", r.doc.Find("#sign-in-name").AttrOr("value", ""))
	r = b.submit(r, "form.fields", "password", "sunny cello marmot")
	require.Equal(t, "/ui/tokens", r.Request.URL.Path)
	require.Equal(t, "fresh", b.caller())
	require.Contains(t, b.get("/ui/profile").doc.Find(".facts").Text(), "Fresh <b>")
}

// TestSignUpRefused: the form stays with what was typed, except for the passwords, and says what is wrong at the field.
func TestSignUpRefused(t *testing.T) {
	for _, row := range []struct {
		name, password, again string
		status                int
		field, text           string
	}{
		{"ann", "sunny cello marmot", "sunny cello marmot", 409, "name", "taken"},
		{"Fresh", "sunny cello marmot", "sunny cello marmot", 400, "name", "lower-case letters"},
		{`"><script>alert(1)</script>`, "sunny cello marmot", "sunny cello marmot", 400, "name", "lower-case letters"},
		{"fresh", "short", "short", 400, "password", "at least 15 characters"},
		{"fresh", "aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaa", 400, "password", ""},
		{"fresh", "sunny cello marmot", "sunny cello", 400, "again", "The passwords differ."},
		{"fresh", "", "", 400, "password", ""},
		{"admin", "sunny cello marmot", "sunny cello marmot", 409, "name", ""},
	} {
		s := newSignInSite(t, nil, signUps(t)) // attempts are limited
		b := s.browser(t)
		r := b.submit(b.get("/ui/sign-up"), "form.fields", "name", row.name, "password", row.password, "again", row.again,
			"fullName", "Somebody", "email", "a@example.com")
		require.Equal(t, row.status, r.StatusCode, "%+v %s", row, r.text)
		field := r.doc.Find("#sign-up-" + row.field)
		require.Equal(t, "true", field.AttrOr("aria-invalid", ""), "%+v %s", row, r.text)
		require.Contains(t, r.doc.Find("#sign-up-"+row.field+"-error").Text(), row.text, row.name)
		require.Contains(t, field.AttrOr("aria-describedby", ""), "-error")
		require.Equal(t, row.name, r.doc.Find("#sign-up-name").AttrOr("value", ""))
		require.Equal(t, "Somebody", r.doc.Find("#sign-up-fullName").AttrOr("value", ""))
		require.Empty(t, r.doc.Find("#sign-up-password").AttrOr("value", ""))
		if row.password != "" {
			require.NotContains(t, string(r.body), row.password)
		}
	}
	s := newSignInSite(t, nil, signUps(t))
	b := s.browser(t)
	var r *response
	for range 11 {
		r = b.do(http.MethodPost, "/ui/sign-up", url.Values{"name": {"ann"}, "password": {"sunny cello marmot"},
			"again": {"sunny cello marmot"}})
	}
	require.Equal(t, 429, r.StatusCode)
	require.Contains(t, r.text, "Too many attempts. Try again in")
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Equal(t, 404, newSignInSite(t, nil, nil).browser(t).get("/ui/sign-up").StatusCode, "without the part")
}

// TestSetUp: the link of the operator makes the first admin once, and its token is in no other URL.
func TestSetUp(t *testing.T) {
	d := memory.New(nil)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	token, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	s := newSignInSite(t, d, nil)
	b := s.browser(t)
	require.Contains(t, b.get("/ui/sign-in").text, "There is no admin yet.")
	r := b.get("/ui/setup?token=" + token.Value())
	require.Equal(t, "/ui/setup", r.Request.URL.RequestURI())
	require.NotContains(t, string(r.body), token.Value())
	require.Zero(t, r.doc.Find("#setup-token").Length())
	for _, short := range []string{"short", "aaaaaaaaaaaaaaaaaaaa"} {
		r = b.submit(r, "form.fields", "name", "root", "password", short, "again", short)
		require.Equal(t, 400, r.StatusCode, r.text)
		require.Equal(t, "root", r.doc.Find("#setup-name").AttrOr("value", ""))
	}
	r = b.submit(r, "form.fields", "name", "chief", "password", password, "again", password)
	require.Contains(t, r.text, "You are the first admin now.")
	require.Equal(t, 200, b.submit(r, "form.fields", "password", password).StatusCode)
	require.Equal(t, "chief", b.caller())
	require.Equal(t, 200, b.get("/ui/users").StatusCode)

	r = b.get("/ui/setup?token=" + token.Value())
	require.Equal(t, 410, r.StatusCode)
	require.Contains(t, r.text, "There is an admin")
	require.NotContains(t, b.get("/ui/sign-in").text, "There is no admin yet.")
}

// TestSetUpWithWrongToken: the form asks for another token. It is the same for everybody until it is sent.
func TestSetUpWithWrongToken(t *testing.T) {
	d := memory.New(nil)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	token, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	s := newSignInSite(t, d, nil)
	b := s.browser(t)
	r := b.get("/ui/setup?token=WRONG")
	r = b.submit(r, "form.fields", "name", "chief", "password", password, "again", password)
	require.Equal(t, 403, r.StatusCode)
	require.Contains(t, r.doc.Find("#setup-token-error").Text(), "This token was used, or a later one has replaced it.")
	require.Empty(t, r.doc.Find("#setup-token").AttrOr("value", ""))
	r = b.submit(r, "form.fields", "token", token.Value(), "password", password, "again", password)
	require.Contains(t, r.text, "You are the first admin now.")
	require.Equal(t, 1, s.browser(t).get("/ui/sign-in").doc.Find("form.fields").Length())
	require.Equal(t, 303, s.browser(t).steps().get("/ui/setup?token="+strings.Repeat("x", 5000)).StatusCode)
}
