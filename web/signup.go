package web

import (
	"github.com/registrykit/registry/api/types"
)

// signUpViews are the views in which people make their own accounts, and the operator makes the first admin.
func signUpViews() []view {
	return []view{
		{name: "sign-up", method: "GET", path: "/sign-up", part: "signup", handle: showSignUp},
		{name: "sign-up", method: "POST", path: "/sign-up", part: "signup", handle: signUp},
		{name: "setup", method: "GET", path: "/setup", part: "setup", handle: showSetUp},
		{name: "setup", method: "POST", path: "/setup", part: "setup", handle: setUp},
	}
}

// signUpPage is what the template "sign-up" shows.
type signUpPage struct {
	Form  *entry
	Rules types.PasswordRules
	// Return is where the browser goes after the sign-in, and SignIn is the URL of the sign-in, or "".
	Return, SignIn string
	// Plain is true if the network could read a password.
	Plain bool
}

func showSignUp(q *request) (*answer, error) {
	back := q.backFrom(q.values.Get("return"))
	p := signUpPage{Form: q.entry("sign-up", ""), Return: back, SignIn: q.page.signInURL(back), Plain: !q.confidential()}
	var err error
	if p.Rules, err = q.visitor.PasswordRules(q.Context()); err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Create an account"), p), nil
}

func signUp(q *request) (*answer, error) {
	e := q.typed("sign-up")
	if !q.passwordSafe(e) || !q.repeated(e) {
		return q.again(e, showSignUp)
	}
	user, err := q.visitor.SignUp(q.Context(), types.SignUp{Name: q.value("name"), Password: q.values.Get("password"),
		FullName: q.value("fullName"), Email: q.value("email")})
	if err != nil {
		if q.blameLimit(e, err) {
			return q.again(e, showSignUp)
		}
		return q.refuse(e, err, showSignUp, "name", "password", "fullName")
	}
	return q.toSignIn(user.Name, "created", q.backFrom(q.values.Get("return"))), nil
}

// toSignIn returns the redirect to the sign-in of the page, or to the start if the host signs people in.
func (q *request) toSignIn(name, done, back string) *answer {
	if !q.has("sign-in") {
		return q.to(q.page.opts.Path)
	}
	return q.to(q.page.path("sign-in"), "name", name, "done", done, "return", back)
}
