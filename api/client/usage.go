package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/registry/api/types"
)

// Usage returns what a prefix of repository names holds. The prefix "" is the whole storage.
func (c *Client) Usage(ctx context.Context, prefix string) (types.Usage, error) {
	q := url.Values{}
	text(q, "prefix", prefix)
	u, _, err := get[types.Usage](ctx, c, path("usage"), q)
	return u, err
}

// UsageOf returns what a repository holds.
func (c *Client) UsageOf(ctx context.Context, repository string) (types.Usage, error) {
	u, _, err := get[types.Usage](ctx, c, path("repositories", repository, "usage"), nil)
	return u, err
}

// UsageBelow lists what the prefixes and repositories directly below a prefix hold.
func (c *Client) UsageBelow(ctx context.Context, prefix string) iter.Seq2[types.Usage, error] {
	q := url.Values{}
	text(q, "prefix", prefix)
	return list[types.Usage](ctx, c, path("usage", "children"), q)
}

// Largest returns the largest repositories below a prefix, at most limit or 20. 0 means the default of the server.
func (c *Client) Largest(ctx context.Context, prefix string, limit int) ([]types.Usage, error) {
	q := url.Values{}
	text(q, "prefix", prefix)
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	all, _, err := get[types.UsageList](ctx, c, path("usage", "largest"), q)
	return all.Items, err
}

// QuotaLimits lists the limits of prefixes.
func (c *Client) QuotaLimits(ctx context.Context) iter.Seq2[types.QuotaLimit, error] {
	return list[types.QuotaLimit](ctx, c, path("quota", "limits"), nil)
}

// Quotas lists what is used of the limits.
func (c *Client) Quotas(ctx context.Context) iter.Seq2[types.Quota, error] {
	return list[types.Quota](ctx, c, path("quotas"), nil)
}

// wholeStorage stands for the prefix "" in a path.
const wholeStorage = "~"

// Quota returns what is used of the limit of a prefix.
func (c *Client) Quota(ctx context.Context, prefix string) (types.Quota, error) {
	q, _, err := get[types.Quota](ctx, c, path("quotas", segment(prefix)), nil)
	return q, err
}

// Recount counts again what is used of the limit of a prefix.
func (c *Client) Recount(ctx context.Context, prefix string) (types.Quota, error) {
	q, _, err := change[types.Quota](ctx, c, call{method: http.MethodPost,
		path: path("quotas", segment(prefix), "recount")})
	return q, err
}

// segment returns a prefix as a segment of a path.
func segment(prefix string) string {
	if prefix == "" {
		return wholeStorage
	}
	return prefix
}
