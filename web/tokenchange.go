package web

import (
	"strconv"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// tokenActions returns the views that create, replace and revoke the tokens of a place.
func tokenActions(p tokenPlace) []view {
	add := func(method, path string, handle func(*request, *tokenPlace) (*answer, error)) view {
		return view{name: p.view, method: method, path: p.path + path, part: "tokens",
			handle: func(q *request) (*answer, error) { return handle(q, &p) }}
	}
	return []view{
		add("GET", "/-/new", showNewToken), add("POST", "/-/new", createToken),
		add("GET", "/{token}/replace", showReplaceToken), add("POST", "/{token}/replace", replaceToken),
		add("GET", "/{token}/revoke", showRevokeToken), add("POST", "/{token}/revoke", revokeToken),
	}
}

// tokenForm is what the template "token-new" shows.
type tokenForm struct {
	Account string
	Form    *entry
	// URL is where the form is sent, and Back the page to go back to.
	URL, Back string
	Times     []option
	Grants    *grantForm
}

// tokenMade is what the template "token-made" shows.
type tokenMade struct {
	types.CreatedToken
	Account, Host, Back string
}

// mayTokens returns an error unless the sender may change the tokens of a place.
func mayTokens(q *request, p *tokenPlace) error {
	return q.need(q.mayAccount(p.account(q), auth.Manage))
}

func showNewToken(q *request, p *tokenPlace) (*answer, error) {
	if err := mayTokens(q, p); err != nil {
		return nil, err
	}
	t := q.language.Text
	e := q.entry("token", "", "days", "90")
	form := tokenForm{Account: p.account(q), Form: e, URL: p.actions(q) + "/-/new", Back: p.list(q),
		Times: []option{{"7", t("in 7 days")}, {"30", t("in 30 days")}, {"90", t("in 90 days")}, {"365", t("in a year")},
			{"0", t("never")}},
		Grants: q.grantForm(e, nil, 2, t(
			"Without rows, the token has all permissions of the account. Patterns match whole names, such as acme/**."))}
	return &answer{title: t("New token"), template: "token-new", data: form}, nil
}

func createToken(q *request, p *tokenPlace) (*answer, error) {
	if err := mayTokens(q, p); err != nil {
		return nil, err
	}
	e := q.typed("token")
	token := types.NewToken{Name: q.value("name")}
	if days, err := strconv.Atoi(q.value("days")); err == nil && days > 0 && days <= 36500 {
		token.Expires = q.now.Add(time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
	} else if q.value("days") != "0" {
		return nil, errInvalid("The form is malformed.")
	}
	if grants := q.grants(); len(grants) > 0 {
		token.Scopes = grants
	}
	made, err := q.visitor.CreateToken(q.Context(), p.account(q), token, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, func(q *request) (*answer, error) { return showNewToken(q, p) }, "name", "pattern")
	}
	return q.tokenMade(p, made), nil
}

// tokenMade shows the value of a new token. It is in no URL, and no browser keeps the response.
func (q *request) tokenMade(p *tokenPlace, made types.CreatedToken) *answer {
	return &answer{title: q.language.Text("Token created"), template: "token-made",
		data: tokenMade{CreatedToken: made, Account: p.account(q), Host: q.registryHost(), Back: p.list(q)}}
}

// tokenConfirmation returns what a confirmation about a token has in common.
func tokenConfirmation(q *request, p *tokenPlace, action string) (*types.Token, *confirmation, error) {
	if err := mayTokens(q, p); err != nil {
		return nil, nil, err
	}
	token, version, err := q.visitor.Token(q.Context(), p.account(q), q.param("token"))
	if err != nil {
		return nil, nil, unlessDenied(err)
	}
	return &token, &confirmation{URL: p.actions(q) + "/" + token.ID + "/" + action, Cancel: p.list(q),
		Form: q.reasoned(q.entry(action, version, "grace", graceDefault))}, nil
}

func showReplaceToken(q *request, p *tokenPlace) (*answer, error) {
	token, c, err := tokenConfirmation(q, p, "replace")
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c.Title, c.Button = t("Replace the token %s", inert(token.Name)), t("Replace the token")
	c.Points = []string{t("A new token with the same name and permissions is created and shown once."),
		t("It lasts as long as the old token was made for.")}
	c.ChoiceName, c.ChoiceLabel = "grace", t("The old token ends")
	c.Choices = q.graceTimes()
	return q.confirm(c)
}

func replaceToken(q *request, p *tokenPlace) (*answer, error) {
	if err := mayTokens(q, p); err != nil {
		return nil, err
	}
	e := q.typed("replace")
	grace, err := strconv.Atoi(q.value("grace"))
	if err != nil || grace < 0 || grace > 365*24*3600 {
		return nil, errInvalid("The form is malformed.")
	}
	made, err := q.visitor.RotateToken(q.Context(), p.account(q), q.param("token"), q.version(),
		time.Duration(grace)*time.Second, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, func(q *request) (*answer, error) { return showReplaceToken(q, p) }, "reason")
	}
	return q.tokenMade(p, made), nil
}

func showRevokeToken(q *request, p *tokenPlace) (*answer, error) {
	token, c, err := tokenConfirmation(q, p, "revoke")
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c.Title, c.Button = t("Revoke the token %s", inert(token.Name)), t("Revoke the token")
	c.Points = []string{t("Programs that use it can no longer log in. This cannot be undone.")}
	if !token.LastUsed.IsZero() {
		c.Points = append(c.Points, t("It was last used %s.", q.language.Ago(token.LastUsed, q.now)))
	}
	return q.confirm(c)
}

func revokeToken(q *request, p *tokenPlace) (*answer, error) {
	e := q.typed("revoke")
	err := q.visitor.RevokeToken(q.Context(), p.account(q), q.param("token"), q.version(), q.changeOptions())
	if err != nil {
		return q.refuse(e, err, func(q *request) (*answer, error) { return showRevokeToken(q, p) }, "reason")
	}
	return q.to(p.list(q), "done", "token-revoked"), nil
}

// changeOptions returns the options of a change of accounts that the form has.
func (q *request) changeOptions() *client.ChangeOptions {
	return &client.ChangeOptions{Reason: q.value("reason"), Force: q.value("force") == "true"}
}

// reasoned lets a form ask admins for a reason.
func (q *request) reasoned(e *entry) *entry {
	e.Reason = q.admin()
	return e
}

// admin reports whether the sender may manage all accounts.
func (q *request) admin() bool { return q.mayRegistry(auth.NameAccounts, auth.Manage) }
