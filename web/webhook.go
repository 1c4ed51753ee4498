package web

import (
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// webhookViews are the views of webhooks.
func webhookViews() []view {
	const all, part = "/webhooks", "webhooks"
	const one = all + "/{id}"
	const delivery = one + "/deliveries/{delivery}"
	return slices.Concat([]view{
		{name: "webhooks", method: "GET", path: all, part: part, handle: showWebhooks},
		{name: "webhooks", method: "GET", path: all + "/-/new", part: part, handle: showNewWebhook},
		{name: "webhooks", method: "POST", path: all + "/-/new", part: part, handle: createWebhook},
		{name: "webhook", method: "GET", path: one, part: part, handle: showWebhook},
		{name: "webhook", method: "GET", path: one + "/settings", part: part, handle: showWebhookSettings},
		{name: "webhook", method: "POST", path: one + "/settings", part: part, handle: changeWebhook},
		{name: "webhook", method: "POST", path: one + "/enable", part: part, handle: enableWebhook},
		{name: "webhook", method: "POST", path: one + "/disable", part: part, handle: disableWebhook},
		{name: "webhook", method: "POST", path: one + "/test", part: part, handle: testWebhook},
		{name: "delivery", method: "GET", path: delivery, part: part, handle: showDelivery},
		{name: "delivery", method: "POST", path: delivery + "/replay", part: part, handle: replayDelivery},
		{name: "webhook", method: "GET", path: one + "/rotate", part: part, handle: showRotateWebhook},
		{name: "webhook", method: "POST", path: one + "/rotate", part: part, handle: rotateWebhook},
	}, stepViews(step{view: "webhook", part: part, path: one + "/delete", ask: askDeleteWebhook, do: deleteWebhook}))
}

// webhookScope is what a webhook gets the events of.
type webhookScope struct {
	// Value is the text in the API, such as "repository:acme/app", or "" for all.
	Value string
	// Title is the name of the scope for people, and URL the page of what it is, or "".
	Title, URL string
}

// webhookScope returns a scope for display.
func (q *request) webhookScope(value string) webhookScope {
	kind, name, _ := strings.Cut(value, ":")
	switch kind {
	case "repository":
		return webhookScope{value, name, q.page.repo(name)}
	case "namespace":
		return webhookScope{value, q.language.Text("all repositories of %s", name), q.page.namespace(name)}
	}
	return webhookScope{value, q.language.Text("the whole registry"), q.page.path()}
}

// webhookTabs returns the link to the webhooks of a namespace that the sender may change, if the page has webhooks.
func (q *request) webhookTabs(namespace string) []menuItem {
	if !q.has("webhooks") {
		return nil
	}
	return []menuItem{tab(q.language.Text("Webhooks"),
		withParams(q.page.path("webhooks"), "scope", client.NamespaceScope(namespace)), false)}
}

// webhookList is what the template "webhooks" shows.
type webhookList struct {
	// Scope is that of the list. Its Value is "" for the webhooks of all scopes.
	Scope webhookScope
	// Scopes are links to lists, if the sender cannot see the webhooks of all scopes.
	Scopes   []webhookScope
	Webhooks []webhookRow
	// Creates is the scope in which the sender creates webhooks from this page, or "".
	Creates string
	Next    string
	Notice  *notice
}

// webhookRow is a webhook of the list. Host is the host of its receiver: the rest of the URL may contain a token.
type webhookRow struct {
	types.Webhook
	Host  string
	Where webhookScope
}

// showWebhooks shows the webhooks of a scope, or of all scopes.
func showWebhooks(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	value := q.value("scope")
	list := webhookList{Scope: q.webhookScope(value), Creates: value,
		Notice: q.notice(map[string]string{"deleted": "The webhook was deleted."})}
	title := q.language.Text("Webhooks")
	if value == "" {
		if !q.mayRegistry(auth.NameWebhooks, auth.Read) {
			var err error
			list.Scopes, err = q.ownScopes()
			return q.show(title, list), err
		}
		if q.mayRegistry(auth.NameWebhooks, auth.Manage) {
			list.Creates = client.RegistryScope
		}
	}
	page := q.listPage()
	hooks, err := collect(q.visitor.OnPage(page).Webhooks(q.Context(), value))
	if err != nil {
		return nil, unlessDenied(err)
	}
	for _, h := range hooks {
		row := webhookRow{Webhook: h, Where: q.webhookScope(h.Scope)}
		if u, err := url.Parse(h.URL); err == nil {
			row.Host = u.Host
		}
		list.Webhooks = append(list.Webhooks, row)
	}
	list.Next = q.next(page)
	return q.show(title, list), nil
}

// ownScopes returns the namespaces whose webhooks the sender may manage.
func (q *request) ownScopes() (scopes []webhookScope, err error) {
	name := q.visitor.Identity().Name
	if !q.page.api.Has("users") || !q.mayAccount(name, auth.Manage) {
		return nil, nil
	}
	scopes = append(scopes, q.webhookScope(client.NamespaceScope(name)))
	memberships, err := collect(q.visitor.OnPage(q.listPage()).Memberships(q.Context(), name))
	for _, m := range memberships {
		if m.Owner {
			scopes = append(scopes, q.webhookScope(client.NamespaceScope(m.Organisation)))
		}
	}
	return scopes, unlessDenied(err)
}

// webhookPage is what the templates "webhook" and "webhook-settings" show.
type webhookPage struct {
	Webhook types.Webhook
	Version client.Version
	Where   webhookScope
	// URL is the page of the webhook.
	URL        string
	Deliveries []types.WebhookDelivery
	Next       string
	Dead       bool
	Form       *webhookForm
	Rows       *entry
	Notice     *notice
}

// webhookPage reads the webhook in the path.
func (q *request) webhookPage() (*webhookPage, error) {
	p := &webhookPage{URL: q.page.path("webhooks", q.param("id")), Rows: q.entry("rows", ""),
		Notice: q.notice(map[string]string{"changed": "The webhook was changed.", "enabled": "The webhook was enabled.",
			"disabled": "The webhook was disabled. It gets no events, and does not get them later."})}
	var err error
	if p.Webhook, p.Version, err = q.visitor.Webhook(q.Context(), q.param("id")); err != nil {
		return nil, unlessDenied(err)
	}
	p.Where = q.webhookScope(p.Webhook.Scope)
	return p, nil
}

// showWebhook shows a webhook with its deliveries.
func showWebhook(q *request) (*answer, error) {
	p, err := q.webhookPage()
	if err != nil {
		return nil, err
	}
	state := client.AllDeliveries
	if p.Dead = q.value("state") == client.DeadDeliveries; p.Dead {
		state = client.DeadDeliveries
	}
	page := q.listPage()
	if p.Deliveries, err = collect(q.visitor.OnPage(page).Deliveries(q.Context(), p.Webhook.ID, state)); err != nil {
		return nil, err
	}
	p.Next = q.next(page)
	return q.show(q.language.Text("Webhook %s", inert(p.Webhook.Name)), p), nil
}
