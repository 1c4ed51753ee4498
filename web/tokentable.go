package web

import (
	"github.com/registrykit/registry/api/types"
)

// tokenPlace is where a page has the tokens of an account.
type tokenPlace struct {
	// view is the name of the views, and path the path of the actions below Options.Path, such as "/tokens".
	view, path string
	// account returns the name of the account, and actions the URL that path stands for in a request.
	account, actions func(*request) string
	// list returns the URL of the view that shows the tokens.
	list func(*request) string
}

// tokenTable is what the template part "tokens" shows.
type tokenTable struct {
	Tokens []tokenRow
	// Actions is the URL of the actions, and May reports whether the sender may perform them.
	Actions string
	May     bool
}

// tokenRow is a token.
type tokenRow struct {
	types.Token
	// Expired reports whether the token is invalid by now.
	Expired bool
}

// Replaced reports whether the token has a successor.
func (r tokenRow) Replaced() bool { return r.ReplacedBy != "" }

// tokenTable returns the tokens of an account, the newest first.
func (q *request) tokenTable(p *tokenPlace, may bool) (*tokenTable, error) {
	tokens, err := q.visitor.Tokens(q.Context(), p.account(q))
	if err != nil {
		return nil, err
	}
	table := &tokenTable{Actions: p.actions(q), May: may}
	for _, token := range tokens {
		row := tokenRow{Token: token, Expired: !token.Expires.IsZero() && token.Expires.Before(q.now)}
		table.Tokens = append(table.Tokens, row)
	}
	return table, nil
}
