package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/reference"
)

const (
	// maxTagStates is the maximum number of tags that the mirror remembers. It asks for others again.
	maxTagStates = 1 << 15
	// maxPending is the maximum number of digests for which it remembers tags.
	maxPending = 1 << 12
	// maxPendingTags is the maximum number of tags of one digest that wait for its manifest.
	maxPendingTags = 16
	// staleTTL is how long a stale answer is repeated without asking the upstream, at least. At most
	// it is twice as long, so that not all tags are looked up at once when the upstream works again.
	staleTTL = 5 * time.Second
)

// tagState is what the mirror remembers of a tag. It is memory of one process: the store has the
// tag itself, and after a restart the upstream is asked once more.
type tagState struct {
	desc  ocispec.Descriptor // what the tag points at
	until time.Time          // the upstream is not asked before
	stale bool               // the upstream has not confirmed desc
	gone  time.Time          // since when the upstream says that the tag does not exist; usually zero
}

// tags are the states of tags.
type tags struct {
	states  *lru.Cache[string, tagState] // by pull.shared(tag)
	mu      sync.Mutex                   // guards changes of pending
	pending *lru.Cache[string, []string] // tags that point at a manifest which the store does not have
	asked   flights[tagState]
}

func newTags() tags {
	return tags{states: lru.New[string, tagState](maxTagStates), pending: lru.New[string, []string](maxPending)}
}

// resolveTag returns what a tag points at, from memory within its TTL, and otherwise by one HEAD
// for all callers.
//
// Errors: those of origin.failure.
func (m *Mirror) resolveTag(ctx context.Context, p *pull, tag string) (tagState, error) {
	now := time.Now()
	known, ok := m.tags.states.Get(p.shared(tag))
	if ok && now.Before(known.until) {
		return known, nil
	}
	if m.fixed(p, tag) && (!ok || !known.stale) {
		if state, err := m.storedTag(ctx, p, tag, nil); err != nil || state.desc.Digest != "" {
			state.stale = false
			return state, err
		}
	}
	if err := m.mayAsk(ctx, p, registry.ErrManifestUnknown); err != nil {
		return m.storedTag(ctx, p, tag, err)
	}
	if m.missing.has(p, tag) {
		return tagState{}, registry.ErrManifestUnknown
	}
	return m.tags.asked.do(ctx, p.flight(tag), 0, func(func()) (tagState, error) {
		if known, ok := m.tags.states.Get(p.shared(tag)); ok && time.Now().Before(known.until) {
			return known, nil // another flight has landed in between
		}
		ctx, cancel := detached()
		defer cancel()
		return m.askTag(ctx, p, tag)
	})
}

// fixed reports whether a tag never changes.
func (m *Mirror) fixed(p *pull, tag string) bool { return p.origin.ttl(p.name, tag) >= Forever/2 }

// storedTag returns what a tag points at in the store, for a request that must not reach the
// upstream. err is the error if the store does not have the tag.
func (m *Mirror) storedTag(ctx context.Context, p *pull, tag string, err error) (tagState, error) {
	desc, serr := m.store.StatManifest(ctx, p.repo, reference.Ref{Tag: tag}, nil)
	switch {
	case errors.Is(serr, registry.ErrManifestUnknown):
		return tagState{}, err
	case serr != nil:
		return tagState{}, serr
	}
	return tagState{desc: desc, stale: true}, nil
}

// askTag asks the upstream for a tag and remembers the answer.
//
// Errors: those of origin.failure.
func (m *Mirror) askTag(ctx context.Context, p *pull, tag string) (tagState, error) {
	desc, err := p.remote().StatManifest(ctx, p.name, reference.Ref{Tag: tag})
	if err != nil {
		return m.tagFailed(ctx, p, tag, err)
	}
	return m.tagFound(ctx, p, tag, desc)
}

// tagFound remembers that a tag points at desc at the upstream. If the store has that manifest, the
// tag points at it there, too; otherwise it will, once the manifest is fetched.
//
// Errors: those of the store.
func (m *Mirror) tagFound(ctx context.Context, p *pull, tag string, desc ocispec.Descriptor) (tagState, error) {
	m.missing.forget(p, tag)
	m.missing.forget(p, string(desc.Digest))
	m.missing.forget(p, tagsRef)
	state := tagState{desc: desc, until: m.fresh(p, tag)}
	stored, err := m.store.StatManifest(ctx, p.repo, reference.Ref{Tag: tag}, nil)
	switch {
	case err == nil && stored.Digest == desc.Digest:
	case err != nil && !errors.Is(err, registry.ErrManifestUnknown):
		return tagState{}, err
	default:
		err := m.pointTag(ctx, p, tag, desc)
		if errors.Is(err, registry.ErrNoSpace) {
			m.log.WarnContext(ctx, "a tag could not be stored", "repository", p.repo, "tag", tag, "error", err)
		} else if err != nil {
			return tagState{}, err
		}
	}
	m.tags.states.Add(p.shared(tag), state, 1)
	return state, nil
}

// pointTag points a tag of the store at a manifest, now or when the store gets it.
func (m *Mirror) pointTag(ctx context.Context, p *pull, tag string, desc ocispec.Descriptor) error {
	man, err := m.store.GetManifest(ctx, p.repo, reference.Ref{Digest: desc.Digest})
	if err == nil {
		_, err = m.put(ctx, p, man, tag)
		return err
	}
	if !errors.Is(err, registry.ErrManifestUnknown) {
		return err
	}
	key := p.shared(string(desc.Digest))
	m.tags.mu.Lock()
	defer m.tags.mu.Unlock()
	waiting, _ := m.tags.pending.Get(key)
	if !slices.Contains(waiting, tag) && len(waiting) < maxPendingTags {
		m.tags.pending.Add(key, append(slices.Clone(waiting), tag), 1)
	}
	return nil
}

// fresh returns until when an answer about a tag counts. The TTL is shortened by a random part of
// up to a tenth, so that tags that were pulled together are not looked up together.
func (m *Mirror) fresh(p *pull, tag string) time.Time {
	ttl := min(p.origin.ttl(p.name, tag), Forever/2)
	if ttl < 0 {
		return time.Time{}
	}
	return time.Now().Add(ttl - rand.N(ttl/10+1))
}

// tagFailed decides what a tag points at if the upstream has failed with err.
//
// Errors: those of origin.failure, and of the store.
func (m *Mirror) tagFailed(ctx context.Context, p *pull, tag string, err error) (tagState, error) {
	m.report(p.origin, p.repo, err)
	known, _ := m.tags.states.Get(p.shared(tag))
	stored, serr := m.store.StatManifest(ctx, p.repo, reference.Ref{Tag: tag}, nil)
	if serr != nil && !errors.Is(serr, registry.ErrManifestUnknown) {
		return tagState{}, serr
	}
	q := &question{cached: serr == nil, unknown: registry.ErrManifestUnknown, caller: p.caller}
	state := tagState{desc: stored, stale: true, until: time.Now().Add(staleTTL + rand.N(staleTTL))}
	if isMissing(err) {
		if state.gone = known.gone; state.gone.IsZero() {
			state.gone = time.Now()
		}
		q.missing = time.Since(state.gone)
		if state.until = m.fresh(p, tag); p.origin.DeletedGrace > 0 {
			state.until = earlier(state.until, state.gone.Add(p.origin.DeletedGrace))
		}
	}
	a := p.origin.failure(q, err)
	switch {
	case a.stale:
		m.tags.states.Add(p.shared(tag), state, 1)
		return state, nil
	case a.gone:
		serr := m.store.DeleteManifest(ctx, p.repo, reference.Ref{Tag: tag},
			&registry.DeleteOptions{If: &registry.Condition{Match: []digest.Digest{stored.Digest}}})
		if serr != nil && !errors.Is(serr, registry.ErrManifestUnknown) &&
			!errors.Is(serr, registry.ErrPreconditionFailed) {
			return tagState{}, serr
		}
	}
	m.tags.states.Remove(p.shared(tag))
	m.missing.add(p, tag, err)
	return tagState{}, a.err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// take returns the tags that wait for a manifest and still point at it, and forgets them. tag may be
// another one, or "".
func (m *Mirror) take(p *pull, desc ocispec.Descriptor, tag string) []string {
	key := p.shared(string(desc.Digest))
	m.tags.mu.Lock()
	waiting, _ := m.tags.pending.Get(key)
	m.tags.pending.Remove(key)
	m.tags.mu.Unlock()
	if waiting = slices.Clone(waiting); tag != "" && !slices.Contains(waiting, tag) {
		waiting = append(waiting, tag)
	}
	return slices.DeleteFunc(waiting, func(tag string) bool {
		state, ok := m.tags.states.Get(p.shared(tag))
		return !ok || state.desc.Digest != desc.Digest
	})
}
