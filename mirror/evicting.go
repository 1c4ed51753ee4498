package mirror

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/mirror/internal/evict"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// cleanInterval is the time between two searches for what interrupted fills have left.
const cleanInterval = time.Hour

// newEvictor prepares the eviction and the record of pulls.
func (m *Mirror) newEvictor(store *storage.Store, d driver.Driver) (err error) {
	if m.pulls, err = pulltime.New(d, nil); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	var prefixes []string
	for _, o := range m.names.origins {
		prefixes = append(prefixes, o.Prefix)
	}
	m.evictor, err = evict.New(store, d, m.pulls, &evict.Options{
		Prefixes: prefixes, MaxSize: m.opts.MaxSize, Interval: m.opts.Interval, Logger: m.opts.Logger,
	})
	if err != nil {
		err = fmt.Errorf("mirror: %w", err)
	}
	return err
}

// Run does the background work of the mirror until ctx ends: it records pulls, evicts what exceeds
// Options.MaxSize, and removes what interrupted fills have left. One replica at a time evicts. A
// mirror without Run works, but grows. When ctx ends, Run stops the fills in progress; a fill
// continues when a client next asks for its blob.
//
// Errors: that of ctx.
func (m *Mirror) Run(ctx context.Context) error {
	defer m.fills.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{m.pulls.Run, m.evictor.Run, m.clean} {
		all.Go(func() { cancel(run(ctx)) })
	}
	all.Wait()
	return context.Cause(ctx)
}

// clean removes what interrupted fills have left, now and then.
func (m *Mirror) clean(ctx context.Context) error {
	for {
		if err := m.fills.Clean(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "the remains of fills could not be removed", "error", err)
		}
		if err := pause.Sleep(ctx, cleanInterval); err != nil {
			return err
		}
	}
}

// Pin keeps an image of an upstream from eviction. It does not fetch anything: see replicate.Pin.
// Unpin ends that. The pins are kept in the storage.
//
// Errors: registry.ErrNameUnknown if no upstream has the prefix of repo; those of the driver.
func (m *Mirror) Pin(ctx context.Context, repo string, ref reference.Ref) error {
	if err := m.pinnable(ctx, repo, ref); err != nil {
		return err
	}
	return m.evictor.Pin(ctx, repo, ref)
}

// Unpin ends a Pin. A missing pin is not an error.
//
// Errors: as Pin.
func (m *Mirror) Unpin(ctx context.Context, repo string, ref reference.Ref) error {
	if err := m.pinnable(ctx, repo, ref); err != nil {
		return err
	}
	return m.evictor.Unpin(ctx, repo, ref)
}

func (m *Mirror) pinnable(ctx context.Context, repo string, ref reference.Ref) error {
	if _, err := m.routeUpstream(ctx, repo); err != nil {
		return err
	}
	return registry.CheckRef(ref)
}

// Pins yields the pinned images as "repository:tag" or "repository@digest".
func (m *Mirror) Pins(ctx context.Context) iter.Seq2[string, error] {
	return m.pins(ctx, evict.Pin{})
}

// PinsAfter is Pins for the pins after one, for a list in pages. The pin itself need not exist any
// more.
//
// Errors: registry.ErrNameInvalid, ErrTagInvalid or ErrDigestInvalid for an invalid name or
// reference.
func (m *Mirror) PinsAfter(ctx context.Context, repo string, ref reference.Ref) iter.Seq2[string, error] {
	return m.pins(ctx, evict.Pin{Repository: repo, Ref: ref})
}

// pins yields the texts of the pins after one.
func (m *Mirror) pins(ctx context.Context, after evict.Pin) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for pin, err := range m.evictor.Pins(ctx, after) {
			text := ""
			if err == nil {
				text = pin.String()
			}
			if !yield(text, err) || err != nil {
				return
			}
		}
	}
}

// pulled records a pull of a manifest. tag may be "".
func (m *Mirror) pulled(p *pull, d digest.Digest, tag string) { m.pulls.Pulled(p.repo, d, tag) }

// evictStats fills in the results of the eviction.
func (m *Mirror) evictStats(s *Stats) {
	e := m.evictor.Stats()
	s.Size, s.SizeAt, s.Evicted = e.Size, e.SizeAt, e.Evicted
}
