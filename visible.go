package registry

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// What a request for a page of a list looks through at most of what the caller may not see. Then
// the page ends, and its Link goes on from there.
const (
	maxScanned  = 1 << 16
	maxScanTime = 500 * time.Millisecond
)

// scanHint is how many names are asked for at a time that are to be filtered.
const scanHint = 1000

// scanned is a name of a list that was looked at.
type scanned struct {
	name    string
	visible bool // the caller may pull what it names
}

// seen yields the names of a list that are visible.
func seen(list iter.Seq2[scanned, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for s, err := range list {
			if (s.visible || err != nil) && !yield(s.name, err) {
				return
			}
		}
	}
}

// scanTags yields the tags of a repository, and whether the caller may pull them.
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
	return g.sees(ctx, &Op{Kind: OpStatManifest, Repository: repo, Ref: reference.Ref{Tag: tag}})
}

// seesEntry reports whether the caller may know of an entry of a history, and takes out of it the
// tags that they may not pull.
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

// sees reports whether the caller may do what an element of a list stands for. Nobody is told that
// it was asked.
func (g *guard) sees(ctx context.Context, op *Op) (bool, error) { return g.allowed(ctx, op.Access()) }

// seesName reports whether the caller may see the name of a repository in the catalogue: who may
// pull from it. The catalogue is asked for together with that, as a token for it lists what its
// bearer may pull, and no token could name all that.
func (g *guard) seesName(ctx context.Context, name string) (bool, error) {
	catalogue, pull := Op{Kind: OpRepositories}, Op{Kind: OpTags, Repository: name}
	return g.allowed(ctx, append(catalogue.Access(), pull.Access()...))
}

// allowed reports whether the caller may do all of accesses. Nobody is told of the question.
func (g *guard) allowed(ctx context.Context, accesses []auth.Access) (bool, error) {
	if g.r.opts.Authorizer == nil {
		return true, nil
	}
	err := g.r.opts.Authorizer.Authorize(ctx, g.identity, accesses)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, auth.ErrDenied), errors.Is(err, auth.ErrScope):
		return false, nil
	}
	return false, authorizeFailed(err)
}
