package quota

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
)

// countWidth is the number of repositories that a count lists at a time.
const countWidth = 8

// Recount counts a prefix anew, such as "team", or "users/ann" for the limit of "users/*". It may run on
// any number of replicas at once. Afterwards, the figure is exact except for what was pushed meanwhile,
// which may count twice until the next count. Run calls it when it is due.
//
// Errors: ErrNoLimit if no limit has the prefix; any error of the driver.
func (q *Quotas) Recount(ctx context.Context, prefix string) error {
	r := q.limits.ofPrefix(prefix)
	if r == nil {
		return fmt.Errorf("%w to the prefix %q", ErrNoLimit, prefix)
	}
	return q.account(r, prefix).count(ctx)
}

// RecountAll counts all prefixes that have a repository or a record.
//
// Errors: the errors of the prefixes that could not be counted, joined; others are counted all the same.
func (q *Quotas) RecountAll(ctx context.Context) error {
	var errs []error
	counted := map[*account]bool{}
	count := func(a *account) {
		if a != nil && !counted[a] {
			counted[a] = true
			if err := a.count(ctx); err != nil {
				errs = append(errs, fmt.Errorf("quota: counting %q: %w", a.prefix, err))
			}
		}
	}
	for repo, err := range q.store.Inventory().Repositories(ctx, "") {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		count(q.of(repo))
	}
	for a, err := range q.recorded(ctx, "") {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		count(a)
	}
	return errors.Join(errs...)
}

// count counts the prefix and writes the result. If this process counts it already, count waits for
// that and counts again: what the caller wants to see may have changed since it began.
func (a *account) count(ctx context.Context) error {
	select {
	case a.counting <- struct{}{}:
		defer func() { <-a.counting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	a.dirty, a.refused = time.Time{}, false
	a.mu.Unlock()
	began := time.Now()
	err := a.countOnce(ctx)
	a.rests(began, time.Now())
	if err != nil {
		a.noteDelete() // Run tries again
	}
	return err
}

// rests notes how long a count took, so that the next one is not due at once.
func (a *account) rests(began, ended time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = ended.Add(restFactor * ended.Sub(began))
}

func (a *account) countOnce(ctx context.Context) error {
	var life string
	c := counted{}
	_, err := a.update(ctx, func(r *record, now time.Time) error {
		life, c.Covers = r.beginCount(now, a.q.opts.Hold)
		c.Time = now
		return nil
	})
	if err != nil {
		return err
	}
	if c.Figure, err = a.list(ctx); err != nil {
		return err
	}
	_, err = a.update(ctx, func(r *record, _ time.Time) error {
		if !r.endCount(life, c) {
			return errUnchanged // a later count has ended, or this write was repeated
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// tally adds up what the repositories of a prefix have.
type tally struct {
	counts Amounts
	sum    Amounts
	// blobs and manifests have the first half of each digest. An element takes about 40 bytes.
	blobs, manifests map[[16]byte]struct{}
}

// content is what one repository has.
type content struct {
	blobs, manifests iter.Seq2[digest.Digest, int64]
	tags             int64
}

// list returns what the repositories of the prefix have.
func (a *account) list(ctx context.Context) (Amounts, error) {
	t := tally{counts: a.counts, blobs: map[[16]byte]struct{}{}, manifests: map[[16]byte]struct{}{}}
	var batch []string
	flush := func() error {
		found := make([]content, len(batch))
		err := parallel.Each(countWidth, len(batch), func(i int) (err error) {
			found[i], err = a.content(ctx, batch[i])
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range found {
			t.add(c)
		}
		batch = batch[:0]
		return nil
	}
	for repo, err := range a.repositories(ctx) {
		if err != nil {
			return Amounts{}, err
		}
		if batch = append(batch, repo); len(batch) == countWidth {
			if err := flush(); err != nil {
				return Amounts{}, err
			}
		}
	}
	if err := flush(); err != nil {
		return Amounts{}, err
	}
	return t.sum.only(a.counts), nil
}

// repositories yields the repositories that count for the prefix.
func (a *account) repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if registry.CheckName(a.prefix) == nil && a.q.of(a.prefix) == a && !yield(a.prefix, nil) {
			return
		}
		for repo, err := range a.q.store.Inventory().Repositories(ctx, a.prefix) {
			if err == nil && a.q.of(repo) != a {
				continue // an earlier limit covers it
			}
			if !yield(repo, err) || err != nil {
				return
			}
		}
	}
}

// content lists one repository.
func (a *account) content(ctx context.Context, repo string) (content, error) {
	found, err := a.q.opts.Meter.Contents(ctx, repo)
	if err != nil {
		return content{}, fmt.Errorf("quota: listing %s: %w", repo, err)
	}
	c := content{blobs: found.Blobs(), manifests: found.Manifests()}
	if a.counts.Tags == 0 {
		return c, nil
	}
	for _, err := range a.q.store.Tags(ctx, repo, nil) {
		if errors.Is(err, registry.ErrNameUnknown) {
			break
		}
		if err != nil {
			return content{}, fmt.Errorf("quota: listing the tags of %s: %w", repo, err)
		}
		c.tags++
	}
	return c, nil
}

// add adds a repository.
func (t *tally) add(c content) {
	some := false
	for d, size := range c.blobs {
		if some = true; isNew(t.blobs, d) {
			t.sum = t.sum.plus(Amounts{Bytes: size})
		}
	}
	for d, size := range c.manifests {
		if some = true; isNew(t.manifests, d) {
			t.sum = t.sum.plus(Amounts{Bytes: size, Manifests: 1})
		}
	}
	if some {
		t.sum.Repositories++
	}
	t.sum.Tags += c.tags
}

// isNew adds a digest to a set, and reports whether it was missing. Digests of several algorithms may
// meet in a set: their halves differ all the same.
func isNew(set map[[16]byte]struct{}, d digest.Digest) bool {
	var k [16]byte
	_, _ = hex.Decode(k[:], []byte(d.Encoded()[:2*len(k)])) // a digest is valid, and longer
	if _, has := set[k]; has {
		return false
	}
	set[k] = struct{}{}
	return true
}
