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
	"github.com/registrykit/registry/reference"
)

// pageSize is how many names are asked for at once by a caller who does not know how many it will
// take.
const pageSize = 1000

// maxReferrersPages is how many pages the referrers of one subject have at most.
const maxReferrersPages = 10_000

var (
	errOrder   = errors.New("client: a list of the registry is not in order")
	errStopped = errors.New("client: no more is wanted")
)

// Repositories implements [registry.Lister]. The registry must have its list in order.
//
// Errors: registry.ErrUnsupported if the registry has no catalogue.
func (c *Client) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return c.names(ctx, list{path: "_catalog", key: "repositories", notFound: registry.ErrUnsupported}, opts,
		reference.CheckName)
}

// Tags implements [registry.Lister]. The registry must have its list in order.
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
		last := "" // of all names up to now
		err := pages(ctx, c, l, q, decode, func(names []string) error {
			if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) < len(names) {
				return errOrder
			}
			if len(names) > 0 && names[len(names)-1] <= last {
				return errPages // nothing is new
			}
			for _, name := range names {
				if name <= last {
					continue // the pages overlap
				}
				last = name
				if name <= o.After {
					continue // the registry knows no "last"
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

// Referrers implements [registry.Lister]. Registries have them in no order, so that all are read,
// together up to Options.MaxListSize bytes, before the first is yielded. Of a registry that has no
// such list, it is the one that clients keep under a tag made of the digest (distribution spec,
// section "Referrers Tag Schema").
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
	var o registry.ReferrersOptions
	if opts != nil {
		o = *opts
	}
	q := url.Values{}
	if len(o.ArtifactTypes) == 1 {
		q.Set("artifactType", o.ArtifactTypes[0]) // of several, many registries take only the first
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

// referrersList returns what all lists of referrers have in common.
func referrersList() list {
	return list{key: "manifests", notFound: registry.ErrNotFound, index: true, bounded: true}
}

// referrer decodes a referrer that all clients understand in the same way.
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
