package evict

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pinkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// pinRecord is the content of the object of a pin, for people.
type pinRecord struct {
	Repository string    `json:"repository"`
	Reference  string    `json:"reference"`
	Time       time.Time `json:"time"`
}

// Pin is a pinned image.
type Pin struct {
	// Repository is the repository.
	Repository string
	// Ref is the tag or digest. A pin of a tag keeps what the tag points at when a run begins.
	Ref reference.Ref
}

// String returns "repository:tag" or "repository@digest".
func (p Pin) String() string {
	if p.Ref.Tag != "" {
		return p.Repository + ":" + p.Ref.Tag
	}
	return p.Repository + "@" + string(p.Ref.Digest)
}

// key returns the key of the pin.
func (p Pin) key() string { return pinkey.Key(p.Repository, p.Ref) }

// check rejects an invalid name or reference.
func (p Pin) check() error {
	if err := registry.CheckName(p.Repository); err != nil {
		return err
	}
	return registry.CheckRef(p.Ref)
}

// Pin keeps what a tag or digest reaches from eviction, until Unpin. The image need not be there
// yet. A pin that exists is not an error.
//
// Errors: registry.ErrNameInvalid, ErrTagInvalid or ErrDigestInvalid; any error of the driver.
func (e *Evictor) Pin(ctx context.Context, repo string, ref reference.Ref) error {
	p := Pin{repo, ref}
	if err := p.check(); err != nil {
		return err
	}
	b, err := json.Marshal(pinRecord{repo, ref.String(), time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = e.driver.Put(ctx, p.key(), bytes.NewReader(b), &driver.PutOptions{IfAbsent: true, Size: int64(len(b))})
	if err != nil && !errors.Is(err, driver.ErrExist) {
		return fmt.Errorf("evict: pinning %s: %w", p, err)
	}
	return nil
}

// Unpin ends a Pin. A missing pin is not an error.
//
// Errors: registry.ErrNameInvalid, ErrTagInvalid or ErrDigestInvalid; any error of the driver.
func (e *Evictor) Unpin(ctx context.Context, repo string, ref reference.Ref) error {
	p := Pin{repo, ref}
	if err := p.check(); err != nil {
		return err
	}
	err := e.driver.Delete(ctx, p.key(), "")
	if errors.Is(err, driver.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = e.driver.Sync(ctx, p.key())
	}
	if err != nil {
		return fmt.Errorf("evict: unpinning %s: %w", p, err)
	}
	return nil
}

// Pins yields the pins in the order of their keys: those after one, or all if that is the zero Pin.
// An error ends the iteration.
//
// Errors: registry.ErrNameInvalid, ErrTagInvalid or ErrDigestInvalid for an invalid pin.
func (e *Evictor) Pins(ctx context.Context, after Pin) iter.Seq2[Pin, error] {
	if after == (Pin{}) {
		return e.pins(ctx, pinkey.Prefix, "")
	}
	if err := after.check(); err != nil {
		return func(yield func(Pin, error) bool) { yield(Pin{}, err) }
	}
	return e.pins(ctx, pinkey.Prefix, after.key())
}

// pins yields the pins whose keys begin with prefix and are after another key.
func (e *Evictor) pins(ctx context.Context, prefix, after string) iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		for info, err := range e.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true, After: after}) {
			if err != nil {
				yield(Pin{}, fmt.Errorf("evict: listing the pins: %w", err))
				return
			}
			if repo, ref, ok := pinkey.Parse(info.Key); ok && !yield(Pin{repo, ref}, nil) {
				return
			}
		}
	}
}
