package endpoints

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/contain"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// hook is the webhook of an endpoint. One goroutine at a time uses it.
type hook struct {
	sink    *webhook.Webhook
	version string    // of the record
	until   time.Time // when the previous secret ends, or zero
	last    webhook.Attempt
}

// outcome is the result of an attempt.
type outcome struct {
	webhook.Attempt
	started time.Time
	took    time.Duration
	err     error
}

// none reports whether no request was made, because the format has no form for the event.
func (o *outcome) none() bool { return o.err == nil && o.Status == 0 }

// newHook makes the webhook of an endpoint.
func (e *Endpoints) newHook(r *record, test bool) (*hook, error) {
	now := time.Now()
	o, err := e.webhookOptions(r.Format, auth.Secret(r.Authorization))
	if err != nil {
		return nil, err
	}
	h := &hook{}
	o.Secrets = r.secrets(now)
	if len(o.Secrets) > 1 {
		h.until = r.PreviousUntil
	}
	if test {
		o.Header = testHeader(o.Header)
	}
	o.Observe = func(a webhook.Attempt) { h.last = a }
	h.sink, err = webhook.New(r.URL, o)
	return h, err
}

// hook returns the webhook of an endpoint, which keeps connections from one delivery to the next.
func (e *Endpoints) hook(t *target) (*hook, error) {
	e.mu.Lock()
	h := e.hooks[t.ID]
	e.mu.Unlock()
	if h != nil && h.version == t.version && (h.until.IsZero() || time.Now().Before(h.until)) {
		return h, nil
	}
	if h != nil {
		h.sink.CloseIdleConnections()
	}
	h, err := e.newHook(&t.record, false)
	if err != nil {
		return nil, err
	}
	h.version = t.version
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks[t.ID] = h
	return h, nil
}

// send makes one attempt. Its context is limited by webhook.Options.Timeout.
func (h *hook) send(ctx context.Context, ev notification.Event) outcome {
	h.last = webhook.Attempt{}
	start := time.Now()
	err := contain.Call(func() error { return h.sink.Notify(ctx, []notification.Event{ev}) })
	return outcome{Attempt: h.last, started: start.Round(0).UTC(), took: time.Since(start), err: err}
}

// maxText is the maximum length of an error in a record, in bytes.
const maxText = 500

// take sets what an attempt says about a delivery. The state is Delivered.
func (d *Delivery) take(o outcome) {
	d.State, d.Attempts, d.Next = Delivered, d.Attempts+1, time.Time{}
	d.Time, d.Duration, d.Status, d.Response, d.Error = o.started, o.took, o.Status, o.Response, ""
	if o.err != nil {
		text := o.err.Error()
		if errors.Is(o.err, webhook.ErrAddress) {
			text = webhook.ErrAddress.Error() // the address tells what a name means in the network of the registry
		}
		d.Error = text[:min(len(text), maxText)]
	}
}
