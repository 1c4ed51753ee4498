package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

func (g *guard) Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	if err := g.authorize(ctx, &Op{Kind: OpRepositories}); err != nil {
		return failed[string](err)
	}
	return visible(g.scan(ctx, opts))
}

func (g *guard) Tags(ctx context.Context, repo string, opts *ListOptions) iter.Seq2[string, error] {
	if err := g.authorize(ctx, &Op{Kind: OpTags, Repository: repo}); err != nil {
		return failed[string](err)
	}
	return visible(g.scanTags(ctx, repo, opts))
}

func (g *guard) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	op := &Op{Kind: OpReferrers, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return failed[ocispec.Descriptor](err)
	}
	return g.r.backend.Referrers(ctx, repo, d, opts)
}

// History reveals the names of identities only to callers with push access.
func (g *guard) History(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error] {
	op := historyOp(repo, opts)
	if err := g.authorize(ctx, op); err != nil {
		return failed[HistoryEntry](err)
	}
	names := true
	err := g.allow(ctx, []auth.Access{{Type: auth.TypeRepository, Name: repo, Action: auth.Push, Tag: op.Ref.Tag}})
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnauthorized) {
		names, err = false, nil
	}
	if err != nil {
		return failed[HistoryEntry](err)
	}
	return g.history(ctx, repo, opts, names)
}

// history yields the entries of a history that the caller may see. names reports whether these
// contain the names of identities.
func (g *guard) history(ctx context.Context, repo string, opts *HistoryOptions,
	names bool) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		for e, err := range g.r.backend.History(ctx, repo, opts) {
			if !names {
				e.By = ""
			}
			seen := true
			if err == nil {
				seen, err = g.seesEntry(ctx, repo, &e)
			}
			if (seen || err != nil) && !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// The limits of what a request for a page examines that the caller may not see. At a limit the page
// ends, and its Link continues from there.
const (
	maxScanned  = 1 << 16
	maxScanTime = 500 * time.Millisecond
)

// scanHint is the number of names to request at a time from a list that is filtered.
const scanHint = 1000

// scanned is a name that a list has examined.
type scanned struct {
	name    string
	visible bool // the caller has pull access to it
}

// visible yields the visible names of a list.
func visible(list iter.Seq2[scanned, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for s, err := range list {
			if (s.visible || err != nil) && !yield(s.name, err) {
				return
			}
		}
	}
}

// scan yields the repositories of the backend, and whether the caller may pull from each. It skips
// the repositories outside the prefixes that the Authorizer names.
func (g *guard) scan(ctx context.Context, opts *ListOptions) iter.Seq2[scanned, error] {
	o := options.Value(opts)
	return func(yield func(scanned, error) bool) {
		if g.r.opts.Authorizer == nil {
			for name, err := range g.r.backend.Repositories(ctx, &o) {
				if !yield(scanned{name, true}, err) || err != nil {
					return
				}
			}
			return
		}
		o.PageHint = max(o.PageHint, scanHint)
		after := o.After
		for _, prefix := range outermost(auth.Prefixes(ctx, g.r.opts.Authorizer, g.identity)) {
			if after > prefix && !strings.HasPrefix(after, prefix) {
				continue
			}
			o.After = max(after, repositoryNames.below(prefix))
			for name, err := range g.r.backend.Repositories(ctx, &o) {
				s, within := scanned{name: name}, strings.HasPrefix(name, prefix)
				if err == nil && !within && name > prefix {
					break
				}
				if err == nil && within {
					s.visible, err = g.seesName(ctx, name)
				}
				if !yield(s, err) || err != nil {
					return
				}
				after = name
			}
		}
	}
}

// maxPrefixes is the maximum number of prefixes that are listed one by one.
const maxPrefixes = 64

// outermost sorts prefixes and removes those within another. If more than maxPrefixes remain, it
// returns the longest prefix that they share.
func outermost(prefixes []string) []string {
	sorted := slices.Sorted(slices.Values(prefixes))
	var kept []string
	for _, p := range sorted {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	if len(kept) > maxPrefixes {
		first, last, n := kept[0], kept[len(kept)-1], 0
		for n < min(len(first), len(last)) && first[n] == last[n] {
			n++
		}
		kept = []string{first[:n]}
	}
	return kept
}

// scanTags yields the tags of a repository, and whether the caller may pull each.
func (g *guard) scanTags(ctx context.Context, repo string, opts *ListOptions) iter.Seq2[scanned, error] {
	return func(yield func(scanned, error) bool) {
		for tag, err := range g.r.backend.Tags(ctx, repo, opts) {
			s := scanned{name: tag, visible: true}
			if err == nil {
				s.visible, err = g.seesTag(ctx, repo, tag)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// seesTag reports whether the caller may pull a tag.
func (g *guard) seesTag(ctx context.Context, repo, tag string) (bool, error) {
	if g.r.opts.Authorizer == nil {
		return true, nil
	}
	return g.sees(ctx, &Op{Kind: OpStatManifest, Repository: repo, Ref: reference.Ref{Tag: tag}})
}

// seesEntry reports whether the caller may see an entry of a history. It removes the tags that the
// caller may not pull from the entry.
func (g *guard) seesEntry(ctx context.Context, repo string, e *HistoryEntry) (bool, error) {
	if e.Tag != "" {
		return g.seesTag(ctx, repo, e.Tag)
	}
	var tags []string
	for _, tag := range e.Tags {
		seen, err := g.seesTag(ctx, repo, tag)
		if err != nil {
			return false, err
		}
		if seen {
			tags = append(tags, tag)
		}
	}
	e.Tags = tags
	return true, nil
}

// seesName reports whether the caller may see the name of a repository in the catalog. That
// requires pull access to the repository. The Authorizer gets both accesses in one question,
// because a token for the catalog lists everything that its bearer may pull, and no token could
// name all of that.
func (g *guard) seesName(ctx context.Context, name string) (bool, error) {
	catalog, pull := Op{Kind: OpRepositories}, Op{Kind: OpTags, Repository: name}
	return g.allowed(ctx, append(catalog.Access(), pull.Access()...))
}
