package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/registry/api/types"
)

// RetentionRules returns the retention rules of the registry.
func (c *Client) RetentionRules(ctx context.Context) (types.RetentionRules, error) {
	rules, _, err := get[types.RetentionRules](ctx, c, path("retention", "rules"), nil)
	return rules, err
}

// RetentionPlan evaluates the rules and returns the plan as a stream, which the caller closes. A stream that ends with
// an error is no plan. Nothing is removed.
func (c *Client) RetentionPlan(ctx context.Context) (io.ReadCloser, error) {
	res, err := c.send(ctx, call{method: http.MethodPost, path: path("retention", "plans")})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// ApplyRetention removes what a plan lets go. With dryRun, it only counts.
func (c *Client) ApplyRetention(ctx context.Context, plan io.Reader, dryRun bool) (types.RetentionResult, error) {
	return c.sendPlan(ctx, "apply", plan, dryRun)
}

// UndoRetention restores what [Client.ApplyRetention] has removed by a plan. With dryRun, it only counts.
func (c *Client) UndoRetention(ctx context.Context, plan io.Reader, dryRun bool) (types.RetentionResult, error) {
	return c.sendPlan(ctx, "undo", plan, dryRun)
}

func (c *Client) sendPlan(ctx context.Context, action string, plan io.Reader,
	dryRun bool) (types.RetentionResult, error) {
	q := url.Values{}
	flag(q, "dryRun", dryRun)
	r, _, err := change[types.RetentionResult](ctx, c, call{method: http.MethodPost, path: path("retention", action),
		query: q, body: plan, contentType: "application/json"})
	return r, err
}

// Losses lists the content that scrubs have found damaged or gone.
func (c *Client) Losses(ctx context.Context) iter.Seq2[types.Loss, error] {
	return list[types.Loss](ctx, c, path("scrub", "losses"), nil)
}

// Loss returns a loss.
func (c *Client) Loss(ctx context.Context, repository, digest string) (types.Loss, Version, error) {
	return get[types.Loss](ctx, c, path("scrub", "losses", repository, digest), nil)
}

// ForgetLoss removes a loss from the list.
func (c *Client) ForgetLoss(ctx context.Context, repository, digest string, version Version) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("scrub", "losses", repository, digest),
		version: version})
}
