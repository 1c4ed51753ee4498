package api

import (
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
)

// webhookRoutes are the routes of the part webhooks.
func (a *API) webhookRoutes() []route {
	const all, one = "/v1/webhooks", "/v1/webhooks/{webhook}"
	const deliveries, delivery = one + "/deliveries", one + "/deliveries/{delivery}"
	return []route{
		{method: "GET", path: all, access: listedWebhooks, handle: listWebhooks},
		{method: "POST", path: all, access: scopeOfQuery, handle: createWebhook},
		{method: "GET", path: one, access: scopeOfWebhook, handle: getWebhook},
		{method: "PATCH", path: one, access: scopeOfWebhook, conditional: true, handle: updateWebhook},
		{method: "DELETE", path: one, access: scopeOfWebhook, conditional: true, handle: deleteWebhook},
		{method: "POST", path: one + "/rotate", access: scopeOfWebhook, handle: rotateWebhookSecret},
		{method: "POST", path: one + "/test", access: scopeOfWebhook, handle: testWebhook},
		{method: "GET", path: deliveries, access: scopeOfWebhook, handle: listWebhookDeliveries},
		{method: "GET", path: delivery, access: scopeOfWebhook, handle: getWebhookDelivery},
		{method: "POST", path: delivery + "/replay", access: scopeOfWebhook, handle: replayWebhookDelivery},
	}
}

// managesScope returns the permission to manage the webhooks of a scope.
func managesScope(s endpoints.Scope) []auth.Access {
	one := auth.Access{Type: auth.TypeRegistry, Name: auth.NameWebhooks, Action: auth.Manage}
	switch {
	case s.Repository != "":
		one.Type, one.Name = auth.TypeRepository, s.Repository
	case s.Namespace != "":
		one.Type, one.Name = auth.TypeAccount, s.Namespace
	}
	return []auth.Access{one}
}

// scopeOfQuery asks for the permission to manage the scope in the query.
func scopeOfQuery(q *request) ([]auth.Access, error) {
	s, err := endpoints.ParseScope(q.URL.Query().Get("scope"))
	if err != nil {
		return nil, err
	}
	return managesScope(s), nil
}

// listedWebhooks asks for the permission to list the webhooks of one scope, or of all.
func listedWebhooks(q *request) ([]auth.Access, error) {
	if !q.URL.Query().Has("scope") {
		return needs(auth.TypeRegistry, auth.NameWebhooks, auth.Read)(q)
	}
	return scopeOfQuery(q)
}

// scopeOfWebhook asks for the permission to manage the scope that the ID of a webhook states.
func scopeOfWebhook(q *request) ([]auth.Access, error) {
	s, err := endpoints.ID(q.param("webhook")).Scope()
	if err != nil {
		return nil, err
	}
	return managesScope(s), nil
}

func listWebhooks(q *request) (*response, error) {
	if err := q.only("scope", "after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	hooks := q.api.opts.Webhooks
	all := hooks.All(q.Context(), endpoints.ID(after))
	if q.query.Has("scope") {
		scope, err := endpoints.ParseScope(q.query.Get("scope"))
		if err != nil {
			return nil, err
		}
		all = hooks.List(q.Context(), scope, endpoints.ID(after))
	}
	list, last := types.WebhookList{Items: []types.Webhook{}}, ""
	for w, err := range all {
		switch {
		case err != nil:
			return nil, err
		case len(list.Items) == limit:
			return &response{body: list, next: last}, nil
		}
		list.Items, last = append(list.Items, webhookOf(w)), string(w.ID)
	}
	return &response{body: list}, nil
}

func createWebhook(q *request) (*response, error) {
	if err := q.only("scope"); err != nil {
		return nil, err
	}
	scope, err := endpoints.ParseScope(q.query.Get("scope"))
	if err != nil {
		return nil, err
	}
	var in types.NewWebhook
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	by := q.caller.Identity().Name
	w, secret, err := q.api.opts.Webhooks.Create(q.Context(), by, scope, endpoints.Settings{
		Name: in.Name, URL: auth.Secret(in.URL), Format: in.Format, Actions: words[notification.Action](in.Actions),
		Kinds: words[notification.Kind](in.Kinds), Repositories: in.Repositories, Tags: in.Tags,
		Authorization: auth.Secret(in.Authorization),
	})
	if err != nil {
		return nil, err
	}
	out := types.WebhookWithSecret{Webhook: webhookOf(w), Secret: secret.Value()}
	return &response{status: 201, location: "/v1/webhooks/" + out.Webhook.ID, body: out, tagged: true,
		version: out.Webhook}, nil
}

func getWebhook(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	w, err := q.api.opts.Webhooks.Get(q.Context(), q.webhook())
	if err != nil {
		return nil, err
	}
	return found(webhookOf(w)), nil
}

func updateWebhook(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var in types.WebhookChange
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if in == (types.WebhookChange{}) {
		return nil, errInvalid.WithMessage("the change is empty")
	}
	by := q.caller.Identity().Name
	w, err := q.api.opts.Webhooks.Update(q.Context(), by, q.webhook(), func(w *endpoints.Endpoint) error {
		if err := q.match(webhookOf(*w)); err != nil {
			return err
		}
		if in.Authorization == nil && w.Authorization != "" && in.URL != nil && origin(*in.URL) != origin(w.URL.Value()) {
			return errInvalid.WithMessage("the URL has another host: state authorization, too")
		}
		changeWebhook(w, &in)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found(webhookOf(w)), nil
}

// origin returns the scheme, host and port of a URL. Somebody who may change a webhook must not be able to send its
// credentials, which are never shown, to another one.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// changeWebhook applies a change.
func changeWebhook(w *endpoints.Endpoint, in *types.WebhookChange) {
	set(&w.Name, in.Name)
	set(&w.Format, in.Format)
	set(&w.Repositories, in.Repositories)
	set(&w.Tags, in.Tags)
	if in.URL != nil {
		w.URL = auth.Secret(*in.URL)
	}
	if in.Authorization != nil {
		w.Authorization = auth.Secret(*in.Authorization)
	}
	if in.Actions != nil {
		w.Actions = words[notification.Action](*in.Actions)
	}
	if in.Kinds != nil {
		w.Kinds = words[notification.Kind](*in.Kinds)
	}
	switch {
	case in.Enabled == nil:
	case *in.Enabled:
		w.Disabled = nil
	default:
		w.Disabled = &endpoints.Disabled{Cause: endpoints.Operator}
	}
}

func deleteWebhook(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	err := q.api.opts.Webhooks.Remove(q.Context(), q.webhook(), func(w endpoints.Endpoint) error {
		return q.match(webhookOf(w))
	})
	return done(), err
}

func rotateWebhookSecret(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var in types.WebhookRotation
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	keep := 24 * time.Hour
	if in.KeepSeconds != nil {
		if *in.KeepSeconds < 0 || *in.KeepSeconds > maxKeepSeconds {
			return nil, errInvalid.WithMessage("keepSeconds must be a number from 0 to 604800")
		}
		keep = time.Duration(*in.KeepSeconds) * time.Second
	}
	w, secret, err := q.api.opts.Webhooks.Rotate(q.Context(), q.caller.Identity().Name, q.webhook(), keep)
	if err != nil {
		return nil, err
	}
	out := types.WebhookWithSecret{Webhook: webhookOf(w), Secret: secret.Value()}
	return &response{body: out, tagged: true, version: out.Webhook}, nil
}

// maxKeepSeconds is the maximum time of a previous secret, a week.
const maxKeepSeconds = 7 * 24 * 60 * 60

// webhook returns the ID of the webhook in the path.
func (q *request) webhook() endpoints.ID { return endpoints.ID(q.param("webhook")) }

// webhookOf returns a webhook without its secrets.
func webhookOf(w endpoints.Endpoint) types.Webhook {
	out := types.Webhook{ID: string(w.ID), Scope: w.Scope.String(), Name: w.Name, URL: w.URL.Value(), Format: w.Format,
		Actions: words[string](w.Actions), Kinds: words[string](w.Kinds), Repositories: texts(w.Repositories),
		Tags: texts(w.Tags), Authorized: w.Authorization != "", Enabled: w.Disabled == nil,
		SecretSince: w.SecretSince.UTC(), Created: w.Created.UTC(), CreatedBy: w.CreatedBy, Changed: w.Changed.UTC(),
		ChangedBy: w.ChangedBy, PreviousSecretUntil: instant(w.PreviousUntil)}
	if d := w.Disabled; d != nil {
		out.Disabled = &types.WebhookDisabled{Cause: string(d.Cause), Time: d.Time.UTC(), By: d.By}
	}
	return out
}
