package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// pageSize is how many names are asked for at once by a caller who does not know how many it will take.
const pageSize = 1000

// maxEmptyPages is how many pages in a row may be empty.
const maxEmptyPages = 16

var (
	errOrder   = errors.New("client: a list of the registry is not in order")
	errPages   = errors.New("client: the pages of a list of the registry have no end")
	errStopped = errors.New("client: no more is wanted")
)

// Repositories implements [registry.Lister]. The registry must have its list in order.
//
// Errors: registry.ErrUnsupported if the registry has no catalogue.
func (c *Client) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return c.names(ctx, "_catalog", registry.ErrUnsupported, opts, reference.CheckName)
}

// Tags implements [registry.Lister]. The registry must have its list in order.
func (c *Client) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	if err := checkName(repo); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return c.names(ctx, repo+"/tags/list", registry.ErrNameUnknown, opts, reference.CheckTag)
}

// names yields a list of names page by page.
func (c *Client) names(ctx context.Context, path string, notFound *registry.Error, opts *registry.ListOptions, check func(string) error) iter.Seq2[string, error] {
	var o registry.ListOptions
	if opts != nil {
		o = *opts
	}
	if o.PageHint <= 0 {
		o.PageHint = pageSize
	}
	q := url.Values{"n": {strconv.Itoa(o.PageHint)}}
	if o.After != "" {
		q.Set("last", o.After)
	}
	return func(yield func(string, error) bool) {
		last := o.After
		err := c.pages(ctx, c.url(path, q), notFound, func(content []byte) (int, error) {
			var page struct {
				Repositories []string `json:"repositories"`
				Tags         []string `json:"tags"`
			}
			if err := json.Unmarshal(content, &page); err != nil {
				return 0, fmt.Errorf("client: %s: %w", path, err)
			}
			names := page.Tags
			if page.Repositories != nil {
				names = page.Repositories
			}
			previous := ""
			for _, name := range names {
				if err := check(name); err != nil {
					return 0, fmt.Errorf("%w: %w", ErrContent, err)
				}
				if name <= previous {
					return 0, errOrder
				}
				if previous = name; name <= last {
					continue // the registry knows no "last", or has pages that overlap
				}
				last = name
				if !yield(name, nil) {
					return 0, errStopped
				}
			}
			return len(names), nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield("", err)
		}
	}
}

// pages gets the pages of a list one after the other. each is called with each and returns how many elements it has.
func (c *Client) pages(ctx context.Context, u *url.URL, notFound *registry.Error, each func(content []byte) (int, error)) error {
	empty := 0
	for {
		res, err := c.expect(ctx, &request{method: http.MethodGet, url: u}, notFound, http.StatusOK)
		if err != nil {
			return err
		}
		content, err := readAll(res, c.opts.MaxListSize)
		if err != nil {
			return fmt.Errorf("%s: %w", describe(http.MethodGet, u), err)
		}
		n, err := each(content)
		if err != nil {
			return err
		}
		next := nextPage(res.Header)
		if next == "" {
			return nil
		}
		if empty++; n > 0 {
			empty = 0
		}
		to, err := u.Parse(next)
		switch {
		case err != nil, !c.ours(to), to.Path != u.Path:
			return fmt.Errorf("client: %s: the next page is not of the list", describe(http.MethodGet, u))
		case *to == *u, empty > maxEmptyPages:
			return errPages
		}
		u = to
	}
}

// nextPage is the URL of the link to the next page (RFC 8288), "" if there is none.
func nextPage(h http.Header) string {
	for _, value := range h.Values("Link") {
		for {
			_, rest, found := strings.Cut(value, "<")
			target, params, ok := strings.Cut(rest, ">")
			if !found || !ok {
				break
			}
			params, value, _ = strings.Cut(params, ",")
			for param := range strings.SplitSeq(params, ";") {
				key, rel, _ := strings.Cut(strings.TrimSpace(param), "=")
				if strings.EqualFold(key, "rel") && slices.Contains(strings.Fields(strings.Trim(rel, `"`)), "next") {
					return target
				}
			}
		}
	}
	return ""
}

// Referrers implements [registry.Lister]. Registries have them in no order, so that all are read, together up to
// Options.MaxListSize bytes, before the first is yielded. Of a registry that has no such list, it is the one that clients keep under a
// tag made of the digest (distribution spec, section "Referrers Tag Schema").
//
// Errors: ErrTooLarge.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest, opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		all, err := c.referrers(ctx, repo, d, opts)
		for _, desc := range all {
			if !yield(desc, nil) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, err)
		}
	}
}

func (c *Client) referrers(ctx context.Context, repo string, d digest.Digest, opts *registry.ReferrersOptions) ([]ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	var o registry.ReferrersOptions
	if opts != nil {
		o = *opts
	}
	q := url.Values{}
	if o.ArtifactType != "" {
		q.Set("artifactType", o.ArtifactType)
	}
	if o.After != "" {
		q.Set("last", string(o.After))
	}
	var all []ocispec.Descriptor
	read := int64(0)
	err := c.pages(ctx, c.url(repo+"/referrers/"+string(d), q), registry.ErrNotFound, func(content []byte) (int, error) {
		if read += int64(len(content)); read > c.opts.MaxListSize {
			return 0, ErrTooLarge
		}
		page, err := indexed(content)
		all = append(all, page...)
		return len(page), err
	})
	if errors.Is(err, registry.ErrNotFound) {
		all, err = c.referrersByTag(ctx, repo, d)
	}
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(desc ocispec.Descriptor) bool {
		return desc.Digest <= o.After || o.ArtifactType != "" && desc.ArtifactType != o.ArtifactType
	})
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return slices.CompactFunc(all, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }), nil
}

func (c *Client) referrersByTag(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	tag := string(d.Algorithm()) + "-" + d.Encoded()
	m, err := c.GetManifest(ctx, repo, reference.Ref{Tag: tag[:min(len(tag), reference.MaxTagLength)]})
	if errors.Is(err, registry.ErrManifestUnknown) || err == nil && m.Descriptor.MediaType != ocispec.MediaTypeImageIndex {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return indexed(m.Content)
}

// indexed returns what an index lists.
func indexed(content []byte) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("client: referrers: %w", err)
	}
	for _, desc := range index.Manifests {
		if err := checkDigest(desc.Digest); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrContent, err)
		}
	}
	return index.Manifests, nil
}
