package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

func (g *guard) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *MountOptions) (desc ocispec.Descriptor, err error) {
	op := &Op{Kind: OpMountBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	o := options.Value(opts)
	op.From = o.From
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	source := o.From
	if o.From == "" && g.r.opts.Authorizer != nil {
		desc, source, err = g.searchMount(ctx, repo, d, o)
	} else {
		allow := o.Allow
		o.Allow = func(from string) error {
			if allow != nil {
				if err := allow(from); err != nil {
					return err
				}
			}
			if err := g.allow(ctx, (&Op{Kind: OpOpenBlob, Repository: from}).Access()); err != nil {
				return err
			}
			source = from
			return nil
		}
		desc, err = g.r.backend.MountBlob(ctx, repo, d, &o)
	}
	if err == nil && g.hasSink() {
		e := blobEvent(notification.Mount, repo, desc)
		e.From = source
		err = g.notify(ctx, e)
	}
	return desc, err
}

// searchTick is the unit to which the duration of a search is rounded up.
const searchTick = 10 * time.Millisecond

// errNoSource is the cause in the audit record of a search without a result.
var errNoSource = errors.New("registry: no repository that the caller may pull from has the blob")

// searchMount mounts a blob from any repository that the caller may pull from. It also returns that
// repository.
//
// It must not reveal whether a digest exists in a repository that the caller may not pull from.
// Repositories outside the prefixes of the caller are not examined. Other repositories without pull
// access cost only the decision, and the response waits for the next tick to hide the time of all
// decisions. Options.Audit gets one record of the search, whatever it found.
func (g *guard) searchMount(ctx context.Context, repo string, d digest.Digest,
	o MountOptions) (desc ocispec.Descriptor, source string, err error) {
	started := time.Now()
	if len(o.Prefixes) == 0 {
		o.Prefixes = outermost(auth.Prefixes(ctx, g.r.opts.Authorizer, g.identity))
	}
	allow := o.Allow
	o.Allow = func(from string) error {
		if allow != nil {
			if err := allow(from); err != nil {
				return err
			}
		}
		if ok, err := g.mayPull(ctx, from); err != nil || !ok {
			return errors.Join(ErrDenied, err)
		}
		source = from
		return nil
	}
	err = ErrBlobUnknown
	if len(o.Prefixes) > 0 {
		desc, err = g.r.backend.MountBlob(ctx, repo, d, &o)
	}
	g.auditSearch(ctx, source, err)
	waitForTick(ctx, started)
	return desc, source, err
}

// waitForTick waits until a whole number of ticks has passed since a time, or ctx ends.
func waitForTick(ctx context.Context, since time.Time) {
	elapsed := time.Since(since)
	t := time.NewTimer(elapsed.Truncate(searchTick) + searchTick - elapsed)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// mayPull reports whether the caller may pull from a repository. It makes no audit record.
func (g *guard) mayPull(ctx context.Context, repo string) (bool, error) {
	accesses := (&Op{Kind: OpOpenBlob, Repository: repo}).Access()
	if g.hasGranted(accesses) {
		return true, nil
	}
	return g.allowed(ctx, accesses)
}

// auditSearch records a search. If it succeeded, the record allows a pull from the source. If it
// failed with err, the record denies a pull from a repository without a name.
func (g *guard) auditSearch(ctx context.Context, source string, err error) {
	if g.r.opts.Audit == nil {
		return
	}
	rule := ""
	if err != nil {
		source, err = "", errors.Join(auth.ErrDenied, errNoSource)
	}
	accesses := (&Op{Kind: OpOpenBlob, Repository: source}).Access()
	if source != "" {
		rule, _ = auth.Explain(ctx, g.r.opts.Authorizer, g.identity, accesses)
	}
	g.r.audit(ctx, g.decision, accesses, rule, err)
}
