package web

import (
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// webhookForm is what the template part "webhook-fields" shows.
type webhookForm struct {
	Form  *entry
	Scope webhookScope
	// Known reports whether the webhook exists, and Authorized whether it has an authorization.
	Known, Authorized       bool
	Formats, Actions, Kinds []option
}

// webhookForm returns a form with its choices.
func (q *request) webhookForm(e *entry, scope string) *webhookForm {
	t := q.language.Text
	f := &webhookForm{Form: e, Scope: q.webhookScope(scope), Formats: []option{
		{"cncf", t("Docker registry notifications")}, {"cloudevents", t("CloudEvents, one event in a request")},
		{"cloudevents-binary", t("CloudEvents, binary mode")}, {"cloudevents-batch", t("CloudEvents, batches")},
		{"harbor", t("Harbor webhooks")}, {"json", t("JSON of this registry")}}}
	f.Actions = []option{{"push", t("pushes")}, {"pull", t("pulls")}, {"mount", t("mounts of layers")},
		{"delete", t("deletions")}, {"move", t("moves of tags")}, {"restore", t("restorations")},
		{"quota", t("quotas")}}
	if scope == client.RegistryScope {
		f.Actions = append(f.Actions, option{"account", t("changes of accounts")})
	}
	f.Kinds = []option{{"manifest", t("images")}, {"tag", t("tags")}, {"repository", t("repositories")},
		{"blob", t("layers")}}
	return f
}

// lines returns the lines of a field that are not empty.
func (q *request) lines(name string) []string {
	list := []string{}
	for line := range strings.Lines(q.values.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// chosen returns the values of a field that offers several.
func (q *request) chosen(name string) []string { return append([]string{}, q.PostForm[name]...) }

// showNewWebhook shows the form for a new webhook.
func showNewWebhook(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	scope := q.value("scope")
	// The list is asked for because the API decides about it as about the creation.
	if _, err := collect(q.visitor.OnPage(&client.Page{Limit: 1}).Webhooks(q.Context(), scope)); err != nil {
		return nil, unlessDenied(err)
	}
	f := q.webhookForm(q.entry("webhook", "", "format", "cncf"), scope)
	return &answer{title: q.language.Text("New webhook"), template: "webhook-new", data: f}, nil
}

// webhookFields are the fields of a webhook in which an error can be.
func webhookFields() []string {
	return []string{"name", "url", "actions", "repositories", "tags", "authorization"}
}

func createWebhook(q *request) (*answer, error) {
	e := q.typed("webhook")
	made, err := q.visitor.CreateWebhook(q.Context(), q.value("scope"), types.NewWebhook{Name: q.value("name"),
		URL: q.value("url"), Format: q.value("format"), Actions: q.chosen("actions"), Kinds: q.chosen("kinds"),
		Repositories: q.lines("repositories"), Tags: q.lines("tags"), Authorization: q.value("authorization")})
	if err != nil {
		return q.refuse(e, err, showNewWebhook, webhookFields()...)
	}
	return q.webhookMade(q.language.Text("Webhook created"), made), nil
}

// webhookMade shows the secret of a webhook. It is in no URL, and no browser keeps the response.
func (q *request) webhookMade(title string, made types.WebhookWithSecret) *answer {
	return &answer{title: title, template: "webhook-secret", data: struct {
		types.WebhookWithSecret
		Title, URL string
	}{made, title, q.page.path("webhooks", made.Webhook.ID)}}
}

// showWebhookSettings shows the form that changes a webhook.
func showWebhookSettings(q *request) (*answer, error) {
	p, err := q.webhookPage()
	if err != nil {
		return nil, err
	}
	w := &p.Webhook
	values := []string{"name", w.Name, "url", w.URL, "format", w.Format,
		"repositories", strings.Join(w.Repositories, "\n"), "tags", strings.Join(w.Tags, "\n")}
	for _, action := range w.Actions {
		values = append(values, "actions", action)
	}
	for _, kind := range w.Kinds {
		values = append(values, "kinds", kind)
	}
	p.Form = q.webhookForm(q.entry("webhook", p.Version, values...), w.Scope)
	p.Form.Known, p.Form.Authorized = true, w.Authorized
	return &answer{title: q.language.Text("Settings of %s", inert(w.Name)), template: "webhook-settings", data: p}, nil
}

func changeWebhook(q *request) (*answer, error) {
	e := q.typed("webhook")
	name, target, format := q.value("name"), q.value("url"), q.value("format")
	actions, kinds, repositories, tags := q.chosen("actions"), q.chosen("kinds"), q.lines("repositories"), q.lines("tags")
	change := types.WebhookChange{Name: &name, URL: &target, Format: &format, Actions: &actions, Kinds: &kinds,
		Repositories: &repositories, Tags: &tags}
	authorization := q.value("authorization")
	if authorization != "" || q.value("unauthorize") == "true" {
		change.Authorization = &authorization
	}
	if _, _, err := q.visitor.UpdateWebhook(q.Context(), q.param("id"), q.version(), change); err != nil {
		return q.refuse(e, err, showWebhookSettings, webhookFields()...)
	}
	return q.toWebhook("changed"), nil
}
