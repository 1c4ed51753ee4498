package evict

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// The keys of pins, one object for each: m/p/<R>/<alg>/<hex> for a digest, and m/p/<R>/t/<tag> for
// a tag. R is the name of the repository as objectkey.Escape returns it.
const pinPrefix = "m/p/"

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

// pinsOf returns the prefix of the pins of a repository.
func pinsOf(repo string) string { return pinPrefix + objectkey.Escape(repo) + "/" }

// key returns the key of the pin.
func (p Pin) key() string {
	if p.Ref.Tag != "" {
		return pinsOf(p.Repository) + "t/" + p.Ref.Tag
	}
	return pinsOf(p.Repository) + objectkey.DigestPath(p.Ref.Digest)
}

// parsePin returns the pin of a key.
func parsePin(key string) (Pin, bool) {
	parts := strings.Split(strings.TrimPrefix(key, pinPrefix), "/")
	if len(parts) != 3 {
		return Pin{}, false
	}
	p := Pin{Repository: objectkey.Unescape(parts[0])}
	if parts[1] == "t" {
		p.Ref.Tag = parts[2]
	} else {
		p.Ref.Digest = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
	}
	return p, p.check() == nil
}

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

// Pins yields the pins in the order of their keys. An error ends the iteration.
func (e *Evictor) Pins(ctx context.Context) iter.Seq2[Pin, error] { return e.pins(ctx, pinPrefix) }

// pins yields the pins whose keys begin with prefix.
func (e *Evictor) pins(ctx context.Context, prefix string) iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		for info, err := range e.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				yield(Pin{}, fmt.Errorf("evict: listing the pins: %w", err))
				return
			}
			if p, ok := parsePin(info.Key); ok && !yield(p, nil) {
				return
			}
		}
	}
}
