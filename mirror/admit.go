package mirror

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/contain"
	"github.com/registrykit/registry/internal/lru"
)

const (
	// maxRefusals is the maximum number of refusals that the mirror remembers.
	maxRefusals = 1 << 12
	// refusalTTL is how long a refusal is remembered before Options.Admit is asked again.
	refusalTTL = 10 * time.Minute
	// maxHeld is the maximum size of the manifests that wait for a decision, in bytes.
	maxHeld = 64 << 20
	// heldRetry is the time after which a client may ask again for an image that is being checked.
	heldRetry = 10 * time.Second
)

var (
	errHeld = &decision{registry.ErrDenied.WithMessage("the image is being checked, try again later").
		WithRetryAfter(heldRetry)}
	errTooManyHeld = &decision{registry.ErrTooManyRequests.WithMessage("too many images are being checked").
			WithRetryAfter(heldRetry)}
)

// exemptKey is the key in the context of Options.Admit, for operations that are part of a decision.
// Its value is the manifest that is decided about.
type exemptKey struct{}

// admission remembers the manifests that Options.Admit has refused. Admitted ones are in the store.
type admission struct {
	refusals *lru.Cache[string, refusal] // by pull.shared(digest)
	held     *semaphore.Weighted         // bytes
}

type refusal struct {
	err   error
	until time.Time
}

func newAdmission() *admission {
	return &admission{refusals: lru.New[string, refusal](maxRefusals), held: semaphore.NewWeighted(maxHeld)}
}

// refused returns the refusal of a manifest, or nil if it was not refused recently.
func (a *admission) refused(p *pull, d digest.Digest) error {
	r, ok := a.refusals.Get(p.shared(string(d)))
	if ok && time.Now().Before(r.until) {
		return r.err
	}
	return nil
}

// forget forgets a refusal.
func (a *admission) forget(p *pull, d digest.Digest) { a.refusals.Remove(p.shared(string(d))) }

// admit asks Options.Admit about a manifest. It calls hold before it waits.
//
// Errors: a *decision.
func (m *Mirror) admit(p *pull, man *registry.Manifest, tag string, hold func()) error {
	if m.opts.Admit == nil {
		return nil
	}
	size := min(int64(len(man.Content)), maxHeld)
	if !m.admission.held.TryAcquire(size) {
		return errTooManyHeld
	}
	defer m.admission.held.Release(size)
	hold()
	ctx := context.WithValue(context.Background(), exemptKey{}, man)
	err := contain.Call(func() error {
		return m.opts.Admit(ctx, &Image{
			Repository: p.repo, Upstream: p.origin.Name, Name: p.name, Tag: tag, Manifest: man,
		})
	})
	if err == nil {
		return nil
	}
	var visible *registry.Error
	if !errors.As(err, &visible) {
		err = registry.ErrDenied.WithMessage("the image was not admitted").WithCause(err)
	}
	m.log.Warn("an image was not admitted", "repository", p.repo, "digest", man.Descriptor.Digest, "tag", tag, "error",
		err)
	err = &decision{err}
	m.admission.refusals.Add(p.shared(string(man.Descriptor.Digest)), refusal{err, time.Now().Add(refusalTTL)}, 1)
	return err
}
