package types

import (
	"encoding/json"
	"time"
)

// Webhook is a webhook for the events of one repository, one namespace or the whole registry.
type Webhook struct {
	// ID identifies the webhook, and contains its scope. It needs no escaping in a path.
	ID string `json:"id"`
	// Scope is "registry", "namespace:NAME" or "repository:NAME". It never changes.
	Scope string `json:"scope"`
	// Name is a name for people.
	Name string `json:"name"`
	// URL is the URL of the receiver.
	URL string `json:"url"`
	// Format is the format of the events, such as "json".
	Format string `json:"format"`
	// Actions, Kinds, Repositories and Tags select the events. An empty list selects all.
	Actions      []string `json:"actions"`
	Kinds        []string `json:"kinds"`
	Repositories []string `json:"repositories"`
	Tags         []string `json:"tags"`
	// Authorized reports whether requests have a header Authorization. Its value is never shown.
	Authorized bool `json:"authorized"`
	// Enabled reports whether the webhook gets events. If not, Disabled says why.
	Enabled  bool             `json:"enabled"`
	Disabled *WebhookDisabled `json:"disabled,omitempty"`
	// SecretSince is when the secret was made. PreviousSecretUntil is how long the previous secret also signs.
	SecretSince         time.Time `json:"secretSince"`
	PreviousSecretUntil time.Time `json:"previousSecretUntil,omitzero"`
	// Created and CreatedBy, Changed and ChangedBy are when and by whom the webhook was created and last changed.
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"createdBy,omitempty"`
	Changed   time.Time `json:"changed"`
	ChangedBy string    `json:"changedBy,omitempty"`
}

// WebhookDisabled is why a webhook gets no events.
type WebhookDisabled struct {
	// Cause is "gone" if the receiver has answered 410, or "operator" if somebody has disabled the webhook.
	Cause string    `json:"cause"`
	Time  time.Time `json:"time"`
	// By is who has disabled it, or "" for the cause "gone".
	By string `json:"by,omitempty"`
}

// NewWebhook is a webhook to create. Absent fields have the defaults of the description.
type NewWebhook struct {
	Name         string   `json:"name"`
	URL          string   `json:"url"`
	Format       string   `json:"format,omitempty"`
	Actions      []string `json:"actions,omitempty"`
	Kinds        []string `json:"kinds,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	// Authorization is the value of the header Authorization of each request.
	Authorization string `json:"authorization,omitempty"`
}

// WebhookChange is a change of a webhook. Absent fields stay as they are.
type WebhookChange struct {
	Name         *string   `json:"name,omitempty"`
	URL          *string   `json:"url,omitempty"`
	Format       *string   `json:"format,omitempty"`
	Actions      *[]string `json:"actions,omitempty"`
	Kinds        *[]string `json:"kinds,omitempty"`
	Repositories *[]string `json:"repositories,omitempty"`
	Tags         *[]string `json:"tags,omitempty"`
	// Authorization is the value of the header Authorization. "" removes the header.
	Authorization *string `json:"authorization,omitempty"`
	Enabled       *bool   `json:"enabled,omitempty"`
}

// WebhookWithSecret is a webhook with its new secret, which is never shown again.
type WebhookWithSecret struct {
	Webhook Webhook `json:"webhook"`
	// Secret verifies the signatures of requests, by Standard Webhooks. It begins with "whsec_".
	Secret string `json:"secret"`
}

// WebhookRotation is a request for a new secret.
type WebhookRotation struct {
	// KeepSeconds is how long the previous secret also signs. Default: 86400, a day. Zero ends it at once.
	KeepSeconds *int `json:"keepSeconds,omitempty"`
}

// WebhookList is a page of webhooks.
type WebhookList struct {
	Items []Webhook `json:"items"`
}

// WebhookDelivery is the last attempt to deliver one event.
type WebhookDelivery struct {
	// ID identifies the delivery within its webhook. It is the ID of the event.
	ID string `json:"id"`
	// State is "delivered"; "retrying" if another attempt follows; or "dead" if none follows.
	State string `json:"state"`
	// Test reports whether the event was sent by a test.
	Test bool `json:"test,omitempty"`
	// Action, Repository and EventTime are those of the event.
	Action     string    `json:"action"`
	Repository string    `json:"repository,omitempty"`
	EventTime  time.Time `json:"eventTime"`
	// Attempts is the number of attempts, with replays.
	Attempts int `json:"attempts"`
	// Time is when the last attempt began, and Milliseconds how long it took.
	Time         time.Time `json:"time"`
	Milliseconds int64     `json:"milliseconds"`
	// Status is the HTTP status of the response, or 0 if there was none.
	Status int `json:"status"`
	// Error says what went wrong. Response is the beginning of the body of the response.
	Error    string `json:"error,omitempty"`
	Response string `json:"response,omitempty"`
	// Next is when the next attempt begins, if the state is "retrying".
	Next time.Time `json:"next,omitzero"`
	// Event is the event in the format "json". Lists leave it out.
	Event json.RawMessage `json:"event,omitempty"`
}

// WebhookDeliveryList is a page of deliveries, the newest event first.
type WebhookDeliveryList struct {
	Items []WebhookDelivery `json:"items"`
}
