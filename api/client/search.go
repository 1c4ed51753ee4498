package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/registry/api/types"
)

// SearchOptions are the options of [Client.Search]. nil means the zero SearchOptions.
type SearchOptions struct {
	// Kind is "repository", "tag", "image", "user", "organisation", or "" for all.
	Kind string
	// Limit is the maximum number of results. Each is the maximum number of each kind. Zero means
	// the default of the server, or no maximum for Each.
	Limit, Each int
}

// Search finds repositories, tags, images and accounts. opts may be nil.
func (c *Client) Search(ctx context.Context, query string, opts *SearchOptions) (types.SearchList, error) {
	q := url.Values{"q": {query}}
	if opts != nil {
		text(q, "kind", opts.Kind)
		for name, n := range map[string]int{"limit": opts.Limit, "each": opts.Each} {
			if n > 0 {
				q.Set(name, strconv.Itoa(n))
			}
		}
	}
	found, _, err := get[types.SearchList](ctx, c, path("search"), q)
	return found, err
}

// Namespaces lists the prefixes of repository names directly below a prefix, sorted by name. "" is the prefix of the
// first components. p selects a page of the list, and gets the cursor of the following one. nil means the first page.
func (c *Client) Namespaces(ctx context.Context, prefix string, p *Page) (list types.NamespaceList, err error) {
	if p == nil {
		p = &Page{}
	}
	q := url.Values{}
	text(q, "prefix", prefix)
	p.startAt(q)
	res, err := c.send(ctx, call{method: http.MethodGet, path: path("namespaces"), query: q})
	if err != nil {
		return list, err
	}
	defer res.Body.Close()
	if err = json.NewDecoder(io.LimitReader(res.Body, maxResponse)).Decode(&list); err != nil {
		return list, fmt.Errorf("client: GET %s: %w", path("namespaces"), err)
	}
	p.Next = nextCursor(res.Header)
	return list, nil
}

// SharedLayers returns which images begin with the same layers as an image. limit is the maximum number of images; 0
// means that of the server.
func (c *Client) SharedLayers(ctx context.Context, repository, reference string, limit int) (types.Sharing, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	found, _, err := get[types.Sharing](ctx, c, path("repositories", repository, "manifests", reference, "shared"), q)
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
