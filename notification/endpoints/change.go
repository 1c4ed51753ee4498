package endpoints

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/driver"
)

// Create makes an endpoint, and returns it with its secret, which is never returned again. by is the name of the
// caller, for the record.
//
// Errors: ErrInvalid, ErrLimit; those of the Driver and of Options.Owner. After an error of the Driver, the endpoint
// may exist.
func (e *Endpoints) Create(ctx context.Context, by string, scope Scope, s Settings) (Endpoint, auth.Secret, error) {
	if err := scope.check(); err != nil {
		return Endpoint{}, "", err
	}
	if err := e.check(&s); err != nil {
		return Endpoint{}, "", err
	}
	all, err := e.cache.get(ctx)
	if err != nil {
		return Endpoint{}, "", err
	}
	if len(all.byID) >= e.opts.MaxTotal {
		return Endpoint{}, "", fmt.Errorf("%w: the registry has at most %d webhooks", ErrLimit, e.opts.MaxTotal)
	}
	now, secret := time.Now().Round(0).UTC(), webhook.NewSecret()
	r := &record{ID: newID(scope), Secret: secret.Value(), SecretSince: now, Created: now, CreatedBy: by,
		Changed: now, ChangedBy: by}
	r.set(s)
	if e.opts.Owner != nil && scope.owner() != "" {
		of, err := e.opts.Owner(ctx, scope.owner())
		if err != nil {
			return Endpoint{}, "", err
		}
		r.Of = &of
	}
	key, err := r.ID.key()
	if err != nil {
		return Endpoint{}, "", err
	}
	if _, err := write(ctx, e.driver, key, r, driver.PutOptions{IfAbsent: true}); err != nil {
		return Endpoint{}, "", err
	}
	// The limit is checked after the write, so that endpoints created at the same time do not exceed it.
	if err := e.checkLimits(ctx, scope); err != nil {
		return Endpoint{}, "", errors.Join(err, remove(ctx, e.driver, key))
	}
	if err := e.changed(ctx); err != nil {
		return Endpoint{}, "", err
	}
	return r.endpoint(now), secret, nil
}

// checkLimits returns ErrLimit if a scope or its namespace has too many endpoints.
func (e *Endpoints) checkLimits(ctx context.Context, scope Scope) error {
	for _, l := range []struct {
		prefix, of string
		most       int
	}{
		{scope.prefix(), "a scope", e.opts.MaxPerScope},
		{ownerPrefix(scope.owner()), "a namespace with its repositories", e.opts.MaxPerNamespace},
	} {
		n := 0
		for _, err := range e.driver.List(ctx, l.prefix, &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				return err
			}
			if n++; n > l.most {
				return fmt.Errorf("%w: %s has at most %d webhooks", ErrLimit, l.of, l.most)
			}
		}
	}
	return nil
}

// changed makes all replicas list the endpoints again.
func (e *Endpoints) changed(ctx context.Context) error {
	_, err := write(ctx, e.driver, generationKey, &struct{}{}, driver.PutOptions{Durability: driver.Deferred})
	e.cache.expire()
	return err
}

// Get returns an endpoint.
//
// Errors: ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Get(ctx context.Context, id ID) (Endpoint, error) {
	r, _, err := e.load(ctx, id)
	if err != nil {
		return Endpoint{}, err
	}
	return r.endpoint(time.Now()), nil
}

// load returns the record of an endpoint and its version.
//
// Errors: those of Get.
func (e *Endpoints) load(ctx context.Context, id ID) (*record, string, error) {
	key, err := id.key()
	if err != nil {
		return nil, "", err
	}
	r, version, err := read[record](ctx, e.driver, key)
	switch {
	case errors.Is(err, driver.ErrNotExist):
		return nil, "", ErrUnknown
	case err != nil:
		return nil, "", err
	case r.ID != id:
		return nil, "", fmt.Errorf("%w: %s", errDamaged, key)
	}
	switch ok, err := e.owned(ctx, r); {
	case err != nil:
		return nil, "", err
	case !ok:
		return nil, "", ErrUnknown
	}
	return r, version, nil
}

// owned reports whether the namespace of an endpoint still belongs to the account that it belonged to.
func (e *Endpoints) owned(ctx context.Context, r *record) (bool, error) {
	s, err := r.ID.Scope()
	if err != nil || r.Of == nil || e.opts.Owner == nil {
		return true, err
	}
	of, err := e.opts.Owner(ctx, s.owner())
	return of == *r.Of, err
}

// List yields the endpoints of one scope, ordered by ID, after a given ID or from the first.
//
// Errors: an error is the last element. ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) List(ctx context.Context, scope Scope, after ID) iter.Seq2[Endpoint, error] {
	position := ""
	if after != "" {
		position = scope.prefix() + string(after)
	}
	if err := scope.check(); err != nil {
		return func(yield func(Endpoint, error) bool) { yield(Endpoint{}, err) }
	}
	return e.list(ctx, scope.prefix(), position)
}

// All yields the endpoints of all scopes, after a given one or from the first. The order is that of their keys.
//
// Errors: an error is the last element. ErrInvalid for a malformed ID; those of the Driver and of Options.Owner.
func (e *Endpoints) All(ctx context.Context, after ID) iter.Seq2[Endpoint, error] {
	position := ""
	if after != "" {
		key, err := after.key()
		if err != nil {
			return func(yield func(Endpoint, error) bool) { yield(Endpoint{}, err) }
		}
		position = key
	}
	return e.list(ctx, endpointPrefix, position)
}

func (e *Endpoints) list(ctx context.Context, prefix, after string) iter.Seq2[Endpoint, error] {
	return func(yield func(Endpoint, error) bool) {
		now := time.Now()
		ids := func(yield func(ID, error) bool) {
			for info, err := range e.driver.List(ctx, prefix, &driver.ListOptions{After: after, KeysOnly: true}) {
				if !yield(keyID(info.Key), err) {
					return
				}
			}
		}
		load := func(id ID) (*record, error) {
			r, _, err := e.load(ctx, id)
			if errors.Is(err, errDamaged) {
				e.opts.Logger.Error("endpoints: skipped an object that cannot be read", "error", err)
			}
			return r, err
		}
		for r, err := range ahead(ids, load) {
			if err != nil {
				yield(Endpoint{}, err)
				return
			}
			if !yield(r.endpoint(now), nil) {
				return
			}
		}
	}
}

// Update changes an endpoint. change gets the present endpoint and changes its Settings; it enables the endpoint if it
// sets Disabled to nil, and disables it with &Disabled{Cause: Operator}. It may be called several times. An error of
// it ends Update, and nothing is changed.
//
// Errors: that of change; ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Update(ctx context.Context, by string, id ID, change func(*Endpoint) error) (Endpoint, error) {
	return e.update(ctx, id, func(r *record, now time.Time) error {
		p := r.endpoint(now)
		if err := change(&p); err != nil {
			return err
		}
		if err := e.check(&p.Settings); err != nil {
			return err
		}
		r.set(p.Settings)
		switch {
		case p.Disabled == nil:
			r.Disabled = nil
		case r.Disabled == nil:
			r.Disabled = &Disabled{Cause: Operator, Time: now, By: by}
		}
		r.Changed, r.ChangedBy = now, by
		return nil
	})
}

// update is a read-modify-write of a record.
func (e *Endpoints) update(ctx context.Context, id ID, change func(r *record, now time.Time) error) (Endpoint, error) {
	key, err := id.key()
	if err != nil {
		return Endpoint{}, err
	}
	for n := 1; ; n++ {
		r, version, err := e.load(ctx, id)
		if err != nil {
			return Endpoint{}, err
		}
		now := time.Now().Round(0).UTC()
		if err := change(r, now); err != nil {
			return Endpoint{}, err
		}
		_, err = write(ctx, e.driver, key, r, driver.PutOptions{IfVersion: version})
		switch {
		case err == nil:
			return r.endpoint(now), e.changed(ctx)
		case !driver.IsConflict(err):
			return Endpoint{}, err
		}
		if err := pause.Sleep(ctx, pause.Backoff(n, time.Millisecond, 100*time.Millisecond)); err != nil {
			return Endpoint{}, err
		}
	}
}

// Rotate makes a new secret, and returns it. It is never returned again. Until keep has passed, requests are also
// signed with the previous secret; a secret before that one ends at once.
//
// Errors: those of Update; ErrInvalid for a negative keep.
func (e *Endpoints) Rotate(ctx context.Context, by string, id ID, keep time.Duration) (Endpoint, auth.Secret, error) {
	if keep < 0 {
		return Endpoint{}, "", fmt.Errorf("%w: the time of the previous secret is negative", ErrInvalid)
	}
	secret := webhook.NewSecret()
	p, err := e.update(ctx, id, func(r *record, now time.Time) error {
		r.Previous, r.PreviousUntil = "", time.Time{}
		if keep > 0 {
			r.Previous, r.PreviousUntil = r.Secret, now.Add(keep)
		}
		r.Secret, r.SecretSince, r.Changed, r.ChangedBy = secret.Value(), now, now, by
		return nil
	})
	return p, secret, err
}

// Remove removes an endpoint, its waiting deliveries and its records of deliveries. check gets the present endpoint,
// and an error of it ends Remove. It may be nil. A request that is on its way ends, and another process may begin
// one within 10 seconds.
//
// Errors: that of check; ErrUnknown, ErrInvalid; those of the Driver and of Options.Owner.
func (e *Endpoints) Remove(ctx context.Context, id ID, check func(Endpoint) error) error {
	key, err := id.key()
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		r, version, err := e.load(ctx, id)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(r.endpoint(time.Now())); err != nil {
				return err
			}
		}
		err = e.driver.Delete(ctx, key, version)
		switch {
		case err == nil:
			return errors.Join(e.changed(ctx), e.clear(ctx, id))
		case errors.Is(err, driver.ErrNotExist):
			return ErrUnknown
		case !driver.IsConflict(err):
			return err
		}
		if err := pause.Sleep(ctx, pause.Backoff(n, time.Millisecond, 100*time.Millisecond)); err != nil {
			return err
		}
	}
}

// clear removes the deliveries of an endpoint that is gone.
func (e *Endpoints) clear(ctx context.Context, id ID) error {
	for process, err := range components(ctx, e.driver, waitingPrefix) {
		if err == nil {
			err = removeAll(ctx, e.driver, waitingPrefix+process+"/"+string(id)+"/")
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(removeAll(ctx, e.driver, logPrefix+string(id)+"/"),
		removeAll(ctx, e.driver, deadPrefix+string(id)+"/"))
}
