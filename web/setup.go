package web

import (
	"net/http"
	"time"

	"github.com/registrykit/registry/api/types"
)

// The cookie with the one-time token of the setup, between the link of the operator and the form. So the token is in no
// further URL, and in no Referer.
const (
	setUpCookie   = "registry-setup"
	setUpTime     = time.Hour
	maxSetUpToken = 100 // characters
)

// setUpPage is what the template "setup" shows.
type setUpPage struct {
	Form  *entry
	Rules types.PasswordRules
	// Known is true if the browser has sent a token. Otherwise the operator types it.
	Known bool
	// Plain is true if the network could read a password.
	Plain bool
	// Closed is true if there is an admin.
	Closed bool
	SignIn string
}

// showSetUp shows the form for the first admin. It is the same for a wrong token and for the right one.
func showSetUp(q *request) (*answer, error) {
	if token := q.values.Get("token"); token != "" && q.Method != http.MethodPost {
		q.setUpCookie(token, setUpTime)
		return q.to(q.page.path("setup")), nil
	}
	t := q.language.Text
	p := setUpPage{Form: q.entry("setup", ""), Known: q.setUpToken() != "", Plain: !q.confidential(),
		SignIn: q.page.signInURL(q.page.opts.Path)}
	state, err := q.visitor.SetupState(q.Context())
	if err != nil {
		return nil, err
	}
	if !state.Open {
		p.Closed = true
		q.setUpCookie("", -1)
		return &answer{status: http.StatusGone, title: t("There is an admin"), data: p}, nil
	}
	if p.Form.Error("token") != "" {
		p.Known = false
	}
	if q.page.api.Has("password") {
		if p.Rules, err = q.visitor.PasswordRules(q.Context()); err != nil {
			return nil, err
		}
	}
	return q.show(t("Make the first admin"), p), nil
}

// setUp makes the first admin. A token in the form counts before that of the cookie.
func setUp(q *request) (*answer, error) {
	e := q.typed("setup")
	if !q.passwordSafe(e) || !q.repeated(e) {
		return q.again(e, showSetUp)
	}
	user, err := q.visitor.SetUp(q.Context(), types.Setup{Token: q.setUpToken(), Name: q.value("name"),
		Password: q.values.Get("password")})
	switch {
	case answeredWith(err, "WRONG_SETUP_TOKEN") != nil:
		e.status = answeredWith(err, "WRONG_SETUP_TOKEN").Status
		e.fail("token", q.language.Text(
			"This token was used, or a later one has replaced it. The log of the registry has the last one."))
		return q.again(e, showSetUp)
	case err != nil:
		return q.refuse(e, err, showSetUp, "name", "password")
	}
	q.setUpCookie("", -1)
	return q.toSignIn(user.Name, "admin", q.page.opts.Path), nil
}

// setUpToken returns the token of the form or the cookie, or "".
func (q *request) setUpToken() string {
	if token := q.PostForm.Get("token"); token != "" {
		return token
	}
	if c, err := q.Cookie(setUpCookie); err == nil {
		return c.Value
	}
	return ""
}

// setUpCookie sets the cookie or, with a negative age, removes it. A value that is no token is not stored.
func (q *request) setUpCookie(token string, age time.Duration) {
	if len(token) > maxSetUpToken {
		return
	}
	seconds := int(age / time.Second)
	if age < 0 {
		seconds = -1
	}
	http.SetCookie(q.writer, &http.Cookie{Name: setUpCookie, Value: token, Path: q.page.path("setup"), MaxAge: seconds,
		HttpOnly: true, Secure: q.TLS != nil, SameSite: http.SameSiteLaxMode})
}
