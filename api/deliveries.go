package api

import (
	"encoding/json"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/notification/endpoints"
)

func testWebhook(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	d, err := q.api.opts.Webhooks.Test(q.Context(), q.caller.Identity().Name, q.webhook())
	return deliveryResponse(d, err)
}

func listWebhookDeliveries(q *request) (*response, error) {
	if err := q.only("state", "after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	opts := &endpoints.DeliveriesOptions{After: after}
	if q.query.Has("state") {
		if opts.Dead = q.query.Get("state") == string(endpoints.Dead); !opts.Dead {
			return nil, errInvalid.WithMessage("state must be dead")
		}
	}
	list, last := types.WebhookDeliveryList{Items: []types.WebhookDelivery{}}, ""
	for d, err := range q.api.opts.Webhooks.Deliveries(q.Context(), q.webhook(), opts) {
		switch {
		case err != nil:
			return nil, err
		case len(list.Items) == limit:
			return &response{body: list, next: last}, nil
		}
		list.Items, last = append(list.Items, deliveryOf(d)), d.ID
	}
	return &response{body: list}, nil
}

func getWebhookDelivery(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	d, err := q.api.opts.Webhooks.Delivery(q.Context(), q.webhook(), q.param("delivery"))
	return deliveryResponse(d, err)
}

func replayWebhookDelivery(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	d, err := q.api.opts.Webhooks.Replay(q.Context(), q.webhook(), q.param("delivery"))
	return deliveryResponse(d, err)
}

// deliveryResponse returns the response with one delivery and its event.
func deliveryResponse(d endpoints.Delivery, err error) (*response, error) {
	if err != nil {
		return nil, err
	}
	out := deliveryOf(d)
	if out.Event, err = json.Marshal(d.Event); err != nil {
		return nil, err
	}
	return &response{body: out}, nil
}

// deliveryOf returns a delivery without its event.
func deliveryOf(d endpoints.Delivery) types.WebhookDelivery {
	return types.WebhookDelivery{ID: d.ID, State: string(d.State), Test: d.Test, Action: string(d.Event.Action),
		Repository: d.Event.Repository, EventTime: d.Event.Time.UTC(), Attempts: d.Attempts, Time: d.Time.UTC(),
		Milliseconds: d.Duration.Milliseconds(), Status: d.Status, Error: d.Error, Response: d.Response,
		Next: instant(d.Next)}
}
