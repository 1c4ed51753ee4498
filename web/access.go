package web

import (
	"errors"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// accessViews are the views of the question who may do what.
func accessViews() []view {
	return []view{{name: "access", method: "GET", path: "/access", part: "explain", handle: showAccess}}
}

// accessPage is what the template "access" shows.
type accessPage struct {
	Form *entry
	// Others reports whether the sender may ask about other callers, and see the rules.
	Others        bool
	Callers, Acts []option
	Answer        *accessAnswer
	Rules         []types.Rule
	// Text is the file of the rules, or "".
	Text string
}

// accessAnswer is the answer to a question.
type accessAnswer struct {
	Allowed bool
	// Sentence is the answer, and Why what has decided, in words. Rule is the name of a rule of a file, or "".
	Sentence, Why, Rule string
	Groups              []string
}

// The values of the field "who" of the question.
const (
	whoSelf      = ""
	whoAccount   = "account"
	whoAnonymous = "anonymous"
	whoName      = "name"
)

// maxAsked is the maximum number of groups of a question.
const maxAsked = 100

// showAccess asks the question of the query, if it has one. The question changes nothing, so it is in the address.
func showAccess(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	t := q.language.Text
	p := accessPage{Others: q.mayRegistry(auth.NameRules, auth.Read), Form: q.entry("access", "", "who", q.value("who"),
		"account", q.value("account"), "name", q.value("name"), "groups", q.value("groups"), "repository",
		q.value("repository"), "action", q.value("action"), "tag", q.value("tag"))}
	p.Callers = []option{{whoSelf, t("you")}, {whoAccount, t("a user or robot")},
		{whoAnonymous, t("people who have not signed in")},
		{whoName, t("somebody without an account, such as a CI job")}}
	p.Acts = []option{{string(auth.Pull), t("pull")}, {string(auth.Push), t("push")},
		{string(auth.Overwrite), t("move a tag")}, {string(auth.Delete), t("delete")},
		{string(auth.Manage), t("change settings")}}
	if q.values.Has("repository") {
		if err := q.ask(&p); err != nil {
			return nil, err
		}
	}
	if p.Others && q.page.api.Has("rules") {
		rules, err := q.visitor.Rules(q.Context())
		if err != nil {
			return nil, err
		}
		p.Rules, p.Text = rules.Items, rules.Text
	}
	a := q.show(t("Access"), p)
	a.status = p.Form.status
	return a, nil
}

// ask sends the question to the API, and puts the answer or what is wrong with the question into the page.
func (q *request) ask(p *accessPage) error {
	question, ok := q.question(p)
	if !ok {
		return nil
	}
	explained, err := q.visitor.Explain(q.Context(), question)
	refused := malformed(err)
	switch {
	case err == nil:
		p.Answer = q.explained(&question, &explained)
		return nil
	case errors.Is(err, client.ErrNotFound):
		p.Form.fail("account", q.language.Text("There is no user or robot of this name."))
		return nil
	case refused != nil:
		field := "repository"
		if strings.Contains(refused.Detail, "tag") {
			field = "tag"
		}
		p.Form.fail(field, q.language.Text("This is no name of a repository or tag.")+" "+inert(refused.Detail))
		return nil
	}
	return err
}

// question returns the question of the query. It reports false for one that is not complete.
func (q *request) question(p *accessPage) (ask types.ExplainRequest, ok bool) {
	t := q.language.Text
	missing := func(field, text string) (types.ExplainRequest, bool) {
		p.Form.fail(field, t(text))
		return ask, false
	}
	ask.Accesses = []types.Access{{Type: auth.TypeRepository, Name: q.value("repository"), Action: q.value("action"),
		Tag: q.value("tag")}}
	who := q.value("who")
	switch { // a caller whose name was typed is meant, also without the choice
	case who == whoSelf && q.value("account") != "":
		who = whoAccount
	case who == whoSelf && q.value("name") != "":
		who = whoName
	}
	p.Form.values.Set("who", who)
	switch who {
	case whoAccount:
		if ask.Account = q.value("account"); ask.Account == "" {
			return missing("account", "Type the name of a user or robot.")
		}
	case whoAnonymous:
		ask.Anonymous = true
	case whoName:
		if ask.Name = q.value("name"); ask.Name == "" {
			return missing("name", "Type a name.")
		}
		ask.Groups = strings.FieldsFunc(q.value("groups"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
		if len(ask.Groups) > maxAsked {
			return missing("groups", "At most 100 groups are possible.")
		}
	}
	if q.value("repository") == "" {
		return missing("repository", "Type the name of a repository.")
	}
	return ask, true
}

// explained returns an answer of the API in words.
func (q *request) explained(ask *types.ExplainRequest, e *types.Explanation) *accessAnswer {
	t := q.language.Text
	a := &accessAnswer{Allowed: e.Allowed, Groups: e.Groups}
	who := e.Name
	switch {
	case ask.Anonymous:
		who = t("People who have not signed in")
	case who == "":
		who = t("You")
	}
	asked := ask.Accesses[0]
	a.Sentence = t(accessSentence(auth.Action(asked.Action), e.Allowed), inert(who), asked.Name)
	for _, one := range e.Accesses {
		a.Why, a.Rule = q.reason(one.Rule, one.Allowed)
	}
	return a
}

// accessSentence returns the answer about an action. Its arguments are a caller and a repository.
func accessSentence(action auth.Action, allowed bool) string {
	sentences := map[auth.Action][2]string{
		auth.Pull:      {"%s may not pull from %s.", "%s may pull from %s."},
		auth.Push:      {"%s may not push to %s.", "%s may push to %s."},
		auth.Overwrite: {"%s may not move a tag of %s.", "%s may move a tag of %s."},
		auth.Delete:    {"%s may not delete in %s.", "%s may delete in %s."},
		auth.Manage:    {"%s may not change the settings of %s.", "%s may change the settings of %s."},
	}
	pair, ok := sentences[action]
	if !ok {
		pair = [2]string{"%s may not do this in %s.", "%s may do this in %s."}
	}
	if allowed {
		return pair[1]
	}
	return pair[0]
}
