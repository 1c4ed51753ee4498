package registry

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// scan yields the repositories of the backend and whether the caller may pull from them. Those
// below no prefix that the Authorizer names are left out.
func (g *guard) scan(ctx context.Context, opts *ListOptions) iter.Seq2[scanned, error] {
	var o ListOptions
	if opts != nil {
		o = *opts
	}
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

// maxPrefixes is how many prefixes are looked below one by one.
const maxPrefixes = 64

// outermost sorts prefixes and leaves out those within another. Of too many it makes the one that
// they have in common.
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

func (c *call) listRepositories() error {
	names, err := c.page(repositoryNames, func(opts *ListOptions) iter.Seq2[scanned, error] {
		return c.backend.scan(c.req.Context(), opts)
	})
	if err != nil {
		return err
	}
	return c.writeList(struct {
		Repositories []string `json:"repositories"`
	}{names})
}
