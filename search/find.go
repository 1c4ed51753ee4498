package search

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/options"
)

// Kind is the kind of a [Result].
type Kind string

// The kinds of results.
const (
	Repository   Kind = "repository"
	Tag          Kind = "tag"
	Image        Kind = "image"
	User         Kind = "user"
	Organisation Kind = "organisation"
)

// kinds are all kinds, in the order of results of the same rank.
var kinds = []Kind{Repository, Organisation, User, Tag, Image}

const (
	// DefaultLimit is the default of QueryOptions.Limit.
	DefaultLimit = 100
	// MaxQuery is the maximum length of a query, in bytes.
	MaxQuery = 255
	// maxWords is the maximum number of words of a query. Further ones count for nothing.
	maxWords = 16
)

// ErrQuery is returned for a query without words, for a query that is longer than MaxQuery, and for a
// word FIELD: without a value.
var ErrQuery = errors.New("search: invalid query")

// Viewer says what the caller of a search may see. The zero Viewer sees nothing.
type Viewer struct {
	// Repository reports whether the caller may see a repository. It is called for all
	// repositories, whatever the query is, so it must be fast. Default: the caller sees none.
	Repository func(ctx context.Context, name string) (bool, error)
	// Tag reports whether the caller may see a tag of a repository that the caller may see. It is
	// called for tags that match. Default: the caller sees all tags of the repository.
	Tag func(ctx context.Context, repository, tag string) (bool, error)
	// Prefixes, unless nil, limits the repositories to those whose names begin with one of them;
	// see auth.Prefixes.
	Prefixes []string
	// AllAccounts reports that the caller may see all users and organisations.
	AllAccounts bool
	// Accounts are the names of the users and organisations that the caller may see, without
	// AllAccounts.
	Accounts []string
}

// QueryOptions are the options of [Index.Search]. nil means the zero QueryOptions.
type QueryOptions struct {
	// Kind selects the results of one kind. Default: all kinds.
	Kind Kind
	// Limit is the maximum number of results. Default: DefaultLimit, 100. A negative value is an
	// error.
	Limit int
	// Each is the maximum number of results of each kind. Default: Limit. A negative value is an
	// error.
	Each int
}

// Result is a repository, tag, image or account.
type Result struct {
	Kind Kind
	// Name is the name of a repository or account, the reference REPOSITORY:TAG of a tag, or the
	// reference REPOSITORY@DIGEST of an image.
	Name string
	// Summary is the first line of the description of a repository, or the full name of an account.
	// It has at most 256 bytes. Escape it.
	Summary string
	// Repository is the repository of a tag or image. Tag is the tag, or a tag of the image, or "".
	// Digest is the digest of the manifest; a tag that was not read yet has none.
	Repository, Tag string
	Digest          digest.Digest
	// ArtifactType and Platforms are those of the manifest, if it was read. Escape them.
	ArtifactType string
	Platforms    []string
	// Pushed is the last push of a repository, tag or image, as far as it is known.
	Pushed time.Time
	// Matched are the parts that contain the words, at most one for each word.
	Matched []Match
}

// Match is a part of a [Result] that contains a word.
type Match struct {
	Field Field
	// Text is at most 256 bytes of the part. That of a label is KEY=VALUE. Escape it.
	Text string
}

// Found is the result of [Index.Search].
type Found struct {
	// Results are the best results, the best first.
	Results []Result
	// More reports whether there are further results that the caller may see. MoreOf are the kinds
	// of which there are.
	More   bool
	MoreOf []Kind
	// Built is when the index was built, or the zero Time before the first refresh: nothing is
	// found then.
	Built time.Time
}

// Search finds repositories, tags, images and accounts that match each word of a query. It looks for a
// word, in upper or lower case, in these fields:
//
//   - of a repository: the name and the description;
//   - of a user or organisation: the name and the full name;
//   - of an image: the beginning of the digest, with or without "sha256:", the artifact type, the
//     platforms, and the labels and annotations as KEY=VALUE;
//   - of a tag: the tag, and those of its image.
//
// A word for a tag or image may also be in the name of the repository, but at least one must be in the
// tag or image itself. "*" in a word stands for any text; the word then matches a whole field. A word
// FIELD:VALUE is looked for in one [Field].
//
// Results come in this order: those whose name is the word; whose name begins with it; that have a word
// in their name that begins with it; whose name contains it; and then those that contain it elsewhere.
// opts may be nil.
//
// Errors: ErrQuery; an error for a negative limit; those of v.
func (x *Index) Search(ctx context.Context, query string, v Viewer, opts *QueryOptions) (Found, error) {
	o := options.Value(opts)
	options.Default(&o.Limit, DefaultLimit)
	options.Default(&o.Each, o.Limit)
	if o.Limit < 0 || o.Each < 0 {
		return Found{}, errors.New("search: QueryOptions.Limit or Each is negative")
	}
	words, err := parse(query)
	if err != nil {
		return Found{}, err
	}
	s := x.current.Load()
	all, err := s.visible(ctx, &v, o.Kind)
	if err != nil {
		return Found{}, err
	}
	m := newMatcher(words, o.Kind)
	for i, e := range all {
		if i%256 == 0 && ctx.Err() != nil {
			return Found{}, ctx.Err()
		}
		m.match(e)
	}
	heap.Init(&m.hits)
	found := Found{Built: s.built}
	return found, found.choose(ctx, m, &v, &o)
}

// choose sets the results to the first hits that the viewer may see.
//
// Errors: those of v.
func (f *Found) choose(ctx context.Context, m *matcher, v *Viewer, o *QueryOptions) error {
	count := map[Kind]int{}
	more := map[Kind]bool{}
	for len(m.hits) > 0 && len(more) < len(m.count) {
		next := m.hits.take()
		h := &next
		if more[h.kind] {
			continue
		}
		if ok, err := h.choose(ctx, v); err != nil {
			return err
		} else if !ok {
			continue
		}
		if len(f.Results) == o.Limit || count[h.kind] == o.Each {
			f.More, more[h.kind] = true, true
			continue
		}
		count[h.kind]++
		f.Results = append(f.Results, m.result(h))
	}
	for _, kind := range kinds {
		if more[kind] {
			f.MoreOf = append(f.MoreOf, kind)
		}
	}
	return nil
}

// visible returns the entries that the viewer may see and that may have results of a kind. Kind ""
// means all kinds.
func (s *snapshot) visible(ctx context.Context, v *Viewer, kind Kind) ([]*entry, error) {
	var all []*entry
	if kind != User && kind != Organisation {
		var err error
		if all, err = s.visibleRepositories(ctx, v, ""); err != nil {
			return nil, err
		}
	}
	if kind != "" && kind != User && kind != Organisation {
		return all, nil
	}
	seen := s.accounts
	if !v.AllAccounts {
		seen = nil
		for _, name := range v.Accounts {
			if e := s.byName[name]; e != nil && !slices.Contains(seen, e) {
				seen = append(seen, e)
			}
		}
	}
	for _, e := range seen {
		if kind == "" || e.kind == kind {
			all = append(all, e)
		}
	}
	return all, nil
}

// visibleRepositories returns the repositories that the viewer may see, in ascending order: that of the
// name within and those below it, or all for "".
func (s *snapshot) visibleRepositories(ctx context.Context, v *Viewer, within string) ([]*entry, error) {
	if v.Repository == nil {
		return nil, nil
	}
	var all []*entry
	for i, e := range s.repositories {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if v.Prefixes != nil && !hasPrefix(e.name, v.Prefixes) || !isWithin(e.name, within) {
			continue
		}
		ok, err := v.Repository(ctx, e.name)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, e)
		}
	}
	return all, nil
}

// isWithin reports whether a repository is that of a prefix, or below it.
func isWithin(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '/')
}

// hasPrefix reports whether a name begins with one of prefixes.
func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// hits is a heap of hits with the best one first: of many hits, only the first ones are taken.
type hits []hit

func (h hits) Len() int      { return len(h) }
func (h hits) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h hits) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.order, b.order),
		cmp.Compare(len(a.entry.name), len(b.entry.name)), strings.Compare(a.entry.name, b.entry.name),
		cmp.Compare(b.pushed(), a.pushed()), cmp.Compare(a.tag, b.tag), cmp.Compare(a.manifest, b.manifest)) < 0
}

// Push implements heap.Interface. No hit is added to a heap.
func (h *hits) Push(x any) { *h = append(*h, x.(hit)) } //nolint:errcheck // it is a hit

// Pop implements heap.Interface.
func (h *hits) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// take removes the best hit and returns it, without the allocation of heap.Pop.
func (h *hits) take() hit {
	first := (*h)[0]
	n := len(*h) - 1
	(*h)[0] = (*h)[n]
	*h = (*h)[:n]
	if n > 0 {
		heap.Fix(h, 0)
	}
	return first
}
