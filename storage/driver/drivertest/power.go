package drivertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"github.com/registrykit/registry/storage/driver"
)

// Power is a [driver.Driver] that passes calls on to another driver and records what a loss of
// power would leave in the worst case. An object that was neither stored with driver.Durable nor
// given to Sync is lost. A delete that was not given to Sync has not happened. An object that was
// replaced with driver.Relaxed is lost together with the new object.
type Power struct {
	driver.Driver

	mu      sync.Mutex
	durable map[string][]byte
}

var _ driver.Driver = (*Power)(nil)

// NewPower returns a Power on d, which must be empty.
func NewPower(d driver.Driver) *Power {
	return &Power{Driver: d, durable: make(map[string][]byte)}
}

// Put implements driver.Driver.
func (p *Power) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	info, err := p.Driver.Put(ctx, key, body, opts)
	if err != nil {
		return info, err
	}
	switch {
	case opts == nil || opts.Durability == driver.Durable:
		err = p.Sync(ctx, key)
	case opts.Durability == driver.Relaxed:
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.durable, key)
	}
	return info, err
}

// Adopt implements driver.Adopter, if the driver below does. The object is lost until it is synced.
func (p *Power) Adopt(ctx context.Context, key string, source any, opts *driver.AdoptOptions) (driver.Info,
	driver.Adoption, error) {
	if a, ok := p.Driver.(driver.Adopter); ok {
		return a.Adopt(ctx, key, source, opts)
	}
	return driver.Info{}, "", errors.ErrUnsupported
}

// Sync implements driver.Driver.
func (p *Power) Sync(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		r, _, err := p.Open(ctx, key, nil)
		if errors.Is(err, driver.ErrNotExist) {
			p.mu.Lock()
			delete(p.durable, key)
			p.mu.Unlock()
			continue
		}
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		p.mu.Lock()
		p.durable[key] = b
		p.mu.Unlock()
	}
	return p.Driver.Sync(ctx, keys...)
}

// After yields the keys and contents that would be left if power were lost now, in no particular
// order.
func (p *Power) After() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for key, b := range p.durable {
			if !yield(key, bytes.Clone(b)) {
				return
			}
		}
	}
}
