package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/registry/api/types"
)

// The scopes of webhooks. Those of a namespace and a repository are [NamespaceScope] and [RepositoryScope].
const (
	// AllScopes lists the webhooks of all scopes.
	AllScopes = ""
	// RegistryScope is the whole registry.
	RegistryScope = "registry"
)

// NamespaceScope returns the scope of a user or organisation.
func NamespaceScope(namespace string) string { return "namespace:" + namespace }

// RepositoryScope returns the scope of a repository.
func RepositoryScope(repository string) string { return "repository:" + repository }

// Webhooks lists the webhooks of a scope.
func (c *Client) Webhooks(ctx context.Context, scope string) iter.Seq2[types.Webhook, error] {
	q := url.Values{}
	text(q, "scope", scope)
	return list[types.Webhook](ctx, c, path("webhooks"), q)
}

// Webhook returns a webhook.
func (c *Client) Webhook(ctx context.Context, id string) (types.Webhook, Version, error) {
	return get[types.Webhook](ctx, c, path("webhooks", id), nil)
}

// CreateWebhook creates a webhook in a scope. Its secret is shown only now.
func (c *Client) CreateWebhook(ctx context.Context, scope string,
	webhook types.NewWebhook) (types.WebhookWithSecret, error) {
	made, _, err := change[types.WebhookWithSecret](ctx, c, call{method: http.MethodPost, path: path("webhooks"),
		query: url.Values{"scope": {scope}}, in: webhook})
	return made, err
}

// UpdateWebhook changes a webhook.
func (c *Client) UpdateWebhook(ctx context.Context, id string, version Version,
	to types.WebhookChange) (types.Webhook, Version, error) {
	return change[types.Webhook](ctx, c, call{method: http.MethodPatch, path: path("webhooks", id), version: version,
		in: to})
}

// RotateWebhook makes a new secret, which is shown only now.
func (c *Client) RotateWebhook(ctx context.Context, id string,
	rotation types.WebhookRotation) (types.WebhookWithSecret, error) {
	made, _, err := change[types.WebhookWithSecret](ctx, c, call{method: http.MethodPost,
		path: path("webhooks", id, "rotate"), in: rotation})
	return made, err
}

// DeleteWebhook removes a webhook and its deliveries.
func (c *Client) DeleteWebhook(ctx context.Context, id string, version Version) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("webhooks", id), version: version})
}

// TestWebhook sends a test event now, and returns the result.
func (c *Client) TestWebhook(ctx context.Context, id string) (types.WebhookDelivery, error) {
	d, _, err := change[types.WebhookDelivery](ctx, c, call{method: http.MethodPost, path: path("webhooks", id, "test")})
	return d, err
}

// The states that [Client.Deliveries] selects.
const (
	// AllDeliveries selects all deliveries.
	AllDeliveries = ""
	// DeadDeliveries selects those that were given up.
	DeadDeliveries = "dead"
)

// Deliveries lists the deliveries of a webhook, the newest first. state is one of the constants above.
func (c *Client) Deliveries(ctx context.Context, webhook, state string) iter.Seq2[types.WebhookDelivery, error] {
	q := url.Values{}
	text(q, "state", state)
	return list[types.WebhookDelivery](ctx, c, path("webhooks", webhook, "deliveries"), q)
}

// Delivery returns a delivery with its event.
func (c *Client) Delivery(ctx context.Context, webhook, id string) (types.WebhookDelivery, error) {
	d, _, err := get[types.WebhookDelivery](ctx, c, path("webhooks", webhook, "deliveries", id), nil)
	return d, err
}

// Replay sends the event of a delivery again, and returns the result.
func (c *Client) Replay(ctx context.Context, webhook, delivery string) (types.WebhookDelivery, error) {
	d, _, err := change[types.WebhookDelivery](ctx, c, call{method: http.MethodPost,
		path: path("webhooks", webhook, "deliveries", delivery, "replay")})
	return d, err
}
