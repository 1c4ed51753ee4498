package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
)

// SyncResult is the result of [Sync].
type SyncResult struct {
	// Copied, Unchanged, Deleted and Failed are the numbers of tags. Failed also counts repositories
	// whose tags could not be listed. With Rule.DryRun, Copied and Deleted count what would be.
	Copied, Unchanged, Deleted, Failed int
	// Changes are the changes, in the order of their names, at most 10,000.
	Changes []Change
	// Bytes are those of blobs that were read from the source.
	Bytes int64
	// Took is the duration of the Sync.
	Took time.Duration
}

// Change is one tag that Sync has changed, or has failed to change.
type Change struct {
	// Repository is the repository at the destination.
	Repository, Tag string
	// From and To are the digests at the destination before and after; "" means no tag.
	From, To digest.Digest
	// Deleted reports whether the tag is removed.
	Deleted bool
	// Err is why the change failed. From and To are then what is known.
	Err error
}

const (
	maxChanges = 10_000
	maxErrors  = 10
	tagBatch   = 200     // tags that are compared before the changed ones are copied
	maxTags    = 500_000 // of one repository
)

// Sync copies everything that rules select from src to dst. A tag that points at the same digest at
// both is not copied; finding that out takes one HEAD at each. For the other direction, swap dst and
// src. See [SyncJob] for a schedule.
//
// Errors: an error for an invalid rule, before anything is copied; that of ctx; otherwise a failure
// does not end the others, and the error joins the first ten. A tag that was deleted at the source
// during the Sync is not a failure.
func Sync(ctx context.Context, dst, src registry.Backend, rules []Rule) (SyncResult, error) {
	s := &syncer{dst: dst, src: src}
	return s.run(ctx, rules)
}

// syncer is one Sync.
type syncer struct {
	dst, src registry.Backend
	onTag    func(repo, tag string, p Progress) // called while nothing changes res; or nil
	res      SyncResult
	errs     []error
}

func (s *syncer) run(ctx context.Context, rules []Rule) (SyncResult, error) {
	began := time.Now()
	var all []*selection
	for i, r := range rules {
		sel, err := newSelection(r)
		if err != nil {
			return SyncResult{}, fmt.Errorf("replicate: rule %d: %w", i+1, err)
		}
		all = append(all, sel)
	}
	for _, sel := range all {
		s.rule(ctx, sel)
	}
	slices.SortStableFunc(s.res.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag))
	})
	s.res.Took = time.Since(began)
	err := errors.Join(s.errs...)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return s.res, fmt.Errorf("replicate: sync: %w", err)
	}
	return s.res, nil
}

// rule copies what one rule selects.
func (s *syncer) rule(ctx context.Context, sel *selection) {
	if sel.names != nil {
		for _, repo := range sel.names {
			if sel.repositories.Selects(repo) && ctx.Err() == nil {
				s.repository(ctx, sel, repo)
			}
		}
		return
	}
	for repo, err := range s.src.Repositories(ctx, nil) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.failed(Change{Err: fmt.Errorf("listing the repositories of the source: %w", err)})
			return
		}
		if sel.repositories.Selects(repo) {
			s.repository(ctx, sel, repo)
		}
	}
}

// repository copies the tags of one repository.
func (s *syncer) repository(ctx context.Context, sel *selection, repo string) {
	to := repo
	if sel.To != nil {
		to = sel.To(repo)
	}
	if s.onTag != nil {
		s.onTag(to, "", Progress{})
	}
	all, err := listTags(ctx, s.src, repo, sel.retries())
	if err != nil {
		s.failed(Change{Repository: to, Err: fmt.Errorf("listing the tags of %s at the source: %w", repo, err)})
		return
	}
	var tags []string
	for _, tag := range all {
		if sel.selectsTag(tag) {
			tags = append(tags, tag)
		}
	}
	for batch := range slices.Chunk(sel.newest(tags), tagBatch) {
		s.batch(ctx, sel, repo, to, batch)
	}
	if sel.Delete && ctx.Err() == nil {
		s.delete(ctx, sel, to, all)
	}
}

// listTags returns the tags of a repository in ascending order.
func listTags(ctx context.Context, b registry.Backend, repo string, retries int) (tags []string, err error) {
	err = retry(ctx, retries, func() error {
		tags = tags[:0]
		for tag, err := range b.Tags(ctx, repo, nil) {
			if err != nil {
				return err
			}
			if tags = append(tags, tag); len(tags) > maxTags {
				return fmt.Errorf("more than %d tags", maxTags)
			}
		}
		return nil
	})
	return tags, err
}

// compared is a tag at both sides.
type compared struct {
	src, dst ocispec.Descriptor // the zero Descriptor if there is none
	err      error
}

// batch compares tags, several at a time, and then copies the changed ones.
func (s *syncer) batch(ctx context.Context, sel *selection, repo, to string, tags []string) {
	o, _, _ := withDefaults(sel.Options)
	results := make([]compared, len(tags))
	_ = parallel.Each(o.Parallel, len(tags), func(i int) error {
		r, ref := &results[i], reference.Ref{Tag: tags[i]}
		if r.src, r.err = statTag(ctx, s.src, repo, ref, o.Retries); r.err == nil {
			r.dst, r.err = statTag(ctx, s.dst, to, ref, o.Retries)
		}
		return nil
	})
	for i, r := range results {
		change := Change{Repository: to, Tag: tags[i], From: r.dst.Digest, To: r.src.Digest, Err: r.err}
		switch {
		case ctx.Err() != nil:
			return
		case r.err != nil:
			s.failed(change)
		case r.src.Digest == "": // deleted since the list was read
		case r.src.Digest == r.dst.Digest:
			s.res.Unchanged++
		case sel.DryRun:
			s.res.Copied++
			s.changed(change)
		default:
			s.copy(ctx, sel, repo, change)
		}
	}
}

// statTag returns the descriptor under a tag, or the zero Descriptor if there is none.
func statTag(ctx context.Context, b registry.Backend, repo string, ref reference.Ref, retries int) (
	desc ocispec.Descriptor, err error) {
	err = retry(ctx, retries, func() (err error) {
		desc, err = b.StatManifest(ctx, repo, ref, nil)
		return err
	})
	if errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrNameUnknown) {
		return ocispec.Descriptor{}, nil
	}
	return desc, err
}

// copy copies one tag.
func (s *syncer) copy(ctx context.Context, sel *selection, repo string, change Change) {
	var o Options
	if sel.Options != nil {
		o = *sel.Options
	}
	o.To = change.Repository + ":" + change.Tag
	if s.onTag != nil {
		theirs := o.Progress
		o.Progress = func(p Progress) {
			if theirs != nil {
				theirs(p)
			}
			s.onTag(change.Repository, change.Tag, p)
		}
	}
	// The digest is that which was compared, also if the tag moves meanwhile.
	res, err := Copy(ctx, s.dst, s.src, repo+":"+change.Tag+"@"+string(change.To), &o)
	s.res.Bytes += res.Progress.Copied
	switch {
	case err == nil:
		s.res.Copied++
		s.changed(change)
	case ctx.Err() == nil:
		change.Err = err
		s.failed(change)
	}
}

// delete removes the tags at the destination that the rule selects and the source does not have.
func (s *syncer) delete(ctx context.Context, sel *selection, to string, have []string) {
	tags, err := listTags(ctx, s.dst, to, sel.retries())
	if errors.Is(err, registry.ErrNameUnknown) {
		return
	}
	if err != nil {
		s.failed(Change{Repository: to, Err: fmt.Errorf("listing the tags of %s at the destination: %w", to, err)})
		return
	}
	for _, tag := range tags {
		if _, ok := slices.BinarySearch(have, tag); ok || !sel.selectsTag(tag) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		ref := reference.Ref{Tag: tag}
		change := Change{Repository: to, Tag: tag, Deleted: true}
		desc, err := statTag(ctx, s.dst, to, ref, sel.retries())
		change.From = desc.Digest
		if err == nil && desc.Digest != "" && !sel.DryRun {
			err = s.dst.DeleteManifest(ctx, to, ref, &registry.DeleteOptions{
				If: &registry.Condition{Match: []digest.Digest{desc.Digest}},
			})
		}
		switch {
		case errors.Is(err, registry.ErrManifestUnknown), err == nil && desc.Digest == "": // deleted by others
		case err != nil:
			change.Err = fmt.Errorf("deleting %s:%s: %w", to, tag, err)
			s.failed(change)
		default:
			s.res.Deleted++
			s.changed(change)
		}
	}
}

// changed adds a change to the result.
func (s *syncer) changed(c Change) {
	if len(s.res.Changes) < maxChanges {
		s.res.Changes = append(s.res.Changes, c)
	}
}

// failed adds a failure to the result.
func (s *syncer) failed(c Change) {
	s.res.Failed++
	s.changed(c)
	if len(s.errs) < maxErrors {
		s.errs = append(s.errs, c.Err)
	}
}
