package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// pageSize is the number of names to request at once when the caller gives no hint.
const pageSize = 1000

// maxReferrersPages is the maximum number of pages of the referrers of one subject.
const maxReferrersPages = 10_000

var (
	errOrder   = errors.New("client: the list of the registry is not in order")
	errStopped = errors.New("client: iteration stopped")
)

// Repositories implements [registry.Lister]. The registry must list the names in order.
//
// Errors: registry.ErrUnsupported if the registry has no catalog.
func (c *Client) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return c.names(ctx, list{path: "_catalog", key: "repositories", notFound: registry.ErrUnsupported}, opts,
		reference.CheckName)
}

// Tags implements [registry.Lister]. The registry must list the tags in order.
func (c *Client) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	if err := registry.CheckName(repo); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return c.names(ctx, list{path: repo + "/tags/list", key: "tags", notFound: registry.ErrNameUnknown}, opts,
		reference.CheckTag)
}

// names yields a list of names page by page.
func (c *Client) names(ctx context.Context, l list, opts *registry.ListOptions,
	check func(string) error) iter.Seq2[string, error] {
	o := options.Value(opts)
	if o.PageHint <= 0 {
		o.PageHint = pageSize
	}
	q := url.Values{"n": {strconv.Itoa(o.PageHint)}}
	if o.After != "" {
		q.Set("last", o.After)
	}
	decode := func(dec *json.Decoder) (name string, err error) {
		if err = dec.Decode(&name); err != nil {
			return "", err
		}
		if err = check(name); err != nil {
			return "", fmt.Errorf("%w: %w", ErrContent, err)
		}
		return name, nil
	}
	return func(yield func(string, error) bool) {
		last := "" // the last name of all pages so far
		err := pages(ctx, c, l, q, decode, func(names []string) error {
			if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) < len(names) {
				return errOrder
			}
			if len(names) > 0 && names[len(names)-1] <= last {
				return errPages // the page contains no new name
			}
			for _, name := range names {
				if name <= last {
					continue // the pages overlap
				}
				last = name
				if name <= o.After {
					continue // the registry ignores the parameter "last"
				}
				if !yield(name, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield("", err)
		}
	}
}

// Referrers implements [registry.Lister]. Registries return referrers in no particular order.
// Therefore all pages, up to Options.MaxListSize bytes together, are read before the first referrer
// is yielded. If the registry has no referrers API, the list is read from the tag under which
// clients keep it (distribution spec, section "Referrers Tag Schema").
//
// Errors: ErrTooLarge.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
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

func (c *Client) referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) ([]ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	q := url.Values{}
	if len(o.ArtifactTypes) == 1 {
		q.Set("artifactType", o.ArtifactTypes[0]) // many registries use only the first of several
	}
	if o.After != "" {
		q.Set("last", string(o.After))
	}
	var all []ocispec.Descriptor
	seen, n := map[digest.Digest]bool{}, 0
	l := referrersList()
	l.path = repo + "/referrers/" + string(d)
	err := pages(ctx, c, l, q, referrer, func(page []ocispec.Descriptor) error {
		before := len(seen)
		for _, desc := range page {
			seen[desc.Digest] = true
		}
		if n++; n > maxReferrersPages || len(page) > 0 && len(seen) == before {
			return errPages
		}
		all = append(all, page...)
		return nil
	})
	if errors.Is(err, registry.ErrNotFound) {
		all, err = c.referrersByTag(ctx, repo, d)
	}
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(desc ocispec.Descriptor) bool {
		return desc.Digest <= o.After || len(o.ArtifactTypes) > 0 && !slices.Contains(o.ArtifactTypes, desc.ArtifactType)
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
	if int64(len(m.Content)) > c.opts.MaxListSize {
		return nil, ErrTooLarge
	}
	return elements(ctx, bytes.NewReader(m.Content), referrersList(), referrer)
}

// referrersList returns the parameters that all lists of referrers share.
func referrersList() list {
	return list{key: "manifests", notFound: registry.ErrNotFound, index: true, bounded: true}
}

// referrer decodes a referrer, and rejects one that parsers could read differently.
func referrer(dec *json.Decoder) (desc ocispec.Descriptor, err error) {
	var text json.RawMessage
	if err := dec.Decode(&text); err != nil {
		return desc, err
	}
	if err := manifest.InspectDescriptor(text); err != nil {
		return desc, fmt.Errorf("%w: %w", ErrContent, err)
	}
	if err := json.Unmarshal(text, &desc); err != nil {
		return desc, fmt.Errorf("%w: %w", ErrContent, err)
	}
	if err := registry.CheckDigest(desc.Digest); err != nil {
		return desc, fmt.Errorf("%w: %w", ErrContent, err)
	}
	return desc, nil
}
