package upstream

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
)

const (
	// maxCursors is the maximum size of the links to next pages that are remembered, in bytes.
	maxCursors = 1 << 20
	// maxCursor is the maximum size of one of them.
	maxCursor = 4 << 10
)

// maxEmptyPages is the maximum number of empty pages of tags in a row.
const maxEmptyPages = 16

// cursor is the place of a link to the next page of tags.
type cursor struct {
	view        *byte
	repo, after string
	n           int
}

// Tags returns a page of up to n tags after the tag after, as the upstream lists them: most list
// them in byte order, and some in the order in which they were pushed. The upstream may send less
// than n although more is true. An upstream without pages sends all tags each time, and Tags returns
// those after the tag after. An n of 0 means 1,000.
//
// Errors: registry.ErrNameUnknown instead of registry.ErrManifestUnknown.
func (u *Upstream) Tags(ctx context.Context, repo, after string, n int) (tags []string, more bool, err error) {
	if n <= 0 {
		n = 1000
	}
	next, _ := u.cursors.Get(cursor{u.id, repo, after, n})
	err = u.within(ctx, call{kind: "tags",
		ask: func(ctx context.Context, e *endpoint, c *client.Client, _ *attempt) (err error) {
			o := client.TagsPageOptions{After: after, N: n}
			if e.index == 0 {
				o.Next = next
			}
			page, err := nonEmptyPage(ctx, c, repo, &o)
			if err != nil {
				return err
			}
			if tags = page.Tags; o.Next == "" || slices.Contains(tags, after) {
				tags = following(tags, after)
			}
			more = len(tags) > 0 && (page.Next != "" || len(tags) > n)
			if len(tags) > n {
				tags = tags[:n] // the next call skips these
			} else if more && e.index == 0 && len(page.Next) <= maxCursor {
				u.cursors.Add(cursor{u.id, repo, tags[len(tags)-1], n}, page.Next, 512+len(page.Next))
			}
			return nil
		}})
	if err != nil {
		return nil, false, err
	}
	return tags, more, nil
}

// nonEmptyPage returns the next page with tags. It gives up after a few empty pages.
func nonEmptyPage(ctx context.Context, c *client.Client, repo string, o *client.TagsPageOptions) (*client.TagsPage,
	error) {
	at := *o
	for range maxEmptyPages {
		page, err := c.TagsPage(ctx, repo, &at)
		if err != nil || len(page.Tags) > 0 || page.Next == "" {
			return page, err
		}
		at.Next = page.Next
	}
	return nil, fmt.Errorf("%w: too many empty pages of tags", client.ErrContent)
}

// following returns the tags after a tag, for a page of an upstream that ignores the parameter last.
func following(tags []string, after string) []string {
	if after == "" {
		return tags
	}
	if i := slices.Index(tags, after); i >= 0 {
		return tags[i+1:]
	}
	if !slices.IsSorted(tags) {
		return tags
	}
	i, _ := slices.BinarySearch(tags, after)
	return tags[i:]
}

// Referrers returns all referrers of a digest, by the referrers API or by the tag of the digest.
// Their list has at most 32 MiB.
func (u *Upstream) Referrers(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	err := u.within(ctx, call{kind: "referrers",
		ask: func(ctx context.Context, _ *endpoint, c *client.Client, _ *attempt) error {
			all = nil
			for desc, err := range c.Referrers(ctx, repo, d, &registry.ReferrersOptions{}) {
				if err != nil {
					return err
				}
				all = append(all, desc)
			}
			return nil
		}})
	if err != nil {
		return nil, err
	}
	return all, nil
}
