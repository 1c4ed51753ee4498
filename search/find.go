package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/options"
)

// Kind is the kind of a [Result].
type Kind string

// The kinds of results.
const (
	Repository   Kind = "repository"
	User         Kind = "user"
	Organisation Kind = "organisation"
)

const (
	// DefaultLimit is the default of QueryOptions.Limit.
	DefaultLimit = 100
	// MaxQuery is the maximum length of a query, in bytes.
	MaxQuery = 255
	// maxWords is the maximum number of words of a query. Further ones count for nothing.
	maxWords = 16
)

// ErrQuery is returned for a query without words, and for a query that is longer than MaxQuery.
var ErrQuery = errors.New("search: invalid query")

// Viewer says what the caller of a search may see. The zero Viewer sees nothing.
type Viewer struct {
	// Repository reports whether the caller may see a repository. It is called for all
	// repositories, whatever the query is, so it must be fast. Default: the caller sees none.
	Repository func(ctx context.Context, name string) (bool, error)
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
}

// Result is a repository or an account.
type Result struct {
	Kind Kind
	Name string
	// Summary is the first line of the description of a repository, or the full name of an account.
	// It has at most 256 bytes. Escape it.
	Summary string
}

// Found is the result of [Index.Search].
type Found struct {
	// Results are the best results, the best first.
	Results []Result
	// More reports whether there are further results that the caller may see.
	More bool
	// Built is when the index was built, or the zero Time before the first refresh: nothing is
	// found then.
	Built time.Time
}

// Search finds repositories and accounts that match each word of a query. A word matches a name or
// description that contains it, in upper or lower case. These results come first, in this order:
// those whose name is the word; whose name begins with it; that have a word in their name that
// begins with it; whose name contains it; whose description contains a word that begins with it;
// whose description contains it. opts may be nil.
//
// Errors: ErrQuery; an error for a negative limit; those of v.
func (x *Index) Search(ctx context.Context, query string, v Viewer, opts *QueryOptions) (Found, error) {
	o := options.Value(opts)
	options.Default(&o.Limit, DefaultLimit)
	words := strings.Fields(strings.ToLower(query))
	switch {
	case len(query) > MaxQuery:
		return Found{}, fmt.Errorf("%w: it is longer than %d bytes", ErrQuery, MaxQuery)
	case len(words) == 0:
		return Found{}, fmt.Errorf("%w: it has no word", ErrQuery)
	case o.Limit < 0:
		return Found{}, errors.New("search: QueryOptions.Limit is negative")
	}
	words = words[:min(len(words), maxWords)]
	s := x.current.Load()
	visible, err := s.visible(ctx, &v, o.Kind)
	if err != nil {
		return Found{}, err
	}
	var hits []hit
	for _, e := range visible {
		if rank, ok := e.rank(words); ok {
			hits = append(hits, hit{e, rank})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(len(a.name), len(b.name)), strings.Compare(a.name, b.name),
			strings.Compare(string(a.kind), string(b.kind)))
	})
	found := Found{Built: s.built, More: len(hits) > o.Limit}
	for _, h := range hits[:min(len(hits), o.Limit)] {
		found.Results = append(found.Results, Result{Kind: h.kind, Name: h.name, Summary: h.summary})
	}
	return found, nil
}

// hit is an entry that matches, with its rank.
type hit struct {
	*entry
	rank int
}

// visible returns the entries of a kind that the viewer may see. Kind "" means all kinds.
func (s *snapshot) visible(ctx context.Context, v *Viewer, kind Kind) ([]*entry, error) {
	var all []*entry
	if v.Repository != nil && (kind == "" || kind == Repository) {
		for i, e := range s.repositories {
			if i%256 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if v.Prefixes != nil && !hasPrefix(e.name, v.Prefixes) {
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
	}
	if kind == Repository {
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

// hasPrefix reports whether a name begins with one of prefixes.
func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// rank returns how well the entry matches all words; the least is the best. ok is false if a word
// does not match.
func (e *entry) rank(words []string) (rank int, ok bool) {
	for _, word := range words {
		r := rankOf(e.name, word)
		if r == noMatch {
			if r = rankOf(e.text, word); r == noMatch {
				return 0, false
			}
			r = max(r, beginsWord) + contains // behind every name
		}
		rank += r
	}
	return rank, true
}

// The ranks of a word in a name or text.
const (
	equals = iota
	begins
	beginsWord
	contains
	noMatch
)

// rankOf returns the rank of a word in a text.
func rankOf(text, word string) int {
	switch i := strings.Index(text, word); {
	case i < 0:
		return noMatch
	case text == word:
		return equals
	case i == 0:
		return begins
	}
	for from := 0; ; from++ {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return contains
		}
		if from += i; from == 0 || !isWord(text[from-1]) {
			return beginsWord
		}
	}
}

// isWord reports whether a byte is part of a word. Bytes of characters that are not ASCII are.
func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= 0x80
}
