package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// TagsPageOptions are the options of [Client.TagsPage].
type TagsPageOptions struct {
	// After is the tag after which the page begins. Default: it begins with the first tag.
	After string
	// N is the number of tags to ask for. Default: 1,000.
	N int
	// Next, unless "", is that of the page before. After and N are not used then.
	Next string
}

// TagsPage is the result of [Client.TagsPage].
type TagsPage struct {
	// Tags are the tags of the page as the registry lists them: in any order, more than were asked
	// for, or from the first one on if the registry ignores TagsPageOptions.After.
	Tags []string
	// Next stands for the next page, or is "" if there is none. It is a path with a query.
	Next string
}

// TagsPage requests one page of tags. [Client.Tags] is for registries that list tags in order, as the
// distribution spec demands. TagsPage is for a proxy of registries that do not.
//
// Errors: registry.ErrNameUnknown; ErrContent for a malformed list, and for a link to the next page
// that leads elsewhere; ErrTooLarge; those of every method.
func (c *Client) TagsPage(ctx context.Context, repo string, opts *TagsPageOptions) (*TagsPage, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	if o.N <= 0 {
		o.N = pageSize
	}
	q := url.Values{"n": {strconv.Itoa(o.N)}}
	if o.After != "" {
		q.Set("last", o.After)
	}
	l := list{path: repo + "/tags/list", key: "tags", notFound: registry.ErrNameUnknown}
	u := c.url(l.path, q)
	if o.Next != "" {
		next, err := c.nextURL(u, o.Next)
		if err != nil {
			return nil, err
		}
		u = next
	}
	r := &request{method: http.MethodGet, url: u}
	res, err := c.expect(ctx, r, l.notFound, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer drop(res)
	tags, err := elements(ctx, limit(ctx, r, res, c.opts.MaxListSize), l, tag)
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", r, err)
	}
	page := &TagsPage{Tags: tags}
	if link := nextPage(res.Header); link != "" {
		next, err := c.nextURL(u, link)
		if err == nil && r.foreign {
			err = fmt.Errorf("%w: another host links to the next page", ErrContent)
		}
		if err != nil {
			return nil, fmt.Errorf("client: %s: %w", r, err)
		}
		page.Next = next.RequestURI()
	}
	return page, nil
}

// nextURL returns the URL of the next page of the list at u.
//
// Errors: ErrContent if it is another list, or not at the registry.
func (c *Client) nextURL(u *url.URL, link string) (*url.URL, error) {
	to, err := u.Parse(link)
	if err != nil || !c.ours(to) || to.Path != u.Path {
		return nil, fmt.Errorf("%w: the link to the next page leads elsewhere", ErrContent)
	}
	to.Fragment, to.RawFragment = "", ""
	return to, nil
}

// tag decodes a tag.
func tag(dec *json.Decoder) (name string, err error) {
	if err = dec.Decode(&name); err != nil {
		return "", err
	}
	if err = reference.CheckTag(name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrContent, err)
	}
	return name, nil
}
