package web

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/registrykit/registry/api/types"
)

// toWebhook returns the redirect to the webhook in the path after a change.
func (q *request) toWebhook(done string) *answer {
	return q.to(q.page.path("webhooks", q.param("id")), "done", done)
}

func enableWebhook(q *request) (*answer, error) { return q.setWebhook(true, "enabled") }

func disableWebhook(q *request) (*answer, error) { return q.setWebhook(false, "disabled") }

// setWebhook enables or disables the webhook in the path.
func (q *request) setWebhook(enabled bool, done string) (*answer, error) {
	_, _, err := q.visitor.UpdateWebhook(q.Context(), q.param("id"), q.version(),
		types.WebhookChange{Enabled: &enabled})
	return q.toWebhook(done), err
}

// testWebhook sends a test event, and shows its delivery.
func testWebhook(q *request) (*answer, error) {
	e := q.typed("rows")
	d, err := q.visitor.TestWebhook(q.Context(), q.param("id"))
	if err != nil {
		return q.refuse(e, err, showWebhook)
	}
	return q.to(q.page.path("webhooks", q.param("id"), "deliveries", d.ID), "done", "tested"), nil
}

// showRotateWebhook asks how long the old secret also signs.
func showRotateWebhook(q *request) (*answer, error) {
	p, err := q.webhookPage()
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	return q.confirm(&confirmation{Title: t("New secret for %s", inert(p.Webhook.Name)), Button: t("Make a new secret"),
		Points: []string{t("The new secret is shown once."), t("Until the old one ends, requests are signed with both.")},
		URL:    q.here(), Cancel: p.URL, Form: q.asked("", "keep", graceDefault), ChoiceName: "keep",
		ChoiceLabel: t("The old secret ends"), Choices: q.graceTimes()})
}

func rotateWebhook(q *request) (*answer, error) {
	e := q.typed(confirmForm)
	keep, err := strconv.Atoi(q.value("keep"))
	if err != nil {
		return nil, errInvalid("The form is malformed.")
	}
	made, err := q.visitor.RotateWebhook(q.Context(), q.param("id"), types.WebhookRotation{KeepSeconds: &keep})
	if err != nil {
		return q.refuse(e, err, showRotateWebhook)
	}
	return q.webhookMade(q.language.Text("New secret"), made), nil
}

func askDeleteWebhook(q *request) (*confirmation, error) {
	p, err := q.webhookPage()
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	return &confirmation{Title: t("Delete the webhook %s", inert(p.Webhook.Name)), Button: t("Delete the webhook"),
		Points: []string{t("It gets no more events, and its deliveries are forgotten. This cannot be undone."),
			t("To stop it for a time, disable it.")}, Cancel: p.URL, Form: q.asked(p.Version),
		Fields: []field{{"scope", p.Webhook.Scope}}}, nil
}

func deleteWebhook(q *request) (*answer, error) {
	err := q.visitor.DeleteWebhook(q.Context(), q.param("id"), q.version())
	return q.to(q.page.path("webhooks"), "scope", q.value("scope"), "done", "deleted"), err
}

// deliveryPage is what the template "delivery" shows.
type deliveryPage struct {
	*webhookPage
	Delivery types.WebhookDelivery
	// Event is the event as indented JSON.
	Event string
}

// showDelivery shows a delivery with its event and the response of the receiver.
func showDelivery(q *request) (*answer, error) {
	p, err := q.webhookPage()
	if err != nil {
		return nil, err
	}
	d := deliveryPage{webhookPage: p}
	if d.Delivery, err = q.visitor.Delivery(q.Context(), p.Webhook.ID, q.param("delivery")); err != nil {
		return nil, err
	}
	p.Notice = q.notice(map[string]string{"tested": "The test event was sent. This is the result.",
		"replayed": "The event was sent again. This is the result."})
	var event bytes.Buffer
	if err := json.Indent(&event, d.Delivery.Event, "", "  "); err == nil {
		d.Event = event.String()
	}
	return q.show(q.language.Text("Delivery"), d), nil
}

func replayDelivery(q *request) (*answer, error) {
	e := q.typed("rows")
	d, err := q.visitor.Replay(q.Context(), q.param("id"), q.param("delivery"))
	if err != nil {
		return q.refuse(e, err, showDelivery)
	}
	return q.to(q.page.path("webhooks", q.param("id"), "deliveries", d.ID), "done", "replayed"), nil
}
