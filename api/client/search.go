package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/registry/api/types"
)

// Search finds repositories and accounts. kind is "repository", "user", "organisation", or "" for all. limit is the
// maximum number of results; 0 means that of the server.
func (c *Client) Search(ctx context.Context, query, kind string, limit int) (types.SearchList, error) {
	q := url.Values{"q": {query}}
	text(q, "kind", kind)
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	found, _, err := get[types.SearchList](ctx, c, path("search"), q)
	return found, err
}

// Rules returns the rules of access that the registry has from a file.
func (c *Client) Rules(ctx context.Context) (types.RuleList, error) {
	rules, _, err := get[types.RuleList](ctx, c, path("rules"), nil)
	return rules, err
}

// Explain returns whether a caller has permissions, and which rules decide.
func (c *Client) Explain(ctx context.Context, question types.ExplainRequest) (types.Explanation, error) {
	answer, _, err := change[types.Explanation](ctx, c, call{method: http.MethodPost, path: path("rules", "explain"),
		in: question})
	return answer, err
}
