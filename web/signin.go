package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signInViews are the views of the sign-in and the sign-out.
func signInViews() []view {
	signIn := func(o *Options) bool { return o.SignIn != nil }
	basic := func(o *Options) bool { return o.SignIn != nil && o.SignIn.Basic }
	return []view{
		{name: "sign-in", method: "GET", path: "/sign-in", needs: signIn, handle: showSignIn},
		{name: "sign-out", method: "GET", path: "/sign-out", needs: signIn, handle: showSignOut},
		{name: "sign-out", method: "POST", path: "/sign-out", needs: basic, handle: signOutBasic},
	}
}

// signInPage is what the template "sign-in" shows.
type signInPage struct {
	*SignIn
	// Name is the name that was typed, and Return is the path to which the browser goes afterwards.
	Name, Return string
	// Problem is the reason why a sign-in failed, and Detail is a text for people in English. Both may be "".
	Problem, Detail string
	// Plain is true if the network could read a password.
	Plain bool
	// Open is true if there is no admin yet.
	Open   bool
	Notice *notice
}

// signInPage returns the sign-in of a request.
func (q *request) signInPage() *signInPage {
	return &signInPage{SignIn: q.page.opts.SignIn, Return: q.backFrom(q.values.Get("return")), Plain: !q.confidential()}
}

// backFrom returns the local path to which a browser goes after a sign-in. Views of the sign-in become the start.
func (q *request) backFrom(target string) string {
	target = q.localPath(target)
	path, _, _ := strings.Cut(target, "?")
	if slices.Contains([]string{q.page.path("sign-in"), q.page.path("sign-out"), q.page.path("sign-up"),
		q.page.path("setup")}, path) {
		return q.page.opts.Path
	}
	return target
}

// signInDone are the texts of the sign-in after other changes.
var signInDone = map[string]string{
	"created":  "Your account was created. Sign in with it.",
	"admin":    "You are the first admin now. Sign in to begin.",
	"password": "Your password was changed, and all your sessions have ended. Sign in with the new password.",
}

func showSignIn(q *request) (*answer, error) {
	s := q.signInPage()
	if q.signedIn() {
		return q.to(s.Return), nil
	}
	s.Name, s.Notice = q.value("name"), q.notice(signInDone)
	if q.has("setup") {
		state, err := q.visitor.SetupState(q.Context())
		if err != nil {
			return nil, err
		}
		s.Open = state.Open
	}
	a := q.show(q.language.Text("Sign in"), s)
	if s.Basic && !s.Plain {
		q.challenge()
		a.status = http.StatusUnauthorized
	}
	return a, nil
}

// challenge makes the browser ask for a name and a password.
func (q *request) challenge() {
	q.writer.Header().Set("WWW-Authenticate", `Basic realm="registry", charset="UTF-8"`)
}

// signOutPage is what the template "sign-out" shows.
type signOutPage struct {
	// Form signs out. It is nil if nobody is signed in.
	Form *form
	Name string
	// Basic is true if the browser keeps the name and the password.
	Basic bool
	// Asked is true if the browser has been asked to forget them.
	Asked  bool
	Notice *notice
}

// signOutForm returns the form that signs out, or nil if the page has none.
func (p *Page) signOutForm() *form {
	s := p.opts.SignIn
	switch {
	case s == nil:
		return nil
	case s.Basic:
		return &form{URL: p.path("sign-out")}
	}
	after := p.opts.Path
	if p.has("sign-out") {
		after = p.path("sign-out")
	}
	return &form{URL: s.Path + "logout", Fields: []field{{Name: "return", Value: after}}}
}

func showSignOut(q *request) (*answer, error) {
	data := signOutPage{Basic: q.page.opts.SignIn.Basic, Notice: q.notice(map[string]string{
		"everywhere": "All your sessions have ended, on every device.",
	})}
	if !q.signedIn() {
		return q.show(q.language.Text("You are signed out"), data), nil
	}
	data.Form, data.Name = q.page.signOutForm(), q.visitor.Identity().Name
	return q.show(q.language.Text("Sign out"), data), nil
}

// signOutBasic refuses the name and the password that the browser has sent, so that it forgets them.
func signOutBasic(q *request) (*answer, error) {
	q.challenge()
	a := q.show(q.language.Text("You are signed out"), signOutPage{Basic: true, Asked: true})
	a.status = http.StatusUnauthorized
	return a, nil
}

// SignInFailure is an error of a sign-in. It has the fields of signin.Failure.
type SignInFailure struct {
	// Status is the HTTP status, and Code is a word for programs, such as "WRONG_PASSWORD".
	Status int
	Code   string
	// Message is a text for people, in English. The page has texts of its own for the known codes.
	Message string
	// RetryAfter is how long the client should wait, or zero.
	RetryAfter time.Duration
	// Name is the name in the form, and Return is the local path to which the browser would have gone.
	Name, Return string
}

// failureTexts are the texts of the codes of failures.
var failureTexts = map[string]string{
	"WRONG_PASSWORD":  "The name or the password is wrong.",
	"CROSS_ORIGIN":    "A page of another origin sent the form. Sign in here.",
	"PLAIN_HTTP":      "The sign-in needs TLS. Nothing was checked.",
	"UNKNOWN_ATTEMPT": "This sign-in was not begun in this browser, or more than ten minutes ago. Sign in again.",
	"WRONG_CODE":      "The provider rejects the sign-in. Sign in again.",
	"WRONG_TOKEN":     "The answer of the provider is not valid here. Tell an admin.",
	"ACCESS_DENIED":   "The sign-in was refused at the provider.",
	"NOT_PERMITTED":   "The provider knows you, but you may not sign in here.",
	"TOO_MANY_GROUPS": "You are in too many groups: the provider does not send them. Tell an admin.",
	"NOT_LINKED":      "You have no account here. Sign in with your password and link it, or ask an admin.",
	"LINKED":          "That person is linked to another account.",
	"NAME_TAKEN": "The name is taken or not permitted. " +
		"If the account is yours, sign in with its password and link it.",
	"UNAUTHORIZED":         "Sign in again to link your account.",
	"ACCOUNT_DISABLED":     "The account is disabled or removed. Ask an admin.",
	"PROVIDER_UNAVAILABLE": "The provider cannot be reached now. Try again later.",
	"UNAVAILABLE":          "The storage does not respond. Nothing was lost. Try again in a moment.",
}

// text returns the text of a failure.
func (f *SignInFailure) text(q *request) (text, detail string) {
	t := q.language.Text
	if f.Status == http.StatusTooManyRequests {
		return t("Too many attempts. Try again in %s.", q.language.Duration(max(f.RetryAfter, time.Second))), ""
	}
	if text, ok := failureTexts[f.Code]; ok {
		return t(text), ""
	}
	if f.Status >= http.StatusInternalServerError {
		return t("Something went wrong. The operator finds the reason in the log."), ""
	}
	return t("The sign-in failed."), f.Message
}

// SignInFailed shows the sign-in again after a failure, with the name that was typed and without the password. It is
// for signin.Options.Fail.
func (p *Page) SignInFailed(w http.ResponseWriter, r *http.Request, f SignInFailure) {
	restrict(w.Header())
	w.Header().Set("Referrer-Policy", "strict-origin") // the URL of a callback has a code
	asked := r.Clone(r.Context())
	asked.Method, asked.Body, asked.ContentLength = http.MethodGet, http.NoBody, 0
	asked.URL = &url.URL{Path: p.opts.Mount + "sign-in"}
	q := &request{Request: asked, page: p, writer: w, language: p.languages.Choose(r), now: p.now(),
		values: url.Values{"return": {f.Return}}}
	q.visitor, _ = p.api.Visit(asked) // without a caller, the page has no menu
	if !p.has("sign-in") {
		p.fail(q, &failure{f.Status, f.Message})
		return
	}
	asked.URL.RawQuery = url.Values{"return": {q.backFrom(f.Return)}}.Encode()
	s := q.signInPage()
	s.Name, s.Plain = f.Name, s.Plain || f.Code == "PLAIN_HTTP"
	s.Problem, s.Detail = f.text(q)
	a := &answer{status: f.Status, template: "sign-in", title: q.language.Text("Sign in"), data: s}
	if err := p.respond(q, a); err != nil {
		p.log.ErrorContext(r.Context(), "page", "path", asked.URL.Path, "error", err)
		http.Error(w, f.Message, f.Status)
	}
}
