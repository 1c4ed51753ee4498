package web

import "slices"

// tokenViews are the views of the own tokens.
func tokenViews() []view {
	return slices.Concat([]view{{name: "tokens", method: "GET", path: "/tokens", part: "tokens", handle: showTokens}},
		tokenActions(ownTokens()))
}

// ownTokens is the place of the own tokens.
func ownTokens() tokenPlace {
	url := func(q *request) string { return q.page.path("tokens") }
	return tokenPlace{view: "tokens", path: "/tokens", actions: url, list: url,
		account: func(q *request) string { return q.visitor.Identity().Name }}
}

// ownTokenList is what the template "tokens" shows.
type ownTokenList struct {
	Tabs   []menuItem
	Notice *notice
	Tokens *tokenTable
}

// showTokens shows the tokens of the sender.
func showTokens(q *request) (*answer, error) {
	place := ownTokens()
	if err := mayTokens(q, &place); err != nil {
		return nil, err
	}
	tokens, err := q.tokenTable(&place, true)
	if err != nil {
		return nil, unlessDenied(err)
	}
	return q.show(q.language.Text("Tokens"), ownTokenList{Tabs: q.ownTabs(), Tokens: tokens,
		Notice: q.notice(map[string]string{"token-revoked": "The token was revoked."})}), nil
}
