package web

import "strings"

// reasonText is what the page says for a reason that the accounts give for a decision.
type reasonText struct {
	// before, between and after enclose the one or two names in the reason.
	before, between, after string
	// text is in English.
	text string
}

// reasonTexts returns the texts of all reasons of the accounts.
func reasonTexts() []reasonText {
	return []reasonText{
		{before: "the user of the namespace ", text: "The namespace %s is the user's own."},
		{before: "the user ", text: "The account %s is the user's own."},
		{before: "an owner of ", text: "The user is an owner of %s."},
		{before: "a member of ", text: "The user is a member of %s."},
		{before: "an admin of the registry", text: "The user is an admin of the registry."},
		{before: "callers with a name list the catalog", text: "Everybody who has signed in may list the repositories."},
		{before: "an account that does not exist", text: "The account does not exist."},
		{before: "the namespace of ", after: " is disabled or removed", text: "The namespace of %s is disabled or removed."},
		{before: "the scopes of a secret of ", text: "The permissions of the token of %s do not include it."},
		{before: "a secret of ", after: " that was revoked", text: "The token of %s was revoked."},
		{before: "a secret of ", after: " that has expired", text: "The token of %s has expired."},
		{before: "a team of ", between: " grants ", after: "", text: "A team of %s gives the role %s."},
		{after: " is public", text: "The repository %s is public."},
		{after: " is removed", text: "The account %s was deleted."},
		{after: " is disabled", text: "The account %s is disabled."},
		{between: " has ", text: "The account %s has the role %s."},
	}
}

// match returns the names in a reason that has this form.
func (r *reasonText) match(reason string) (names []any, ok bool) {
	rest, begins := strings.CutPrefix(reason, r.before)
	rest, ends := strings.CutSuffix(rest, r.after)
	if !begins || !ends {
		return nil, false
	}
	if r.between != "" {
		first, second, found := strings.Cut(rest, r.between)
		return []any{first, second}, found
	}
	if rest == "" {
		return nil, !strings.Contains(r.text, "%s")
	}
	return []any{rest}, strings.Contains(r.text, "%s")
}

// reason returns what has decided, in words. rule is the name of the rule of a file that has decided, or "".
func (q *request) reason(decided string, allowed bool) (text, rule string) {
	t := q.language.Text
	reason, own := strings.CutPrefix(decided, "accounts: ")
	switch {
	case decided == "" && allowed:
		return t("The registry gives no reason."), ""
	case decided == "":
		return t("Nothing permits it: no rule, and no role of the account."), ""
	case !own && allowed:
		return t("This rule permits it:"), decided
	case !own:
		return t("This rule forbids it:"), decided
	}
	for _, r := range reasonTexts() {
		if names, ok := r.match(reason); ok {
			return t(r.text, r.inPattern(q, names)...), ""
		}
	}
	return inert(reason), ""
}

// inPattern returns the arguments of the text: a role with a pattern, such as "write in app/**", becomes words.
func (r *reasonText) inPattern(q *request, names []any) []any {
	if r.between == "" || len(names) != 2 {
		return names
	}
	if role, pattern, ok := strings.Cut(names[1].(string), " in "); ok {
		names[1] = q.language.Text("%s in %s", q.language.Text(role), inert(pattern))
	}
	return names
}
