package endpoints

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"path"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// TestHeader is the header of the request of a test. Its value is "true".
const TestHeader = "Registry-Webhook-Test"

// DeliveriesOptions are the options of [Endpoints.Deliveries].
type DeliveriesOptions struct {
	// After is the ID of the delivery after which the list begins. Default: "", the list begins with the latest event.
	After string
	// Dead lists the dead deliveries only.
	Dead bool
}

// Deliveries yields the recorded deliveries of an endpoint, the latest event first. opts may be nil.
//
// Errors: an error is the last element. ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Deliveries(ctx context.Context, id ID, opts *DeliveriesOptions) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		o := DeliveriesOptions{}
		if opts != nil {
			o = *opts
		}
		if _, _, err := e.load(ctx, id); err != nil {
			yield(Delivery{}, err)
			return
		}
		kinds := []string{deadPrefix, logPrefix}
		if o.Dead {
			kinds = kinds[:1]
		}
		load := func(name string) (*Delivery, error) { return e.find(ctx, id, backwards(name)) }
		for d, err := range ahead(e.names(ctx, id, kinds, o.After), load) {
			if err != nil {
				yield(Delivery{}, err)
				return
			}
			if !yield(*d, nil) {
				return
			}
		}
	}
}

// names yields the names of records of the given kinds, merged, without duplicates.
func (e *Endpoints) names(ctx context.Context, id ID, kinds []string, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		type head struct {
			name string
			err  error
			next func() (driver.Info, error, bool)
		}
		var heads []*head
		advance := func(h *head) bool {
			info, err, ok := h.next()
			h.name, h.err = path.Base(info.Key), err
			return ok
		}
		for _, kind := range kinds {
			o := &driver.ListOptions{KeysOnly: true}
			if after != "" {
				o.After = kind + string(id) + "/" + backwards(after)
			}
			next, stop := iter.Pull2(e.driver.List(ctx, kind+string(id)+"/", o))
			defer stop()
			if h := (&head{next: next}); advance(h) {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			least := heads[0].name
			for _, h := range heads {
				if h.err != nil {
					yield("", h.err)
					return
				}
				least = min(least, h.name)
			}
			if !yield(least, nil) {
				return
			}
			var rest []*head
			for _, h := range heads {
				if h.name != least || advance(h) {
					rest = append(rest, h)
				}
			}
			heads = rest
		}
	}
}

// Delivery returns a recorded delivery of an endpoint.
//
// Errors: ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Delivery(ctx context.Context, id ID, delivery string) (Delivery, error) {
	if _, _, err := e.load(ctx, id); err != nil {
		return Delivery{}, err
	}
	d, err := e.find(ctx, id, delivery)
	if err != nil {
		return Delivery{}, err
	}
	return *d, nil
}

// Replay sends the event of a delivered or dead delivery again, with one attempt, and returns the delivery after it.
// The failure of the attempt is in the delivery, and is no error.
//
// Errors: ErrRetrying, ErrBusy, ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Replay(ctx context.Context, id ID, delivery string) (Delivery, error) {
	r, _, err := e.load(ctx, id)
	if err != nil {
		return Delivery{}, err
	}
	d, err := e.find(ctx, id, delivery)
	switch {
	case err != nil:
		return Delivery{}, err
	case d.State == Retrying:
		waits, err := e.waits(ctx, id, delivery)
		switch {
		case err != nil:
			return Delivery{}, err
		case waits:
			return Delivery{}, ErrRetrying
		}
	}
	return e.once(ctx, r, d)
}

// waits reports whether a delivery is waiting. The record of the last attempt may be older.
func (e *Endpoints) waits(ctx context.Context, id ID, delivery string) (bool, error) {
	for process, err := range components(ctx, e.driver, waitingPrefix) {
		if err != nil {
			return false, err
		}
		_, err = e.driver.Stat(ctx, waitingPrefix+process+"/"+string(id)+"/"+delivery)
		if !errors.Is(err, driver.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// Test sends an event to an endpoint, with one attempt, and returns its delivery. The event is the push of a tag
// "webhook-test" that does not exist, and the request has the header TestHeader. by is the actor of the event. A
// disabled endpoint can be tested, and stays disabled. The failure of the attempt is in the delivery, and is no error.
//
// Errors: ErrBusy, ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Test(ctx context.Context, by string, id ID) (Delivery, error) {
	r, _, err := e.load(ctx, id)
	if err != nil {
		return Delivery{}, err
	}
	scope, err := id.Scope()
	if err != nil {
		return Delivery{}, err
	}
	repository := scope.Repository
	if repository == "" {
		repository = path.Join(scope.Namespace, "webhook-test")
	}
	ev := notification.Event{ID: notification.NewID(), Time: time.Now().Round(0).UTC(), Action: notification.Push,
		Kind: notification.Manifest, Repository: repository, Tags: []string{"webhook-test"}, Actor: by,
		Target: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("{}"), Size: 2}}
	return e.once(ctx, r, &Delivery{ID: ev.ID, Test: true, Event: ev})
}

// once makes one attempt, and records it.
func (e *Endpoints) once(ctx context.Context, r *record, d *Delivery) (Delivery, error) {
	e.mu.Lock()
	busy := e.requests[r.ID]
	e.requests[r.ID] = true
	e.mu.Unlock()
	if busy {
		return Delivery{}, ErrBusy
	}
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.requests, r.ID)
	}()
	h, err := e.newHook(r, d.Test)
	if err != nil {
		return Delivery{}, err
	}
	defer h.sink.CloseIdleConnections()
	select {
	case e.failing <- struct{}{}: // it must not delay the deliveries of endpoints that work
	case <-ctx.Done():
		return Delivery{}, ctx.Err()
	}
	o := h.send(ctx, d.Event)
	<-e.failing
	if o.err != nil && ctx.Err() != nil {
		return Delivery{}, ctx.Err()
	}
	d.take(o)
	if o.err != nil {
		d.State = Dead
	}
	e.opts.Observe(Observation{Endpoint: r.ID, Delivery: *d})
	return *d, e.record(ctx, r.ID, d)
}

// testHeader returns the headers of a test, with those of the host.
func testHeader(h http.Header) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(TestHeader, "true")
	return h
}
